//! What is undone once it is certain that a run fails or is cancelled: after everything else is withdrawn, and before what runs
//! whatever the end.

use super::state::{Phase, Place, Run};

/// Returns the node whose branches undo.
pub(super) fn place(run: &Run) -> Option<Place> {
    run.definition().compensation.as_ref().map(|of| Place::root(of.node))
}

/// Returns it if something has succeeded that will be undone, and none of that has begun.
pub(super) fn to_begin(run: &Run) -> Option<Place> {
    place(run).filter(|place| is_owed(run) && run.node(*place).phase == Phase::Pending)
}

/// Returns whether something is being undone.
pub(super) fn is_under_way(run: &Run) -> bool {
    place(run).is_some_and(|place| run.node(place).phase.is_active())
}

/// Returns whether something is left that the end asks to be undone.
pub(super) fn is_owed(run: &Run) -> bool {
    let is_over = run.waiting.halts().is_terminated();
    !is_over && !run.branches.kept().is_empty() && run.ending.as_ref().is_some_and(|ending| ending.compensates())
}

/// Returns whether a node undoes, or is in such a branch.
pub(super) fn holds(run: &Run, at: Place) -> bool {
    place(run).is_some_and(|compensation| is_of(run, at, compensation))
}

/// Returns whether a node is this one, or stands in it.
pub(super) fn is_of(run: &Run, at: Place, around: Place) -> bool {
    at == around || run.branches.around(at.branch).any(|(_, branch)| branch.parent == Some(around))
}
