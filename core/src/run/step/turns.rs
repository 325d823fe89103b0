//! How a loop begins, and goes round.

use super::Step;
use crate::run::budget::Later;
use crate::run::state::Around;
use crate::run::{BranchKind, RunEvent, RunFailure};

impl Step<'_, '_> {
    /// Returns whether the node stands for the loop that begins with it, in the branch around that.
    pub(super) fn stands_for_a_loop(&self) -> bool {
        self.node().region != self.decision.run().branches.of(self.place).region
    }

    /// Begins the first turn, or skips the loop.
    pub(super) fn enter_loop(&mut self) -> Result<(), Later> {
        if self.skip_if_dead() {
            return Ok(());
        }
        self.open_turn(0);
        Ok(())
    }

    /// Begins the next turn.
    pub(super) fn go_round(&mut self) -> Result<(), Later> {
        let Some(Around::Loop(turns)) = self.state().phase.around() else { return Ok(()) };
        let turn = turns.before;
        self.open_turn(turn);
        Ok(())
    }

    fn open_turn(&mut self, turn: u32) {
        let branches = &self.decision.run().branches;
        let first = branches.next();
        let max = self.decision.turn.of_run().turns;
        if branches.turns() >= max {
            let message = format!(
                "the loops of the run have gone round {max} times, and no run goes on longer (`--run-turns-max`)"
            );
            let failure = RunFailure::new("loop_limit", message).at(&self.address(), None);
            return self.decision.fail_in(self.place.branch, failure);
        }
        self.decision.emit(RunEvent::BranchesOpened {
            node: self.address(),
            kind: BranchKind::Turn,
            first,
            from: turn,
            count: 1,
        });
    }
}
