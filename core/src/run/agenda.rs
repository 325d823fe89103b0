//! What a run has still to begin. It follows from its events, so whoever folds them knows how the run goes on: what does
//! not fit one decision is left for the next (`RunCommand::Continue`).

use std::collections::{BTreeSet, VecDeque};

use super::schedule::{Readiness, readiness};
use super::state::{Phase, Run};
use crate::definition::NodeIx;

/// The nodes whose turn has come and that have not begun, in the order in which it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Agenda {
    order: VecDeque<NodeIx>,
    listed: BTreeSet<NodeIx>,
}

/// What a run does next of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A node begins, goes on with the assets it has got, or is skipped.
    Begin(NodeIx),
    /// Nothing is left to be done: the output is made, and the run ends.
    Finish,
    /// The run ends before everything was done: what is active is withdrawn.
    Withdraw,
}

impl Agenda {
    pub fn push(&mut self, ix: NodeIx) {
        if self.listed.insert(ix) {
            self.order.push_back(ix);
        }
    }

    pub fn remove(&mut self, ix: NodeIx) {
        if !self.listed.remove(&ix) {
            return;
        }
        if self.order.front() == Some(&ix) {
            self.order.pop_front();
        } else {
            self.order.retain(|listed| *listed != ix);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &NodeIx> {
        self.order.iter()
    }
}

impl FromIterator<NodeIx> for Agenda {
    fn from_iter<I: IntoIterator<Item = NodeIx>>(nodes: I) -> Self {
        let mut agenda = Self::default();
        nodes.into_iter().for_each(|ix| agenda.push(ix));
        agenda
    }
}

impl Run {
    /// Returns whether it has something to do before anything else happens to it.
    pub fn has_agenda(&self) -> bool {
        self.next_step().is_some()
    }

    pub(super) fn next_step(&self) -> Option<Step> {
        if self.status.is_terminal() {
            return None;
        }
        if self.ending.is_some() {
            return Some(Step::Withdraw);
        }
        match self.agenda.order.front() {
            Some(ix) => Some(Step::Begin(*ix)),
            None if self.active == 0 && self.unrecorded.is_empty() => Some(Step::Finish),
            None => None,
        }
    }

    /// Puts a node on the agenda if its turn has come.
    pub(super) fn list_if_ready(&mut self, ix: NodeIx) {
        let is_ready = match &self.node(ix).phase {
            Phase::Pending => readiness(self.definition.node(ix), self.node(ix)) != Readiness::Wait,
            Phase::AwaitingAssets { missing } => missing.is_empty(),
            Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => false,
        };
        if is_ready {
            self.agenda.push(ix);
        }
    }
}
