//! How much room a fact takes, and which of its values may stand beside the journal.

use super::event::{BranchOutcome, Ending, JoinClosing, RunEvent};
use super::mail::AwaitedSignal;
use super::produce::ProducedAsset;
use crate::{Json, NodeId, STORED_FROM};

/// About how many bytes the names in an event have, its own among them.
pub(super) const NAMES_BYTES: usize = 384;

/// How much room a fact takes: in the journal, and in the store of values, which has its large one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub bytes: usize,
    pub stored: usize,
}

impl Weight {
    pub fn of(value: &Json) -> Self {
        match value.len_bytes() {
            bytes if bytes < STORED_FROM => Self { bytes, stored: 0 },
            stored => Self { bytes: NAMES_BYTES, stored },
        }
    }

    /// Returns how much room both take.
    pub fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, stored: self.stored + other.stored }
    }
}

macro_rules! storable {
    ($event:expr) => {
        match $event {
            Self::RunStarted { input, .. }
            | Self::AttemptScheduled { input: Some(input), .. }
            | Self::MemoAsked { input: Some(input), .. } => Some(input),
            Self::SignalReceived { payload, .. } | Self::SignalInherited { payload, .. } => Some(payload),
            Self::SuccessorChosen { input, .. } => Some(input),
            Self::PersonAnswered { value, .. } => Some(value),
            Self::ItemsListed { items, .. } => Some(items),
            Self::ResultsRecalled { results, .. } => Some(results),
            Self::CompensationKept { input, .. } => Some(input),
            Self::NodeSucceeded { output, .. }
            | Self::RunSucceeded { output, .. }
            | Self::RunEnding { ending: Ending::Succeeded { output } }
            | Self::BranchEnded { outcome: BranchOutcome::Succeeded { output, .. }, .. } => Some(output),
            Self::AttemptScheduled { input: None, .. }
            | Self::MemoAsked { input: None, .. }
            | Self::RunDescribed { .. }
            | Self::MemoCleared { .. }
            | Self::MemoLeft { .. }
            | Self::RunEnding { ending: Ending::Failed { .. } | Ending::Cancelled { .. } }
            | Self::BranchEnded {
                outcome:
                    BranchOutcome::SucceededAs { .. }
                    | BranchOutcome::Failed { .. }
                    | BranchOutcome::Cancelled {}
                    | BranchOutcome::Turned { .. },
                ..
            }
            | Self::NodeAwaitedAssets { .. }
            | Self::AssetResolved { .. }
            | Self::SignalTaken { .. }
            | Self::CallbackAwaited { .. }
            | Self::CallbackHeard { .. }
            | Self::CallbackAnswered { .. }
            | Self::SuccessorCalled { .. }
            | Self::SuccessorWithdrawn { .. }
            | Self::SignalAnswered { .. }
            | Self::PersonAsked { .. }
            | Self::PersonReassigned { .. }
            | Self::PersonReminded { .. }
            | Self::ChildCalled { .. }
            | Self::ChildWithdrawn { .. }
            | Self::AttemptGranted { .. }
            | Self::AttemptReturned { .. }
            | Self::AttemptStarted { .. }
            | Self::AttemptFailed { .. }
            | Self::RetryArmed { .. }
            | Self::NodeFailed { .. }
            | Self::RunPaused { .. }
            | Self::RunResumed { .. }
            | Self::RunTerminated { .. }
            | Self::RunStopping { .. }
            | Self::RunMigrated { .. }
            | Self::NodeOverruled { .. }
            | Self::TimerChanged { .. }
            | Self::NodeSkipped { .. }
            | Self::NodeCancelled { .. }
            | Self::BranchesOpened { .. }
            | Self::BranchClosing { .. }
            | Self::JoinClosing { .. }
            | Self::AssetRecorded { .. }
            | Self::RunFailed { .. }
            | Self::RunCancelled { .. } => None,
        }
    };
}

impl RunEvent {
    /// Returns the value of the event that may stand in the store of values instead: its input, its items or its output. None
    /// has two. What is recorded as an asset is not among them.
    pub(crate) fn storable(&self) -> Option<&Json> {
        storable!(self)
    }

    pub(crate) fn storable_mut(&mut self) -> Option<&mut Json> {
        storable!(self)
    }
}

impl RunEvent {
    /// Returns about how many bytes it has as JSON: its texts, and an allowance for names. Costs no serialisation.
    /// Nothing for the events that end the run: they must always find room.
    pub(super) fn weight(&self) -> Weight {
        let of = |json: &Option<Json>| json.as_ref().map_or(0, Json::len_bytes);
        let storable = self.storable().map(Weight::of).unwrap_or_default();
        let beside = match self {
            Self::NodeAwaitedAssets { needs, .. } => {
                needs.iter().map(|n| 2 * NAMES_BYTES + of(&n.producer_input)).sum()
            }
            Self::AssetResolved { chosen, .. } => {
                chosen.as_ref().map_or(0, |c| 2 * NAMES_BYTES + c.payload.len_bytes())
            }
            Self::RunDescribed { description } => description.len_bytes(),
            Self::AttemptFailed { failure, .. } | Self::NodeFailed { failure, .. } => failure.len_bytes(),
            Self::NodeSucceeded { assets, .. } => {
                let of_asset =
                    |a: &ProducedAsset| 2 * NAMES_BYTES + a.payload.len_bytes() + of(&a.schema) + of(&a.freshness);
                assets.iter().map(of_asset).sum::<usize>()
            }
            Self::BranchEnded {
                outcome: BranchOutcome::Succeeded { key, .. } | BranchOutcome::SucceededAs { key, .. },
                ..
            } => key.as_ref().map_or(0, String::len),
            Self::BranchClosing { failure, .. }
            | Self::BranchEnded { outcome: BranchOutcome::Failed { failure }, .. }
            | Self::JoinClosing { join: JoinClosing::Failed { failure }, .. } => failure.message.len(),
            Self::RunPaused { reason, .. }
            | Self::RunResumed { reason, .. }
            | Self::NodeOverruled { reason, .. }
            | Self::TimerChanged { reason, .. } => reason.as_ref().map_or(0, String::len),
            Self::SuccessorWithdrawn { reason, .. } => reason.len(),
            Self::RunMigrated { map, taken, reason, .. } => {
                let name = |node: &NodeId| 8 + node.as_str().len();
                let names = map.iter().map(|(node, now)| name(node) + now.as_ref().map_or(4, name));
                names.sum::<usize>() + 7 * taken.len() + reason.as_ref().map_or(0, String::len)
            }
            Self::AttemptScheduled { signals, .. } => signals.iter().map(AwaitedSignal::len_bytes).sum(),
            Self::SignalAnswered { reply, .. } => reply.len_bytes(),
            Self::PersonAsked { task, .. } => task.len_bytes(),
            Self::PersonAnswered { invalid, .. } => invalid.as_ref().map_or(0, String::len),
            Self::PersonReassigned { assignees, reason, .. } => {
                reason.len() + assignees.iter().map(|name| 8 + name.as_str().len()).sum::<usize>()
            }
            Self::RunStarted { .. }
            | Self::PersonReminded { .. }
            | Self::MemoAsked { .. }
            | Self::MemoCleared { .. }
            | Self::MemoLeft { .. }
            | Self::SignalReceived { .. }
            | Self::CallbackAwaited { .. }
            | Self::CallbackHeard { .. }
            | Self::CallbackAnswered { .. }
            | Self::SignalInherited { .. }
            | Self::SuccessorChosen { .. }
            | Self::SuccessorCalled { .. }
            | Self::SignalTaken { .. }
            | Self::RunSucceeded { .. }
            | Self::RunEnding { ending: Ending::Succeeded { .. } }
            | Self::ItemsListed { .. }
            | Self::ResultsRecalled { .. }
            | Self::CompensationKept { .. }
            | Self::BranchesOpened { .. }
            | Self::JoinClosing { join: JoinClosing::Enough {}, .. }
            | Self::BranchEnded { outcome: BranchOutcome::Cancelled {} | BranchOutcome::Turned { .. }, .. }
            | Self::ChildCalled { .. }
            | Self::ChildWithdrawn { .. }
            | Self::AttemptGranted { .. }
            | Self::AttemptReturned { .. }
            | Self::AttemptStarted { .. }
            | Self::RetryArmed { .. }
            | Self::NodeSkipped { .. }
            | Self::NodeCancelled { .. }
            | Self::AssetRecorded { .. } => 0,
            Self::RunEnding { ending: Ending::Failed { .. } | Ending::Cancelled { .. } }
            | Self::RunTerminated { .. }
            | Self::RunStopping { .. }
            | Self::RunFailed { .. }
            | Self::RunCancelled { .. } => return Weight::default(),
        };
        Weight { bytes: NAMES_BYTES + storable.bytes + beside, stored: storable.stored }
    }
}
