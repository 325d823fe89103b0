//! The memo, as a shard keeps it.

use std::borrow::Cow;

use super::{Event, Shelves};
use crate::dialogue::MemoCommand;
use crate::memo::{self, Memo, MemoEvent, MemoKey};
use crate::shard::checkpoint::Kind;
use crate::shard::decide::HandedTasks;
use crate::shard::definitions::Definitions;
use crate::shard::reactions::Reactions;
use crate::shard::shelf::{Aggregate, Ground, Shelf, Unrestored, Verdict};
use crate::shard::{AggregateId, Effect, Rejection};
use crate::{Revision, Timestamp, WorkspaceId};

impl Aggregate for Memo {
    type Key = MemoKey;
    type Command = MemoCommand;
    type Event = MemoEvent;
    type Record = Self;

    const CALLED: &'static str = "a memo";
    const SECTION: Kind = Kind::Memos;

    fn id(key: MemoKey) -> AggregateId {
        AggregateId::Memo(key)
    }

    fn shelf(shelves: &Shelves) -> &Shelf<Self> {
        &shelves.memos
    }

    fn shelf_mut(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.memos
    }

    fn event(event: &Event) -> Option<&MemoEvent> {
        if let Event::Memo(event) = event { Some(event) } else { None }
    }

    fn wrapped(event: MemoEvent) -> Event {
        Event::Memo(event)
    }

    fn key(&self) -> MemoKey {
        Self::key(self)
    }

    fn workspace(&self) -> Option<&WorkspaceId> {
        None
    }

    fn revision(&self) -> Revision {
        Self::revision(self)
    }

    fn stand_at(&mut self, revision: Revision) {
        Self::stand_at(self, revision);
    }

    fn unknown(key: &MemoKey) -> Option<Self> {
        Some(Self::unknown(*key))
    }

    fn decide(&mut self, wish: MemoCommand, ground: &mut Ground<'_>) -> Result<Verdict<MemoEvent>, Rejection> {
        let events = memo::decide(self, wish, ground.now);
        Ok(Verdict { events, granted: None, tasks: HandedTasks::new() })
    }

    fn evolve(&mut self, event: &MemoEvent, time: Timestamp) -> Result<(), String> {
        memo::evolve(self, event, time);
        Ok(())
    }

    fn react(&self, event: &MemoEvent, revision: Revision, _: Timestamp, reactions: &mut Reactions) {
        let told = memo::react(self, event);
        reactions.effects.extend(told.map(|told| Effect::of_memo(Self::key(self), revision, told)));
    }

    fn record(&self) -> Cow<'_, Self> {
        Cow::Borrowed(self)
    }

    fn restore(record: Self, _: &mut Definitions) -> Result<Self, Unrestored> {
        Ok(record)
    }

    fn is_own(_: &MemoCommand) -> bool {
        false
    }

    // Whoever asks goes on waiting.
    fn is_kept(_: &MemoCommand) -> bool {
        true
    }
}
