//! What a run has still to begin. It follows from its events, so whoever folds them knows how the run goes on: what does
//! not fit one decision is left for the next (`RunCommand::Continue`).

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::state::{Phase, Place, Run};
use super::step::{Readiness, readiness};

/// The nodes whose turn has come and that have not begun, in the order in which it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Agenda {
    order: VecDeque<Place>,
    listed: FxHashSet<Place>,
}

/// What a run does next of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A node begins, goes on with the assets it has got, or is skipped.
    Begin(Place),
    /// Nothing is left to be done: the output is made, and the run ends.
    Finish,
    /// The run ends before everything was done: what is active is withdrawn.
    Withdraw,
}

impl Agenda {
    pub fn push(&mut self, place: Place) {
        if self.listed.insert(place) {
            self.order.push_back(place);
        }
    }

    pub fn remove(&mut self, place: Place) {
        if !self.listed.remove(&place) {
            return;
        }
        if self.order.front() == Some(&place) {
            self.order.pop_front();
        } else {
            self.order.retain(|listed| *listed != place);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.order.iter()
    }
}

impl FromIterator<Place> for Agenda {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut agenda = Self::default();
        places.into_iter().for_each(|place| agenda.push(place));
        agenda
    }
}

impl Run {
    /// Returns whether it has something to do before anything else happens to it.
    pub fn has_agenda(&self) -> bool {
        self.next().is_some()
    }

    pub(super) fn next(&self) -> Option<Next> {
        if self.status.is_terminal() {
            return None;
        }
        if self.ending.is_some() {
            return Some(Next::Withdraw);
        }
        match self.agenda.order.front() {
            Some(place) => Some(Next::Begin(*place)),
            None if self.branches.active() == 0 && self.assets.unrecorded().is_empty() => Some(Next::Finish),
            None => None,
        }
    }

    /// Puts a node on the agenda if its turn has come.
    pub(super) fn list_if_ready(&mut self, place: Place) {
        let is_ready = match &self.node(place).phase {
            Phase::Pending => readiness(self.definition().node(place.node), self.node(place)) != Readiness::Wait,
            Phase::AwaitingAssets { missing } => missing.is_empty(),
            Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => false,
        };
        if is_ready {
            self.agenda.push(place);
        }
    }
}
