//! Which runs have more to do than one decision took, and whose turn it is.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{Owner, Shard};
use crate::RunId;
use crate::run::Run;

/// The runs with an agenda, the longest waiting first. Who has one is folded; the order of turns is not, and a new owner
/// begins it anew.
#[derive(Debug, Default)]
pub(super) struct Turns {
    order: BTreeMap<u64, RunId>,
    places: FxHashMap<RunId, u64>,
    last: u64,
}

impl Turns {
    /// Keeps up with a run that has changed.
    pub fn follow(&mut self, run: &Run) {
        if !run.has_agenda() {
            self.forget(run.id());
        } else if !self.places.contains_key(&run.id()) {
            self.last += 1;
            self.places.insert(run.id(), self.last);
            self.order.insert(self.last, run.id());
        }
    }

    /// Lets a run go.
    pub fn forget(&mut self, run: RunId) {
        if let Some(place) = self.places.remove(&run) {
            self.order.remove(&place);
        }
    }
}

impl Shard {
    /// Returns the runs that have more to do of their own accord, in the order of their turns.
    pub fn unfinished(&self) -> impl ExactSizeIterator<Item = RunId> {
        self.docket.turns.order.values().copied()
    }
}

impl<C> Owner<C> {
    /// Returns the run whose turn it is to go on (`RunCommand::Continue`). What it leaves again is done when all others have
    /// had their turns.
    pub fn next_unfinished(&mut self) -> Option<RunId> {
        let turns = &mut self.shard.docket.turns;
        let (_, run) = turns.order.pop_first()?;
        turns.places.remove(&run);
        Some(run)
    }
}
