//! What the events of a run say of it to somebody who cannot fold them: enough to end it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Record, Release};
use crate::asset::ProducerEnd;
use crate::dialogue::{ChildEnd, Continuation, InputVersion};
use crate::run::{Renamed, RunEvent, RunFailure, RunStatus};
use crate::{AssetId, DefinitionVersion, NodeAddress, PartitionKey, RunId, Version};

/// What is needed of a run that is ended without being folded.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub start: Option<RunEvent>,
    /// Which version it is at.
    pub version: Option<DefinitionVersion>,
    pub needs: BTreeSet<(NodeAddress, AssetId)>,
    /// What its nodes have asked memos for.
    pub asked: BTreeSet<(NodeAddress, String)>,
    pub active: BTreeSet<NodeAddress>,
    /// How it ended, if it had: then it does not end again (`RUN-1`).
    pub status: Option<RunStatus>,
    pub ended: Option<ProducerEnd>,
    /// The same for whoever called it.
    pub child_end: Option<ChildEnd>,
    /// Which versions are recorded of what its caller waits for.
    pub recorded: Vec<InputVersion>,
    /// The runs that it has called and waits for.
    pub children: BTreeMap<NodeAddress, RunId>,
    /// The run that goes on from it, told to start.
    pub successor: Option<RunId>,
    /// It has ended, and that one goes on.
    pub goes_on: bool,
}

impl Story {
    pub fn follow(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { version, .. } => {
                self.version = Some(*version);
                self.start.get_or_insert_with(|| event.clone());
            }
            RunEvent::NodeAwaitedAssets { node, needs } => {
                self.needs.extend(needs.iter().map(|need| (node.clone(), need.asset.clone())));
                self.active.insert(node.clone());
            }
            RunEvent::MemoAsked { node, digest, .. } => {
                self.asked.insert((node.clone(), digest.clone()));
                self.active.insert(node.clone());
            }
            RunEvent::AttemptScheduled { node, child: Some(child), .. } => {
                self.active.insert(node.clone());
                self.children.insert(node.clone(), *child);
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
                self.children.remove(node);
            }
            RunEvent::AttemptFailed { node, .. } | RunEvent::ChildWithdrawn { node, .. } => {
                self.children.remove(node);
            }
            RunEvent::SuccessorCalled { successor } => self.successor = Some(*successor),
            RunEvent::RunSucceeded { .. } | RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. } => {
                self.follow_end(event);
            }
            RunEvent::RunMigrated { version, map, .. } => self.go_over(*version, map),
            RunEvent::AssetRecorded { asset, partition, version, .. } => self.record(asset, partition, *version),
            RunEvent::AssetResolved { .. }
            | RunEvent::MemoCleared { .. }
            | RunEvent::SignalReceived { .. }
            | RunEvent::SignalInherited { .. }
            | RunEvent::CallbackAwaited { .. }
            | RunEvent::CallbackHeard { .. }
            | RunEvent::CallbackAnswered { .. }
            | RunEvent::SuccessorChosen { .. }
            | RunEvent::SuccessorWithdrawn { .. }
            | RunEvent::SignalTaken { .. }
            | RunEvent::RunPaused { .. }
            | RunEvent::RunResumed { .. }
            | RunEvent::RunTerminated { .. }
            | RunEvent::RunStopping { .. }
            | RunEvent::NodeOverruled { .. }
            | RunEvent::TimerChanged { .. }
            | RunEvent::CompensationKept { .. }
            | RunEvent::SignalAnswered { .. }
            | RunEvent::PersonAsked { .. }
            | RunEvent::PersonAnswered { .. }
            | RunEvent::PersonReassigned { .. }
            | RunEvent::PersonReminded { .. }
            | RunEvent::MemoLeft { .. }
            | RunEvent::AttemptGranted { .. }
            | RunEvent::AttemptReturned { .. }
            | RunEvent::AttemptStarted { .. }
            | RunEvent::ChildCalled { .. }
            | RunEvent::RunEnding { .. }
            | RunEvent::BranchesOpened { .. }
            | RunEvent::BranchClosing { .. }
            | RunEvent::JoinClosing { .. }
            | RunEvent::BranchEnded { .. }
            | RunEvent::RunDescribed { .. }
            | RunEvent::ResultsRecalled { .. } => {}
        }
    }

    fn follow_end(&mut self, event: &RunEvent) {
        if let RunEvent::RunSucceeded { output, successor } = event {
            let recorded = std::mem::take(&mut self.recorded);
            let child_end = ChildEnd::Succeeded { output: output.clone(), recorded };
            self.end(RunStatus::Succeeded, ProducerEnd::Succeeded, child_end);
            // Whoever waits for it, waits for the end of the chain.
            self.goes_on = successor.is_some();
        } else if let RunEvent::RunFailed { failure } = event {
            let child_end = ChildEnd::Failed { failure: failure.clone() };
            self.end(RunStatus::Failed, ProducerEnd::Failed { failure: failure.clone() }, child_end);
        } else if let RunEvent::RunCancelled { reason } = event {
            let failure = RunFailure::new("cancelled", format!("the producing run was cancelled: {reason}"));
            let child_end = ChildEnd::Cancelled { reason: reason.clone() };
            self.end(RunStatus::Cancelled, ProducerEnd::Failed { failure }, child_end);
        }
    }

    /// What is under way is called otherwise from now on; what it has asked others for it keeps asking under the old name.
    fn go_over(&mut self, version: DefinitionVersion, map: &Renamed) {
        self.version = Some(version);
        let name = |node: NodeAddress| match map.get(node.node()) {
            Some(Some(now)) => NodeAddress::new(now.clone(), node.branch()),
            Some(None) | None => node,
        };
        self.active = std::mem::take(&mut self.active).into_iter().map(name).collect();
        let children = std::mem::take(&mut self.children).into_iter();
        self.children = children.map(|(node, child)| (name(node), child)).collect();
    }

    /// Notes a version that its caller was promised.
    fn record(&mut self, asset: &AssetId, partition: &Option<PartitionKey>, version: Version) {
        let is_promised = |start: &RunEvent| matches!(start, RunEvent::RunStarted { trigger, .. } if trigger.promised().contains(asset));
        if self.start.as_ref().is_some_and(is_promised) {
            self.recorded.retain(|known| known.asset != *asset);
            let (asset, partition) = (asset.clone(), partition.clone());
            self.recorded.push(InputVersion { asset, partition, version });
        }
    }

    fn end(&mut self, status: RunStatus, end: ProducerEnd, child_end: ChildEnd) {
        (self.status, self.ended, self.child_end) = (Some(status), Some(end), Some(child_end));
        self.active.clear();
        self.children.clear();
        self.successor = None;
    }

    /// A run that was released goes on, or has ended, as its record says.
    pub fn follow_release(&mut self, release: &Release) {
        if let Record::Run { .. } = &release.record {
            (self.status, self.ended, self.child_end) = (None, None, None);
        } else if let Record::Ended { status, .. } = &release.record {
            self.status = Some(*status);
        }
    }

    /// Returns as which run those know it that wait for its end: the first of its chain.
    pub fn known_as(&self, id: RunId) -> RunId {
        match &self.start {
            Some(RunEvent::RunStarted { continued: Some(continued), .. }) => match continued.how {
                Continuation::Successor { first, .. } => first,
                Continuation::Retry {} | Continuation::Restart { .. } | Continuation::Fork { .. } => id,
            },
            Some(_) | None => id,
        }
    }

    pub fn is_keyed(&self) -> bool {
        matches!(&self.start, Some(RunEvent::RunStarted { keyed: true, .. }))
    }
}
