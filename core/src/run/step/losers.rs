//! Whom a join leaves behind that has enough.

use super::Step;
use crate::run::RunEvent;
use crate::run::budget::Later;
use crate::run::state::Phase;

/// Withdraws whoever would only have led to the node, where it says so: the race is won. What has not begun is skipped. What
/// this decision has no room for is left.
pub(super) fn withdraw(step: &mut Step<'_, '_>) -> Result<(), Later> {
    for loser in step.node().losers.iter().flatten() {
        let place = step.place.beside(*loser);
        let phase = &step.decision.run().node(place).phase;
        let (is_active, is_pending) = (phase.is_active(), *phase == Phase::Pending);
        if (is_active || is_pending) && !step.decision.turn.may_begin() {
            return Err(Later);
        }
        if is_active {
            step.decision.withdraw_node(place)?;
        } else if is_pending {
            let node = step.decision.run().address(place);
            step.decision.emit(RunEvent::NodeSkipped { node });
        }
    }
    Ok(())
}
