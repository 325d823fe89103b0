//! Which node an event is about.

use super::RunEvent;
use crate::NodeAddress;

impl RunEvent {
    /// Returns the node the event is about; events of the whole run have none.
    pub fn node(&self) -> Option<&NodeAddress> {
        match self {
            Self::NodeAwaitedAssets { node, .. }
            | Self::AssetResolved { node, .. }
            | Self::MemoAsked { node, .. }
            | Self::MemoCleared { node }
            | Self::MemoLeft { node, .. }
            | Self::AttemptScheduled { node, .. }
            | Self::SignalTaken { node, .. }
            | Self::SignalAnswered { node, .. }
            | Self::PersonAsked { node, .. }
            | Self::PersonAnswered { node, .. }
            | Self::PersonReassigned { node, .. }
            | Self::PersonReminded { node, .. }
            | Self::CallbackAwaited { node, .. }
            | Self::CallbackHeard { node, .. }
            | Self::ChildCalled { node, .. }
            | Self::ChildWithdrawn { node, .. }
            | Self::AttemptGranted { node, .. }
            | Self::AttemptReturned { node, .. }
            | Self::AttemptStarted { node, .. }
            | Self::AttemptFailed { node, .. }
            | Self::RetryArmed { node, .. }
            | Self::NodeSucceeded { node, .. }
            | Self::NodeFailed { node, .. }
            | Self::CompensationKept { node, .. }
            | Self::NodeSkipped { node }
            | Self::NodeCancelled { node }
            | Self::ItemsListed { node, .. }
            | Self::BranchesOpened { node, .. }
            | Self::JoinClosing { node, .. }
            | Self::NodeOverruled { node, .. }
            | Self::TimerChanged { node, .. }
            | Self::SuccessorChosen { node, .. }
            | Self::AssetRecorded { node, .. } => Some(node),
            Self::RunStarted { .. }
            | Self::RunDescribed { .. }
            | Self::ResultsRecalled { .. }
            | Self::SignalReceived { .. }
            | Self::SignalInherited { .. }
            | Self::CallbackAnswered { .. }
            | Self::SuccessorCalled { .. }
            | Self::SuccessorWithdrawn { .. }
            | Self::RunPaused { .. }
            | Self::RunResumed { .. }
            | Self::RunTerminated { .. }
            | Self::RunStopping { .. }
            | Self::RunMigrated { .. }
            | Self::BranchClosing { .. }
            | Self::BranchEnded { .. }
            | Self::RunEnding { .. }
            | Self::RunSucceeded { .. }
            | Self::RunFailed { .. }
            | Self::RunCancelled { .. } => None,
        }
    }
}
