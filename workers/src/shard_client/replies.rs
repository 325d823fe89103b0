//! What the replies of a shard mean for who asked.

use headwater_core::protocol::ShardReply;
use headwater_core::run::RunStatus;
use headwater_core::shard::{Position, Rejection};
use headwater_core::{Epoch, RunId};

use super::ClientError;

/// How runs ended.
pub(super) type Ends = Vec<End>;

/// How a run ended, where that can be read, and which goes on from it.
pub(super) struct End {
    pub run: RunId,
    pub status: RunStatus,
    pub position: Position,
    pub successor: Option<RunId>,
}

/// Reads the ends of runs; `None` when the question must be asked again.
pub(super) fn ends(runs: &[RunId], replies: Vec<ShardReply>) -> Result<Option<Ends>, ClientError> {
    let mut ends = Vec::with_capacity(runs.len());
    for (run, reply) in runs.iter().zip(replies) {
        match reply {
            ShardReply::Ended { status, position, successor } => {
                ends.push(End { run: *run, status, position, successor });
            }
            ShardReply::Refused { rejection } if !is_passing(&rejection) => {
                return Err(ClientError::Refused(rejection));
            }
            ShardReply::Refused { .. }
            | ShardReply::Done { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Run { .. }
            | ShardReply::Runs { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Driven { .. } => return Ok(None),
        }
    }
    Ok((ends.len() == runs.len()).then_some(ends))
}

/// Reads the epoch, and how long an append has been stalled; `None` when the question must be asked again.
pub(super) fn named_epoch(replies: Vec<ShardReply>) -> Result<Option<(Epoch, Option<u64>)>, ClientError> {
    match replies.into_iter().next() {
        Some(ShardReply::Driven { epoch, appending_ms }) => Ok(Some((epoch, appending_ms))),
        Some(ShardReply::Refused { rejection: rejection @ Rejection::Held { .. } }) => {
            Err(ClientError::Refused(rejection))
        }
        Some(
            ShardReply::Refused { .. }
            | ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Run { .. }
            | ShardReply::Runs { .. },
        )
        | None => Ok(None),
    }
}

/// Returns whether a refusal says nothing about the command itself.
pub(super) fn is_passing(rejection: &Rejection) -> bool {
    match rejection {
        Rejection::NotOwner | Rejection::Overloaded => true,
        Rejection::Run(_)
        | Rejection::Workflow(_)
        | Rejection::Action(_)
        | Rejection::Gap { .. }
        | Rejection::Quarantined { .. }
        | Rejection::NotQuarantined
        | Rejection::NotReleased { .. }
        | Rejection::Poisoned { .. }
        | Rejection::Held { .. } => false,
    }
}
