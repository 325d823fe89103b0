//! What comes with a wish, and what may be answered.

use serde::{Deserialize, Serialize};

use super::{Cause, Command, EffectPlace, HoldReason, Origin};
use crate::action::ActionRejection;
use crate::run::RunRejection;
use crate::workflow::WorkflowRejection;
use crate::{Actor, CommandId, DefinitionVersion, RunId, Version};

/// A wish with the id that makes it safe to send twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    pub id: CommandId,
    pub command: Command,
    /// Where it comes from, if another shard or this one sends it. Absent: it is known by its id alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// Who asks, if it is somebody outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<Actor>>,
}

/// What a commit keeps of the wish that it grants.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub command: CommandId,
    pub by: Option<Box<Actor>>,
    pub cause: Option<Cause>,
}

impl Submission {
    /// Makes a wish of a caller.
    pub fn new(id: CommandId, command: Command) -> Self {
        Self { id, command, from: None, by: None }
    }

    /// Makes a wish of somebody who says who it is.
    pub fn of(by: Option<Actor>, id: CommandId, command: Command) -> Self {
        Self { by: by.map(Box::new), ..Self::new(id, command) }
    }

    /// Takes apart what is wished and what its commit keeps of it.
    pub(super) fn apart(self) -> (Asked, Command) {
        let Self { id, command, from, by } = self;
        let cause = from.map(|Origin { shard, place: EffectPlace { sequence, index }, after: _, toward: _ }| Cause {
            shard,
            sequence,
            index,
        });
        (Asked { command: id, by, cause }, command)
    }
}

/// Why a shard does not grant a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Rejection {
    #[error(transparent)]
    Run(RunRejection),
    #[error(transparent)]
    Workflow(WorkflowRejection),
    #[error(transparent)]
    Action(ActionRejection),
    /// The queue before the shard is full. Try again after a moment.
    #[error("the shard has as many commands waiting as it takes")]
    Overloaded,
    /// This process does not own the shard (any more). Ask again.
    #[error("the shard is owned elsewhere")]
    NotOwner,
    /// Something the same shard sent before it has not come yet. Go back to what follows `heard`, and send in order.
    #[error("something that was sent before it has not come yet")]
    Gap { heard: Option<EffectPlace> },
    /// The history of this aggregate breaks the rules; it is set aside until somebody has looked at it.
    #[error("the aggregate is quarantined: {reason}")]
    Quarantined { reason: String },
    #[error("it is not quarantined")]
    NotQuarantined,
    /// Nothing has changed: it stays quarantined.
    #[error("it cannot be released so: {reason}")]
    NotReleased { reason: String },
    /// Deciding this very command made the engine panic; it is not decided again for a while.
    #[error("the engine panicked when it decided this command, and does not decide it again: {reason}")]
    Poisoned { reason: String },
    /// The shard's journal contradicts what was seen of it: nothing is written to it until somebody has looked at it.
    #[error("the shard is on hold: {reason}")]
    Held { reason: HoldReason },
}

/// What a granted command made, where the caller cannot know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Granted {
    /// The workflow's current version, whether the wish has changed something, and to which version it is pinned.
    Workflow {
        version: DefinitionVersion,
        created: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pinned: Option<DefinitionVersion>,
    },
    /// The action's current version, and whether the wish has changed something.
    Action { version: DefinitionVersion, created: bool },
    /// The run that the same start made before, where it was not started anew. Its id may differ in the time.
    Run { run: RunId },
    /// The version that had been recorded before.
    Asset { version: Version },
}
