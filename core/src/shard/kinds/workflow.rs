//! The workflow, as a shard keeps it.

use std::borrow::Cow;

use super::{Event, Shelves};
use crate::address::WorkflowKey;
use crate::shard::checkpoint::Kind;
use crate::shard::compiled::{Awaited, Missing, missing_of};
use crate::shard::decide::HandedTasks;
use crate::shard::definitions::Definitions;
use crate::shard::reactions::Reactions;
use crate::shard::shelf::{Aggregate, Ground, Shelf, Told, Unrestored, Verdict};
use crate::shard::{AggregateId, Decided, Granted, Rejection, Shard};
use crate::workflow::{self, ApplyWorkflow, Workflow, WorkflowCommand, WorkflowEvent, WorkflowRejection};
use crate::{CommandId, Revision, Timestamp};

impl Aggregate for Workflow {
    type Key = WorkflowKey;
    type Command = WorkflowCommand;
    type Event = WorkflowEvent;
    type Record = Self;

    const CALLED: &'static str = "a workflow";
    const SECTION: Kind = Kind::Workflows;
    const LASTING: bool = true;

    fn id(key: WorkflowKey) -> AggregateId {
        AggregateId::Workflow(key)
    }

    fn shelf(shelves: &Shelves) -> &Shelf<Self> {
        &shelves.workflows
    }

    fn shelf_mut(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.workflows
    }

    fn event(event: &Event) -> Option<&WorkflowEvent> {
        if let Event::Workflow(event) = event { Some(event) } else { None }
    }

    fn wrapped(event: WorkflowEvent) -> Event {
        Event::Workflow(event)
    }

    fn key(&self) -> WorkflowKey {
        Self::key(self).clone()
    }

    fn revision(&self) -> Revision {
        Self::revision(self)
    }

    fn stand_at(&mut self, revision: Revision) {
        Self::stand_at(self, revision);
    }

    fn unknown(key: &WorkflowKey) -> Option<Self> {
        Some(Self::unknown(key.clone()))
    }

    fn decide(&mut self, wish: WorkflowCommand, ground: &mut Ground<'_>) -> Result<Verdict<WorkflowEvent>, Rejection> {
        let wish = match wish {
            WorkflowCommand::ApplyWorkflow(wish) => wish,
            WorkflowCommand::NameCurrent { .. } => {
                let version = self.current().ok_or(Rejection::Workflow(WorkflowRejection::WorkflowNotFound))?;
                let granted = Some(Granted::Workflow { version, created: false });
                return Ok(Verdict { events: Vec::new(), granted, tasks: HandedTasks::new() });
            }
        };
        let definitions = &mut *ground.definitions;
        let events = workflow::decide(self, wish, &mut |document| definitions.compiled(document));
        let events = events.map_err(Rejection::Workflow)?;
        let granted = self.current().map(|version| Granted::Workflow { version, created: !events.is_empty() });
        Ok(Verdict { events, granted, tasks: HandedTasks::new() })
    }

    fn evolve(&mut self, event: &WorkflowEvent, _: Timestamp) -> Result<(), String> {
        workflow::evolve(self, event);
        Ok(())
    }

    fn react(&self, event: &WorkflowEvent, revision: Revision, _: Timestamp, reactions: &mut Reactions) {
        let place = reactions.effects.len();
        reactions.later.extend(workflow::news(self, event, revision).map(|news| (place, news)));
    }

    fn record(&self) -> Cow<'_, Self> {
        Cow::Borrowed(self)
    }

    fn restore(record: Self, _: &mut Definitions) -> Result<Self, Unrestored> {
        Ok(record)
    }

    fn is_own(_: &WorkflowCommand) -> bool {
        false
    }

    fn is_kept(_: &WorkflowCommand) -> bool {
        false
    }

    fn bytes_asked(wish: &WorkflowCommand) -> usize {
        match wish {
            WorkflowCommand::ApplyWorkflow(wish) => wish.document.len_bytes(),
            WorkflowCommand::NameCurrent { .. } => 0,
        }
    }

    fn missing(shard: &Shard, id: CommandId, key: &WorkflowKey, wish: &WorkflowCommand) -> Option<Missing> {
        let WorkflowCommand::ApplyWorkflow(ApplyWorkflow { document, .. }) = wish else { return None };
        if shard.memory.granted(id).is_some() {
            return None;
        }
        // What only the version before declares is withdrawn.
        let before = shard.shelves.workflows.get(key).and_then(Self::current_document);
        missing_of(shard, Awaited::Next(key.clone()), std::iter::once(document).chain(before))
    }

    fn answer_again(workflow: Option<&Self>, _: &WorkflowCommand, _: Told) -> Decided {
        let version = workflow.and_then(Workflow::current);
        let granted = version.map(|version| Granted::Workflow { version, created: true });
        Decided { granted, ..Decided::default() }
    }
}
