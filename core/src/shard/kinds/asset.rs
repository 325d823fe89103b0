//! The asset, as a shard keeps it.

use std::borrow::Cow;

use super::{Command, Event, Shelves};
use crate::address::AssetKey;
use crate::asset::{self, Asset, AssetCommand, AssetEvent};
use crate::run::RunCommand;
use crate::shard::checkpoint::Kind;
use crate::shard::decide::HandedTasks;
use crate::shard::definitions::Definitions;
use crate::shard::reactions::Reactions;
use crate::shard::shelf::{Aggregate, Ground, Shelf, Told, Unrestored, Verdict};
use crate::shard::{AggregateId, Decided, Effect, Granted, Rejection};
use crate::{Revision, Timestamp, WorkspaceId};

impl Aggregate for Asset {
    type Key = AssetKey;
    type Command = AssetCommand;
    type Event = AssetEvent;
    type Record = Self;

    const CALLED: &'static str = "an asset";
    const SECTION: Kind = Kind::Assets;

    fn id(key: AssetKey) -> AggregateId {
        AggregateId::Asset(key)
    }

    fn shelf(shelves: &Shelves) -> &Shelf<Self> {
        &shelves.assets
    }

    fn shelf_mut(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.assets
    }

    fn event(event: &Event) -> Option<&AssetEvent> {
        if let Event::Asset(event) = event { Some(event) } else { None }
    }

    fn wrapped(event: AssetEvent) -> Event {
        Event::Asset(event)
    }

    fn key(&self) -> AssetKey {
        Self::key(self).clone()
    }

    fn workspace(&self) -> Option<&WorkspaceId> {
        Some(&Self::key(self).workspace)
    }

    fn revision(&self) -> Revision {
        Self::revision(self)
    }

    fn stand_at(&mut self, revision: Revision) {
        Self::stand_at(self, revision);
    }

    fn unknown(key: &AssetKey) -> Option<Self> {
        Some(Self::unknown(key.clone()))
    }

    fn decide(&mut self, wish: AssetCommand, ground: &mut Ground<'_>) -> Result<Verdict<AssetEvent>, Rejection> {
        let before = recorded_before(self, &wish);
        let map = ground.map;
        let its = asset::Ground { now: ground.now, shard_for: &|randomness| map.spread(randomness) };
        let events = asset::decide(self, wish, &its);
        let granted = before.filter(|_| events.is_empty());
        Ok(Verdict { events, granted, tasks: HandedTasks::new() })
    }

    fn evolve(&mut self, event: &AssetEvent, _: Timestamp) -> Result<(), String> {
        asset::evolve(self, event);
        Ok(())
    }

    fn react(&self, event: &AssetEvent, revision: Revision, time: Timestamp, reactions: &mut Reactions) {
        let effects = &mut reactions.effects;
        let mut follows = |effect| effects.push(Effect::of_asset(Self::key(self), revision, effect));
        asset::react(self, event, time, &mut follows);
    }

    fn record(&self) -> Cow<'_, Self> {
        Cow::Borrowed(self)
    }

    fn restore(record: Self, _: &mut Definitions) -> Result<Self, Unrestored> {
        Ok(record)
    }

    fn is_own(_: &AssetCommand) -> bool {
        false
    }

    fn is_kept(_: &AssetCommand) -> bool {
        true
    }

    fn answer_again(asset: Option<&Self>, wish: &AssetCommand, _: Told) -> Decided {
        Decided { granted: asset.and_then(|asset| recorded_before(asset, wish)), ..Decided::default() }
    }

    fn owed(asset: Option<&Self>, owed: &mut Vec<Effect>) {
        let awaits = |command: &Command| {
            let Command::Run { run, command: RunCommand::StartRun(_) } = command else { return true };
            asset.is_some_and(|asset| asset.awaits_producer(*run))
        };
        owed.retain(|effect| effect.command().is_none_or(awaits));
    }
}

/// Answers whoever has something recorded again: it has not heard of the first time.
fn recorded_before(asset: &Asset, wish: &AssetCommand) -> Option<Granted> {
    asset.recorded_by(wish).map(|version| Granted::Asset { version })
}
