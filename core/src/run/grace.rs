//! How a run ends that is cancelled with a grace: nothing of it begins any more, and what workers hold may still report.

use std::time::Duration;

use super::budget::Later;
use super::decision::Decision;
use super::halt::{GRACE_MAX, Stopping};
use super::state::Run;
use super::{Ending, RunEvent};

/// Cancels a run: at once, or, where a grace is given, when nobody works on anything of it any more, and when that is over at the
/// latest. A grace that is under way stays as long as it is; without one it is over.
pub(super) fn cancel(decision: &mut Decision<'_>, reason: String, keeps: bool, grace_ms: u64) -> Result<(), Later> {
    let grace = Duration::from_millis(grace_ms).min(GRACE_MAX);
    if !grace.is_zero() && decision.run().is_stopping() {
        return Ok(());
    }
    // Of one that is to go on as another nobody works on anything any more but at its end.
    let is_ending = decision.run().ending().is_some();
    if grace.is_zero() || is_ending || decision.run().held().next().is_none() {
        decision.end(Ending::Cancelled { reason, keeps });
        return Ok(());
    }
    let until = decision.now().after(grace);
    decision.emit(RunEvent::RunStopping { until, reason, keeps });
    Ok(())
}

/// Ends a run that was cancelled with a grace.
pub(super) fn stop(decision: &mut Decision<'_>) -> Result<(), Later> {
    if let Some(Stopping { reason, keeps, .. }) = decision.run().waiting.halts().stopping().cloned() {
        decision.end(Ending::Cancelled { reason, keeps });
    }
    Ok(())
}

/// Says how a run ends that would end so: whatever fails within the grace, it was cancelled before.
pub(super) fn within(run: &Run, ending: Ending) -> Ending {
    match (run.waiting.halts().stopping(), &ending) {
        (Some(Stopping { reason, keeps, .. }), Ending::Failed { .. }) => {
            Ending::Cancelled { reason: reason.clone(), keeps: *keeps }
        }
        (Some(_) | None, _) => ending,
    }
}
