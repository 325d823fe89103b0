//! The workflow, as a shard keeps it.

use std::borrow::Cow;

use super::definition::of_workspace;
use super::{Event, Shelves};
use crate::address::WorkflowKey;
use crate::shard::checkpoint::Kind;
use crate::shard::compiled::{Awaited, Missing, missing_of};
use crate::shard::decide::HandedTasks;
use crate::shard::definitions::Definitions;
use crate::shard::reactions::Reactions;
use crate::shard::shelf::{Aggregate, Ground, Shelf, Told, Unrestored, Verdict};
use crate::shard::{AggregateId, Decided, Granted, Rejection, Shard};
use crate::workflow::{self, ApplyWorkflow, PinVersion, Workflow, WorkflowCommand, WorkflowEvent, WorkflowRejection};
use crate::{CommandId, Revision, Timestamp, WorkspaceId};

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

    fn workspace(&self) -> Option<&WorkspaceId> {
        Some(&Self::key(self).workspace)
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
        if let WorkflowCommand::NameCurrent { .. } = wish {
            let version = self.started().ok_or(Rejection::Workflow(WorkflowRejection::WorkflowNotFound))?;
            if self.is_paused() {
                return Err(Rejection::Workflow(WorkflowRejection::WorkflowPaused));
            }
            let granted = Some(Granted::Workflow { version, created: false, pinned: self.pinned() });
            return Ok(Verdict { events: Vec::new(), granted, tasks: HandedTasks::new() });
        }
        let definitions = &mut *ground.definitions;
        let workspace = self.key().workspace.clone();
        let events = workflow::decide(self, wish, &mut |document| {
            of_workspace(&workspace, document).and_then(|()| definitions.compiled(document))
        });
        let events = events.map_err(Rejection::Workflow)?;
        let granted = granted(self, !events.is_empty());
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
            WorkflowCommand::PinVersion(_)
            | WorkflowCommand::PauseStarts(_)
            | WorkflowCommand::ResumeStarts(_)
            | WorkflowCommand::NameCurrent { .. } => 0,
        }
    }

    fn missing(shard: &Shard, id: CommandId, key: &WorkflowKey, wish: &WorkflowCommand) -> Option<Missing> {
        if let WorkflowCommand::NameCurrent { .. } = wish {
            return None;
        }
        if shard.memory.granted(id).is_some() {
            return None;
        }
        let workflow = shard.shelves.workflows.get(key);
        let next = match wish {
            WorkflowCommand::ApplyWorkflow(ApplyWorkflow { document, .. }) => Some(document),
            WorkflowCommand::PinVersion(PinVersion { version }) => {
                workflow.and_then(|workflow| workflow.document((*version).or(workflow.current())?))
            }
            // Its assets are told.
            WorkflowCommand::PauseStarts(_)
            | WorkflowCommand::ResumeStarts(_)
            | WorkflowCommand::NameCurrent { .. } => None,
        };
        // What only the version before declares is withdrawn.
        let before = workflow.and_then(Self::started_document);
        missing_of(shard, Awaited::Next(key.clone()), next.into_iter().chain(before))
    }

    fn answer_again(workflow: Option<&Self>, _: &WorkflowCommand, _: Told) -> Decided {
        Decided { granted: workflow.and_then(|workflow| granted(workflow, true)), ..Decided::default() }
    }
}

fn granted(workflow: &Workflow, created: bool) -> Option<Granted> {
    let pinned = workflow.pinned();
    workflow.current().map(|version| Granted::Workflow { version, created, pinned })
}
