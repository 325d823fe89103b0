//! How a run ends before everything was done: first it is certain how, then what is active is withdrawn, perhaps in several
//! turns, and then the end is taken down. What has to happen between the two goes between them.

use super::decision::Decision;
use super::event::{Ending, NAMES_BYTES};
use super::{RunEvent, RunFailure};

impl Decision<'_> {
    /// Ends the run badly.
    pub fn fail(&mut self, failure: RunFailure) {
        self.end(Ending::Failed { failure });
    }

    /// Makes certain how the run ends. Where all of it fits this decision, the end stands in the same commit.
    pub fn end(&mut self, ending: Ending) {
        let branches = &self.run().branches;
        let bytes = (branches.active() as usize + branches.ids().len()).saturating_mul(NAMES_BYTES);
        if self.turn.is_crowded_by(bytes) {
            self.emit(RunEvent::RunEnding { ending });
        } else {
            self.withdraw(ending);
        }
    }

    /// Ends every node that runs or waits, as far as this decision has room, and then the run.
    pub fn withdraw(&mut self, ending: Ending) {
        if self.withdraw_all().is_ok() {
            self.emit(ending.into_event());
        }
    }
}
