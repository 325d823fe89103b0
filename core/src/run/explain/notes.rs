//! What is noted of events for explanations, and the run itself does not keep: when something began, over which transitions a node
//! was left, why an attempt failed.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::Why;
use crate::definition::{Definition, NodeIx, Outcome, TransitionIx};
use crate::run::evolve::may_lead_back;
use crate::run::state::{Place, Run};
use crate::run::{BranchKind, BranchOutcome, RunEvent};
use crate::{BranchId, NodeAddress, Timestamp};

/// What was noted so far. Of branches that have ended nothing is kept but when what they produced began to be recorded.
#[derive(Debug, Default)]
pub(super) struct Notes {
    branches: FxHashMap<BranchId, OfBranch>,
    /// When nodes ended of which something is not recorded, and of how much.
    produced: BTreeMap<Place, (Timestamp, usize)>,
}

#[derive(Debug, Default)]
struct OfBranch {
    opened_at: Timestamp,
    nodes: BTreeMap<NodeIx, Note>,
}

/// What was noted of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct Note {
    /// When it came to where it stands.
    pub since: Timestamp,
    /// How its last attempt failed.
    pub failure: Option<Why>,
    /// How it was left, once it was.
    pub left: Option<Left>,
}

/// How a node was left.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub outcome: Outcome,
    /// The transitions taken. Absent: all of its outcome.
    pub taken: Option<Vec<u32>>,
    /// Those that had led back as often as they may.
    pub exhausted: Vec<u32>,
    /// What it took was somebody else's.
    pub reused: bool,
}

impl Notes {
    /// The run begins.
    pub fn begin(&mut self, time: Timestamp) {
        self.branches.insert(BranchId::ROOT, OfBranch { opened_at: time, nodes: BTreeMap::new() });
    }

    /// Returns what was noted of a node.
    pub fn of(&self, place: Place) -> Option<&Note> {
        self.branches.get(&place.branch)?.nodes.get(&place.node)
    }

    /// Returns when a branch was opened.
    pub fn opened_at(&self, branch: BranchId) -> Timestamp {
        self.branches.get(&branch).map_or_else(Timestamp::default, |branch| branch.opened_at)
    }

    /// Returns since when something that a node produced is not recorded.
    pub fn produced_at(&self, place: Place) -> Timestamp {
        self.produced.get(&place).map_or_else(Timestamp::default, |(at, _)| *at)
    }

    /// Notes what a run learns; `run` is as it was before.
    pub fn learn(&mut self, run: &Run, event: &RunEvent, time: Timestamp) {
        match event {
            RunEvent::NodeAwaitedAssets { node, .. }
            | RunEvent::MemoAsked { node, .. }
            | RunEvent::MemoCleared { node }
            | RunEvent::AttemptScheduled { node, .. }
            | RunEvent::AttemptGranted { node, .. }
            | RunEvent::RetryArmed { node, .. }
            | RunEvent::ItemsListed { node, .. }
            | RunEvent::NodeSkipped { node }
            | RunEvent::NodeCancelled { node } => self.enter(run, node, time),
            RunEvent::AttemptFailed { node, failure, .. } => {
                self.with(run, node, |note| note.failure = Some(Why::of(failure)));
            }
            RunEvent::NodeSucceeded { node, assets, taken, reused, .. } => {
                self.enter(run, node, time);
                self.leave(run, node, Outcome::Success, taken.clone(), reused.is_some());
                if let Some(place) = run.find(node).filter(|_| !assets.is_empty()) {
                    self.produced.insert(place, (time, assets.len()));
                }
            }
            RunEvent::NodeFailed { node, failure, taken, tolerated } => {
                self.enter(run, node, time);
                self.with(run, node, |note| note.failure = Some(Why::of(failure)));
                let outcome = if *tolerated { Outcome::Success } else { Outcome::Failure };
                self.leave(run, node, outcome, Some(taken.clone()), false);
            }
            RunEvent::BranchesOpened { node, kind, first, from: _, count } => {
                for id in (first.get()..).take(*count as usize) {
                    let branch = OfBranch { opened_at: time, nodes: BTreeMap::new() };
                    self.branches.insert(BranchId::new(id), branch);
                }
                match kind {
                    BranchKind::Item | BranchKind::Undo => {}
                    BranchKind::Turn | BranchKind::Try => self.enter(run, node, time),
                }
            }
            RunEvent::BranchEnded { branch, outcome } => self.end(run, *branch, outcome),
            RunEvent::AssetRecorded { node, .. } => self.record(run, node),
            RunEvent::RunStarted { .. }
            | RunEvent::RunDescribed { .. }
            | RunEvent::ResultsRecalled { .. }
            | RunEvent::AssetResolved { .. }
            | RunEvent::SignalReceived { .. }
            | RunEvent::SignalInherited { .. }
            | RunEvent::CallbackAwaited { .. }
            | RunEvent::CallbackHeard { .. }
            | RunEvent::CallbackAnswered { .. }
            | RunEvent::SuccessorChosen { .. }
            | RunEvent::SuccessorCalled { .. }
            | RunEvent::SuccessorWithdrawn { .. }
            | RunEvent::SignalTaken { .. }
            | RunEvent::RunPaused { .. }
            | RunEvent::RunResumed { .. }
            | RunEvent::RunTerminated { .. }
            | RunEvent::RunStopping { .. }
            | RunEvent::RunMigrated { .. }
            | RunEvent::NodeOverruled { .. }
            | RunEvent::TimerChanged { .. }
            | RunEvent::CompensationKept { .. }
            | RunEvent::SignalAnswered { .. }
            | RunEvent::PersonAsked { .. }
            | RunEvent::PersonAnswered { .. }
            | RunEvent::PersonReassigned { .. }
            | RunEvent::PersonReminded { .. }
            | RunEvent::MemoLeft { .. }
            | RunEvent::ChildCalled { .. }
            | RunEvent::ChildWithdrawn { .. }
            | RunEvent::AttemptReturned { .. }
            | RunEvent::AttemptStarted { .. }
            | RunEvent::JoinClosing { .. }
            | RunEvent::BranchClosing { .. }
            | RunEvent::RunEnding { .. }
            | RunEvent::RunSucceeded { .. }
            | RunEvent::RunFailed { .. }
            | RunEvent::RunCancelled { .. } => {}
        }
    }

    /// Follows the run to another version; `before` is the one that it was at. What was left is left over what counts as taken.
    pub fn follow(&mut self, before: &Definition, run: &Run, event: &RunEvent) {
        let RunEvent::RunMigrated { map, taken, .. } = event else { return };
        let definition = run.definition();
        let place = |node: NodeIx| {
            let named = &before.node(node).id;
            map.get(named).map_or(Some(named), Option::as_ref).and_then(|now| definition.find(now))
        };
        for branch in self.branches.values_mut() {
            let nodes = std::mem::take(&mut branch.nodes).into_iter().filter_map(|(node, mut note)| {
                let now = place(node)?;
                if let Some(left) = &mut note.left {
                    let leaving = definition.node(now).leaving().map(|way| way.0);
                    left.taken = Some(leaving.filter(|way| taken.binary_search(way).is_ok()).collect());
                    left.exhausted.clear();
                }
                Some((now, note))
            });
            branch.nodes = nodes.collect();
        }
        let produced = std::mem::take(&mut self.produced).into_iter();
        self.produced = produced.filter_map(|(at, of)| Some((at.beside(place(at.node)?), of))).collect();
    }

    fn with(&mut self, run: &Run, node: &NodeAddress, change: impl FnOnce(&mut Note)) {
        let Some(place) = run.find(node) else { return };
        if let Some(branch) = self.branches.get_mut(&place.branch) {
            change(branch.nodes.entry(place.node).or_default());
        }
    }

    fn enter(&mut self, run: &Run, node: &NodeAddress, time: Timestamp) {
        self.with(run, node, |note| note.since = time);
    }

    fn leave(&mut self, run: &Run, node: &NodeAddress, outcome: Outcome, taken: Option<Vec<u32>>, reused: bool) {
        let Some(place) = run.find(node) else { return };
        let definition = run.definition();
        let is_exhausted = |ix: &TransitionIx| !may_lead_back(run, definition, place.branch, *ix);
        let ways_back = definition.node(place.node).leaving().filter(|ix| definition.transition(*ix).back.is_some());
        let exhausted = ways_back.filter(is_exhausted).map(|ix| ix.0).collect();
        self.with(run, node, |note| note.left = Some(Left { outcome, taken, exhausted, reused }));
    }

    fn record(&mut self, run: &Run, node: &NodeAddress) {
        let Some(place) = run.place_of(node) else { return };
        let Some((_, count)) = self.produced.get_mut(&place) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.produced.remove(&place);
        }
    }

    /// A branch ends. After its last turn the nodes of a loop stand in the branch around it.
    fn end(&mut self, run: &Run, id: BranchId, outcome: &BranchOutcome) {
        let Some(ended) = self.branches.remove(&id) else { return };
        match outcome {
            BranchOutcome::Turned { again: false } => {
                let parent = run.branches.get(id).and_then(|branch| branch.parent);
                let around = parent.and_then(|parent| self.branches.get_mut(&parent.branch));
                if let Some(around) = around {
                    around.nodes.extend(ended.nodes);
                }
            }
            BranchOutcome::Succeeded { .. }
            | BranchOutcome::SucceededAs { .. }
            | BranchOutcome::Failed { .. }
            | BranchOutcome::Cancelled {}
            | BranchOutcome::Turned { again: true } => {}
        }
    }
}
