//! What can happen to a run and its nodes, as a table of where they stand and what they learn. Every fold asks it before it
//! changes anything: what cannot be has not been decided by any release, and the run is quarantined.

use super::state::{Phase, Run};
use super::{RunEvent, RunStatus};
use crate::NodeAddress;

/// Says what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Illegal {
    #[error("an event names a node that the definition does not have: {node}")]
    Unknown { node: NodeAddress },
    #[error("the node {node} is {stands} and learns {event}")]
    Node { node: NodeAddress, stands: &'static str, event: &'static str },
    #[error("the run {stands} and learns {event}")]
    Run { stands: &'static str, event: &'static str },
}

/// Asks whether a run that stands where it does can learn this.
///
/// # Errors
/// What cannot be.
pub(crate) fn check(run: &Run, event: &RunEvent) -> Result<(), Illegal> {
    let word = event.word();
    if let Some(stands) = out_of_course(run, event) {
        return Err(Illegal::Run { stands, event: word });
    }
    let Some(node) = event.node() else { return Ok(()) };
    let place = run.find(node).ok_or_else(|| Illegal::Unknown { node: node.clone() })?;
    let phase = &run.node(place).phase;
    if can_learn(phase, event) {
        Ok(())
    } else {
        Err(Illegal::Node { node: node.clone(), stands: stands(phase), event: word })
    }
}

/// Where the run stands, if it can learn no such thing there.
fn out_of_course(run: &Run, event: &RunEvent) -> Option<&'static str> {
    if run.status.is_terminal() {
        return Some("has ended");
    }
    let ending = run.ending.as_ref().map(|ending| (ending.status(), "is ending"));
    let unless = |status: RunStatus| ending.filter(|(certain, _)| *certain != status).map(|(_, stands)| stands);
    match event {
        RunEvent::RunStarted { .. } => Some("has started"),
        RunEvent::NodeCancelled { .. } => None,
        RunEvent::RunFailed { .. } => unless(RunStatus::Failed),
        RunEvent::RunCancelled { .. } => unless(RunStatus::Cancelled),
        RunEvent::RunSucceeded { .. } => {
            ending.map(|(_, stands)| stands).or((run.branches.active() > 0).then_some("has active nodes"))
        }
        RunEvent::RunEnding { .. }
        | RunEvent::NodeAwaitedAssets { .. }
        | RunEvent::AssetResolved { .. }
        | RunEvent::AttemptScheduled { .. }
        | RunEvent::AttemptGranted { .. }
        | RunEvent::AttemptReturned { .. }
        | RunEvent::AttemptStarted { .. }
        | RunEvent::AttemptFailed { .. }
        | RunEvent::RetryArmed { .. }
        | RunEvent::NodeSucceeded { .. }
        | RunEvent::NodeFailed { .. }
        | RunEvent::NodeSkipped { .. }
        | RunEvent::AssetRecorded { .. } => ending.map(|(_, stands)| stands),
    }
}

/// The table.
fn can_learn(phase: &Phase, event: &RunEvent) -> bool {
    use Phase::{AwaitingAssets, Current, Pending, Retrying, Succeeded};
    match event {
        RunEvent::NodeAwaitedAssets { .. } | RunEvent::NodeSkipped { .. } => matches!(phase, Pending),
        RunEvent::AssetResolved { .. } => matches!(phase, AwaitingAssets { .. }),
        // An attempt that was given back is current until the next is.
        RunEvent::AttemptScheduled { .. } => {
            matches!(phase, Pending | AwaitingAssets { .. } | Retrying { .. } | Current(_))
        }
        RunEvent::AttemptGranted { .. }
        | RunEvent::AttemptReturned { .. }
        | RunEvent::AttemptStarted { .. }
        | RunEvent::AttemptFailed { .. }
        | RunEvent::RetryArmed { .. } => matches!(phase, Current(_)),
        // Pure nodes end as they begin.
        RunEvent::NodeSucceeded { .. } => matches!(phase, Pending | AwaitingAssets { .. } | Current(_)),
        RunEvent::NodeFailed { .. } => matches!(phase, Pending | AwaitingAssets { .. } | Current(_) | Retrying { .. }),
        RunEvent::NodeCancelled { .. } => phase.is_active(),
        RunEvent::AssetRecorded { .. } => matches!(phase, Succeeded),
        RunEvent::RunStarted { .. }
        | RunEvent::RunEnding { .. }
        | RunEvent::RunSucceeded { .. }
        | RunEvent::RunFailed { .. }
        | RunEvent::RunCancelled { .. } => true,
    }
}

fn stands(phase: &Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::AwaitingAssets { .. } => "waiting for assets",
        Phase::Current(_) => "at an attempt",
        Phase::Retrying { .. } => "waiting for its next attempt",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
        Phase::Skipped => "skipped",
        Phase::Cancelled => "cancelled",
    }
}

impl RunEvent {
    /// Returns its name, as it is written.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "runStarted",
            Self::NodeAwaitedAssets { .. } => "nodeAwaitedAssets",
            Self::AssetResolved { .. } => "assetResolved",
            Self::AttemptScheduled { .. } => "attemptScheduled",
            Self::AttemptGranted { .. } => "attemptGranted",
            Self::AttemptReturned { .. } => "attemptReturned",
            Self::AttemptStarted { .. } => "attemptStarted",
            Self::AttemptFailed { .. } => "attemptFailed",
            Self::RetryArmed { .. } => "retryArmed",
            Self::NodeSucceeded { .. } => "nodeSucceeded",
            Self::NodeFailed { .. } => "nodeFailed",
            Self::NodeSkipped { .. } => "nodeSkipped",
            Self::NodeCancelled { .. } => "nodeCancelled",
            Self::RunEnding { .. } => "runEnding",
            Self::AssetRecorded { .. } => "assetRecorded",
            Self::RunSucceeded { .. } => "runSucceeded",
            Self::RunFailed { .. } => "runFailed",
            Self::RunCancelled { .. } => "runCancelled",
        }
    }
}
