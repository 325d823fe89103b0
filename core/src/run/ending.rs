//! How a run ends before everything was done: first it is certain how, then what is active is withdrawn, perhaps in several
//! turns, and then the end is taken down. What has to happen between the two goes between them.

use super::decision::Decision;
use super::event::Ending;
use super::landing;
use super::weight::NAMES_BYTES;
use super::{RunEvent, RunFailure};

impl Decision<'_> {
    /// Ends the run badly.
    pub fn fail(&mut self, failure: RunFailure) {
        self.end(Ending::Failed { failure });
    }

    /// Makes certain how the run ends. Where all of it fits this decision, the end stands in the same commit.
    ///
    /// It is certain once: what happens until the end changes nothing of it.
    pub fn end(&mut self, ending: Ending) {
        if self.run().ending.is_some() {
            return;
        }
        if self.definition().finally.is_some() {
            return self.emit(RunEvent::RunEnding { ending });
        }
        let (branches, landings) = (&self.run().branches, self.run().assets.landings_count());
        let bytes = (branches.active() as usize + branches.ids().len() + landings).saturating_mul(NAMES_BYTES);
        if self.turn.is_crowded_by(bytes) {
            self.emit(RunEvent::RunEnding { ending });
        } else {
            self.withdraw(ending);
        }
    }

    /// Ends every node that runs or waits, as far as this decision has room, and then the run, unless something runs whatever
    /// the end, and has not.
    pub fn withdraw(&mut self, ending: Ending) {
        if self.withdraw_all().is_err() || self.run().is_before_finally() || landing::leave(self).is_err() {
            return;
        }
        let event = match (ending, self.run().failure_of_finally()) {
            (Ending::Succeeded { .. }, Some(failure)) => RunEvent::RunFailed { failure: failure.clone() },
            (ending, _) => ending.into_event(),
        };
        self.emit(event);
    }
}
