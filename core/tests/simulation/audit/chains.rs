//! What must hold of runs that go on as others: each has one successor, which starts once, before it has ended; and no signal that
//! nobody had taken is lost or taken twice on the way.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::run::{Continuation, ContinuedFrom, RunEvent};
use headwater_core::{CommandId, RunId};

#[derive(Default)]
pub struct ChainBooks {
    chosen: BTreeMap<RunId, RunId>,
    /// By the successor that was told to start.
    called: BTreeMap<RunId, RunId>,
    begun: BTreeSet<RunId>,
    /// By the run that ended so.
    pub went_on: BTreeMap<RunId, RunId>,
    /// What runs have received and nobody has taken, as far as it is handed over.
    kept: BTreeSet<(RunId, CommandId)>,
    pub inherited: u64,
    let_go: BTreeSet<RunId>,
}

impl ChainBooks {
    pub fn learn(&mut self, id: RunId, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { continued: Some(continued), .. } => {
                let ContinuedFrom { run, how, .. } = &**continued;
                if let Continuation::Successor { first, number, .. } = how {
                    assert_eq!(self.called.get(&id), Some(run), "{id} starts because {run} goes on as it");
                    assert!(*number > 0 && (*number > 1 || first == run), "{id} is number {number} of {first}");
                    self.begun.insert(id);
                }
            }
            RunEvent::SuccessorChosen { successor, .. } => {
                assert_eq!(self.chosen.insert(id, *successor), None, "{id} goes on as one run");
            }
            RunEvent::SuccessorWithdrawn { successor, .. } => {
                assert_eq!(self.chosen.get(&id), Some(successor), "{id} lets go of its own successor");
                assert!(self.let_go.insert(id), "{id} lets go of it once");
            }
            RunEvent::SuccessorCalled { successor } => {
                assert_eq!(self.chosen.get(&id), Some(successor), "{id} calls its own successor");
                assert_eq!(self.called.insert(*successor, id), None, "{successor} is called once");
            }
            RunEvent::RunSucceeded { successor, .. } => {
                assert_eq!(self.chosen.get(&id), successor.as_ref(), "{id} ends as it was certain");
                if let Some(successor) = successor {
                    assert!(self.begun.contains(successor), "{id} has ended before {successor} has begun");
                    self.went_on.insert(id, *successor);
                }
            }
            RunEvent::SignalReceived { signal, broadcast: false, update: false, .. } => {
                self.kept.insert((id, *signal));
            }
            RunEvent::SignalInherited { signal, .. } => {
                let before =
                    self.called.get(&id).copied().unwrap_or_else(|| panic!("{id} inherits {signal} of nobody"));
                assert!(self.kept.remove(&(before, *signal)), "{id} inherits {signal}, which {before} had not kept");
                self.kept.insert((id, *signal));
                self.inherited += 1;
            }
            _ => {}
        }
    }

    /// Whether it is certain as what a run goes on.
    pub fn has_chosen(&self, run: RunId) -> bool {
        self.chosen.contains_key(&run)
    }

    /// Whether a run has let go of that.
    pub fn has_let_go(&self, run: RunId) -> bool {
        self.let_go.contains(&run)
    }

    /// Somebody takes a signal, or gives it back.
    pub fn takes(&mut self, id: RunId, signal: CommandId, back: bool) {
        if back {
            self.kept.insert((id, signal));
        } else {
            self.kept.remove(&(id, signal));
        }
    }

    /// Returns the run that a chain ends with.
    pub fn last_of(&self, mut run: RunId) -> RunId {
        while let Some(successor) = self.went_on.get(&run) {
            run = *successor;
        }
        run
    }

    /// Nothing is left to happen.
    pub fn rest(&self) {
        let lost = self.kept.iter().find(|(run, _)| self.went_on.contains_key(run));
        assert_eq!(lost, None, "a signal that nobody had taken goes on with the run");
    }
}
