//! The closed set of wishes a shard takes.

use serde::{Deserialize, Serialize};

use super::{AggregateId, AssetKey, Cause, EffectPlace, HoldReason, Origin, WorkflowKey};
use crate::asset::AssetCommand;
use crate::run::{RunCommand, RunRejection};
use crate::workflow::{WorkflowCommand, WorkflowRejection};
use crate::{Actor, CommandId, DefinitionVersion, Json, RunId, Version};

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

/// A wish and the aggregate it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    Run {
        run: RunId,
        command: RunCommand,
    },
    Asset {
        key: AssetKey,
        command: AssetCommand,
    },
    Workflow {
        key: WorkflowKey,
        command: WorkflowCommand,
    },
    /// Keep a definition version that a run of this shard is about to use.
    AdoptDefinition {
        key: WorkflowKey,
        version: DefinitionVersion,
        document: Json,
    },
}

impl Command {
    /// Returns whom the wish is for.
    pub fn target(&self) -> AggregateId {
        match self {
            Self::Run { run, .. } => AggregateId::Run(*run),
            Self::Asset { key, .. } => AggregateId::Asset(key.clone()),
            Self::Workflow { key, .. } => AggregateId::Workflow(key.clone()),
            Self::AdoptDefinition { key, version, .. } => AggregateId::Definition(key.clone(), *version),
        }
    }

    /// Returns whether the shard gives it to itself, under an id that is new each time.
    pub fn is_own(&self) -> bool {
        match self {
            Self::Run {
                command: RunCommand::FireTimers {} | RunCommand::Continue {} | RunCommand::LoseAttempt { .. },
                ..
            }
            | Self::AdoptDefinition { .. } => true,
            Self::Run { .. } | Self::Asset { .. } | Self::Workflow { .. } => false,
        }
    }
}

impl AggregateId {
    /// Returns what its timers are fired with. `None`: it has none.
    pub(super) fn timer(&self) -> Option<Command> {
        match self {
            Self::Run(run) => Some(Command::Run { run: *run, command: RunCommand::FireTimers {} }),
            Self::Asset(_) | Self::Workflow(_) | Self::Definition(..) => None,
        }
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
    /// The workflow's current version, and whether it is new.
    Workflow { version: DefinitionVersion, created: bool },
    /// The run that the same start made before, where it was not started anew. Its id may differ in the time.
    Run { run: RunId },
    /// The version that had been recorded before.
    Asset { version: Version },
}
