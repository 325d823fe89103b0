//! What the events of a run say of it to somebody who cannot fold them: enough to end it.

use std::collections::BTreeSet;

use super::{Record, Release};
use crate::asset::ProducerEnd;
use crate::run::{RunEvent, RunFailure, RunStatus};
use crate::{AssetId, NodeAddress};

/// What is needed of a run that is ended without being folded.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub start: Option<RunEvent>,
    pub needs: BTreeSet<(NodeAddress, AssetId)>,
    pub active: BTreeSet<NodeAddress>,
    /// How it ended, if it had: then it does not end again (`RUN-1`).
    pub status: Option<RunStatus>,
    pub ended: Option<ProducerEnd>,
}

impl Story {
    pub fn follow(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { .. } => {
                self.start.get_or_insert_with(|| event.clone());
            }
            RunEvent::NodeAwaitedAssets { node, needs } => {
                self.needs.extend(needs.iter().map(|need| (node.clone(), need.asset.clone())));
                self.active.insert(node.clone());
            }
            RunEvent::AttemptScheduled { node, .. }
            | RunEvent::RetryArmed { node, .. }
            | RunEvent::ItemsListed { node, .. } => {
                self.active.insert(node.clone());
            }
            RunEvent::NodeSucceeded { node, .. }
            | RunEvent::NodeFailed { node, .. }
            | RunEvent::NodeSkipped { node }
            | RunEvent::NodeCancelled { node } => {
                self.active.remove(node);
            }
            RunEvent::RunSucceeded { .. } => self.end(RunStatus::Succeeded, ProducerEnd::Succeeded),
            RunEvent::RunFailed { failure } => {
                self.end(RunStatus::Failed, ProducerEnd::Failed { failure: failure.clone() });
            }
            RunEvent::RunCancelled { reason } => {
                let failure = RunFailure::new("cancelled", format!("the producing run was cancelled: {reason}"));
                self.end(RunStatus::Cancelled, ProducerEnd::Failed { failure });
            }
            RunEvent::AssetResolved { .. }
            | RunEvent::AttemptGranted { .. }
            | RunEvent::AttemptReturned { .. }
            | RunEvent::AttemptStarted { .. }
            | RunEvent::AttemptFailed { .. }
            | RunEvent::RunEnding { .. }
            | RunEvent::BranchesOpened { .. }
            | RunEvent::BranchClosing { .. }
            | RunEvent::JoinClosing { .. }
            | RunEvent::BranchEnded { .. }
            | RunEvent::AssetRecorded { .. } => {}
        }
    }

    fn end(&mut self, status: RunStatus, end: ProducerEnd) {
        (self.status, self.ended) = (Some(status), Some(end));
        self.active.clear();
    }

    /// A run that was released goes on, or has ended, as its record says.
    pub fn follow_release(&mut self, release: &Release) {
        if let Record::Run { .. } = &release.record {
            (self.status, self.ended) = (None, None);
        } else if let Record::Ended { status, .. } = &release.record {
            self.status = Some(*status);
        }
    }

    pub fn is_keyed(&self) -> bool {
        matches!(&self.start, Some(RunEvent::RunStarted { keyed: true, .. }))
    }
}
