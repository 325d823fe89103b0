//! What events are called.

use super::RunEvent;

impl RunEvent {
    /// Returns its name, as it is written.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "runStarted",
            Self::RunDescribed { .. } => "runDescribed",
            Self::NodeAwaitedAssets { .. } => "nodeAwaitedAssets",
            Self::AssetResolved { .. } => "assetResolved",
            Self::MemoAsked { .. } => "memoAsked",
            Self::MemoCleared { .. } => "memoCleared",
            Self::MemoLeft { .. } => "memoLeft",
            Self::AttemptScheduled { .. } => "attemptScheduled",
            Self::SignalReceived { .. } => "signalReceived",
            Self::SignalTaken { .. } => "signalTaken",
            Self::RunPaused { .. } => "runPaused",
            Self::RunResumed { .. } => "runResumed",
            Self::RunTerminated { .. } => "runTerminated",
            Self::RunStopping { .. } => "runStopping",
            Self::RunMigrated { .. } => "runMigrated",
            Self::NodeOverruled { .. } => "nodeOverruled",
            Self::TimerChanged { .. } => "timerChanged",
            Self::SignalAnswered { .. } => "signalAnswered",
            Self::PersonAsked { .. } => "personAsked",
            Self::PersonAnswered { .. } => "personAnswered",
            Self::PersonReassigned { .. } => "personReassigned",
            Self::PersonReminded { .. } => "personReminded",
            Self::ChildCalled { .. } => "childCalled",
            Self::ChildWithdrawn { .. } => "childWithdrawn",
            Self::AttemptGranted { .. } => "attemptGranted",
            Self::AttemptReturned { .. } => "attemptReturned",
            Self::AttemptStarted { .. } => "attemptStarted",
            Self::AttemptFailed { .. } => "attemptFailed",
            Self::RetryArmed { .. } => "retryArmed",
            Self::NodeSucceeded { .. } => "nodeSucceeded",
            Self::NodeFailed { .. } => "nodeFailed",
            Self::CompensationKept { .. } => "compensationKept",
            Self::NodeSkipped { .. } => "nodeSkipped",
            Self::NodeCancelled { .. } => "nodeCancelled",
            Self::RunEnding { .. } => "runEnding",
            Self::ItemsListed { .. } => "itemsListed",
            Self::BranchesOpened { .. } => "branchesOpened",
            Self::BranchClosing { .. } => "branchClosing",
            Self::JoinClosing { .. } => "joinClosing",
            Self::BranchEnded { .. } => "branchEnded",
            Self::AssetRecorded { .. } => "assetRecorded",
            Self::RunSucceeded { .. } => "runSucceeded",
            Self::RunFailed { .. } => "runFailed",
            Self::RunCancelled { .. } => "runCancelled",
        }
    }
}
