//! The reusable action, as a shard keeps it.

use std::borrow::Cow;

use super::{Event, Shelves};
use crate::action::{self, Action, ActionCommand, ActionEvent};
use crate::address::ActionKey;
use crate::definition::Schema;
use crate::shard::checkpoint::Kind;
use crate::shard::decide::HandedTasks;
use crate::shard::definitions::Definitions;
use crate::shard::reactions::Reactions;
use crate::shard::shelf::{Aggregate, Ground, Shelf, Told, Unrestored, Verdict};
use crate::shard::{AggregateId, Decided, Granted, Rejection};
use crate::{Revision, Timestamp, WorkspaceId};

impl Aggregate for Action {
    type Key = ActionKey;
    type Command = ActionCommand;
    type Event = ActionEvent;
    type Record = Self;

    const CALLED: &'static str = "an action";
    const SECTION: Kind = Kind::Actions;
    const LASTING: bool = true;

    fn id(key: ActionKey) -> AggregateId {
        AggregateId::Action(key)
    }

    fn shelf(shelves: &Shelves) -> &Shelf<Self> {
        &shelves.actions
    }

    fn shelf_mut(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.actions
    }

    fn event(event: &Event) -> Option<&ActionEvent> {
        if let Event::Action(event) = event { Some(event) } else { None }
    }

    fn wrapped(event: ActionEvent) -> Event {
        Event::Action(event)
    }

    fn key(&self) -> ActionKey {
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

    fn unknown(key: &ActionKey) -> Option<Self> {
        Some(Self::unknown(key.clone()))
    }

    fn decide(&mut self, wish: ActionCommand, ground: &mut Ground<'_>) -> Result<Verdict<ActionEvent>, Rejection> {
        // All of it may be schemas.
        *ground.spent += Schema::COMPILE_WORK * Self::bytes_asked(&wish) as u64;
        let events: Vec<_> = action::decide(self, wish).map_err(Rejection::Action)?.into_iter().collect();
        let granted = granted(self, !events.is_empty());
        Ok(Verdict { events, granted, tasks: HandedTasks::new() })
    }

    fn evolve(&mut self, event: &ActionEvent, _: Timestamp) -> Result<(), String> {
        action::evolve(self, event);
        Ok(())
    }

    fn react(&self, _: &ActionEvent, _: Revision, _: Timestamp, _: &mut Reactions) {}

    fn record(&self) -> Cow<'_, Self> {
        Cow::Borrowed(self)
    }

    fn restore(record: Self, _: &mut Definitions) -> Result<Self, Unrestored> {
        Ok(record)
    }

    fn is_own(_: &ActionCommand) -> bool {
        false
    }

    fn is_kept(_: &ActionCommand) -> bool {
        false
    }

    fn bytes_asked(ActionCommand::ApplyAction { document, .. }: &ActionCommand) -> usize {
        document.len_bytes()
    }

    fn answer_again(action: Option<&Self>, _: &ActionCommand, _: Told) -> Decided {
        Decided { granted: action.and_then(|action| granted(action, true)), ..Decided::default() }
    }
}

fn granted(action: &Action, created: bool) -> Option<Granted> {
    action.current().map(|version| Granted::Action { version, created })
}
