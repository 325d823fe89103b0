//! What a release holds of an aggregate, and how that comes back.

use serde::{Deserialize, Serialize};

use super::{definition, run};
use crate::action::Action;
use crate::asset::Asset;
use crate::memo::Memo;
use crate::run::{Run, RunStatus, Standing};
use crate::shard::shelf::Aggregate;
use crate::shard::window::EndedRun;
use crate::shard::{AggregateId, Commit, Shard, shelf};
use crate::workflow::Workflow;
use crate::{DefinitionVersion, Json, RunId};

/// An aggregate as a journal holds it. `format` is that of the section of checkpoints with the same records; unlike those a
/// format that stands in journals is read for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Record {
    Run {
        format: u32,
        record: Json,
    },
    /// It has ended.
    Ended {
        status: RunStatus,
        version: DefinitionVersion,
        start_hash: u64,
        keyed: bool,
    },
    Asset {
        format: u32,
        record: Json,
    },
    Workflow {
        format: u32,
        record: Json,
    },
    Action {
        format: u32,
        record: Json,
    },
    Memo {
        format: u32,
        record: Json,
    },
    Definition {
        document: Json,
    },
    /// There is no such run, because its journal does not even hold a start; a definition version is adopted anew when a run
    /// needs it.
    Unknown {},
}

/// What a record says to who shows aggregates and does not fold them.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// It goes on.
    Run(Standing),
    /// A run that has ended.
    Ended(RunStatus),
    /// Which of its versions can be consumed.
    Asset(Asset),
    /// Which versions it has, which of them is current, and which is pinned.
    Workflow(Workflow),
    /// Which versions it has, and which of them is current.
    Action(Action),
    /// Nothing that anybody is shown.
    Nothing,
}

impl Record {
    /// Returns whether it says what releases before 0.2 do not know: it is of an action or a memo, or of a workflow that is pinned.
    pub(in crate::shard) fn has_later_words(&self) -> bool {
        match self {
            Self::Workflow { .. } => {
                matches!(self.shown(), Ok(Shown::Workflow(workflow)) if workflow.pinned().is_some())
            }
            Self::Action { .. } | Self::Memo { .. } => true,
            Self::Run { .. } | Self::Ended { .. } | Self::Asset { .. } | Self::Definition { .. } | Self::Unknown {} => {
                false
            }
        }
    }

    /// Returns what it says of where its aggregate stands.
    ///
    /// # Errors
    /// Why that cannot be read.
    pub fn shown(&self) -> Result<Shown, String> {
        fn read<A: Aggregate>(format: u32, record: &Json) -> Result<A::Record, String> {
            shelf::read::<A>((format, record)).map_err(|why| format!("{} {why}", A::CALLED))
        }
        Ok(match self {
            Self::Run { format, record } => Shown::Run(read::<Run>(*format, record)?.standing()),
            Self::Ended { status, .. } => Shown::Ended(*status),
            Self::Asset { format, record } => Shown::Asset(read::<Asset>(*format, record)?),
            Self::Workflow { format, record } => Shown::Workflow(read::<Workflow>(*format, record)?),
            Self::Action { format, record } => Shown::Action(read::<Action>(*format, record)?),
            Self::Memo { .. } | Self::Definition { .. } | Self::Unknown {} => Shown::Nothing,
        })
    }
}

/// Returns what a release says of one that was folded anew. `keyed`: whether it is a run with an idempotency key.
///
/// # Errors
/// Why there is nothing to be said.
pub(in crate::shard) fn record(shard: &mut Shard, aggregate: &AggregateId, keyed: bool) -> Result<Record, String> {
    let record = match aggregate {
        AggregateId::Run(id) => {
            let record = shelf::record::<Run>(shard, id).map(|(format, record)| Record::Run { format, record });
            record.or_else(|| run::ended(shard, *id, keyed))
        }
        AggregateId::Asset(key) => {
            shelf::record::<Asset>(shard, key).map(|(format, record)| Record::Asset { format, record })
        }
        AggregateId::Workflow(key) => {
            shelf::record::<Workflow>(shard, key).map(|(format, record)| Record::Workflow { format, record })
        }
        AggregateId::Action(key) => {
            shelf::record::<Action>(shard, key).map(|(format, record)| Record::Action { format, record })
        }
        AggregateId::Memo(memo) => {
            shelf::record::<Memo>(shard, memo).map(|(format, record)| Record::Memo { format, record })
        }
        AggregateId::Definition(key, version) => return definition::record(shard, key, *version),
    };
    record.ok_or_else(|| "the journal holds nothing of it".to_owned())
}

/// Puts back what a commit releases, as its record says; returns the run that has ended.
///
/// # Errors
/// Why that cannot be read; nothing has changed.
pub(in crate::shard) fn put(
    shard: &mut Shard,
    commit: &Commit,
    record: &Record,
) -> Result<Option<(RunId, RunStatus)>, String> {
    let last = commit.revision.after(commit.events.len() as u64 - 1);
    match (&commit.aggregate, record) {
        (AggregateId::Run(id), Record::Run { format, record }) => {
            shelf::put::<Run>(shard, id, (*format, record), last)?;
        }
        (AggregateId::Run(id), Record::Ended { status, version, start_hash, keyed }) => {
            let ended = EndedRun { status: *status, version: *version, start_hash: *start_hash };
            run::put_ended(shard, *id, ended, *keyed, commit.time);
            return Ok(Some((*id, *status)));
        }
        // It is adopted anew when a run needs it.
        (AggregateId::Run(_) | AggregateId::Definition(..), Record::Unknown {}) => {}
        (AggregateId::Asset(key), Record::Asset { format, record }) => {
            shelf::put::<Asset>(shard, key, (*format, record), last)?;
        }
        (AggregateId::Workflow(key), Record::Workflow { format, record }) => {
            shelf::put::<Workflow>(shard, key, (*format, record), last)?;
        }
        (AggregateId::Action(key), Record::Action { format, record }) => {
            shelf::put::<Action>(shard, key, (*format, record), last)?;
        }
        (AggregateId::Memo(memo), Record::Memo { format, record }) => {
            shelf::put::<Memo>(shard, memo, (*format, record), last)?;
        }
        (AggregateId::Definition(key, version), Record::Definition { document }) => {
            shard.definitions.adopt(key.clone(), *version, document.clone());
        }
        (aggregate, _) => return Err(format!("this release cannot read its record of {aggregate}")),
    }
    Ok(None)
}
