//! How a run ends before everything was done: first it is certain how, then what is active is withdrawn, perhaps in several
//! turns, and then the end is taken down. What has to happen between the two goes between them.

use super::decide::Decision;
use super::event::{Ending, NAMES_BYTES};
use super::{RunEvent, RunFailure};

impl Decision<'_, '_, '_> {
    /// Ends the run badly.
    pub fn fail_run(&mut self, failure: RunFailure) {
        self.end(Ending::Failed { failure });
    }

    /// Makes certain how the run ends. Where all of it fits this decision, the end stands in the same commit.
    pub fn end(&mut self, ending: Ending) {
        let bytes = (self.run.branches.active() as usize).saturating_mul(NAMES_BYTES);
        if bytes > 0 && self.bytes + bytes > self.budget.bytes / 2 {
            self.emit(RunEvent::RunEnding { ending });
        } else {
            self.withdraw(ending);
        }
    }

    /// Ends every node that runs or waits, as far as this decision has room, and then the run.
    pub fn withdraw(&mut self, ending: Ending) {
        let active = self.run.places().filter(|(_, state)| state.phase.is_active());
        let nodes: Vec<_> = active.map(|(place, _)| self.run.address(place)).collect();
        for node in nodes {
            if self.run.ending.is_some() && !self.may_begin() {
                return;
            }
            self.emit(RunEvent::NodeCancelled { node });
        }
        self.emit(ending.into_event());
    }
}
