//! What is undone once it is certain that a run fails or is cancelled: after everything else is withdrawn, and before what runs
//! whatever the end.

use super::state::{Phase, Place, Run};

impl Run {
    /// Returns the node whose branches undo.
    fn compensation(&self) -> Option<Place> {
        self.definition().compensation.as_ref().map(|of| Place::root(of.node))
    }

    /// Returns whether something has succeeded that will be undone, and none of that has begun.
    pub(super) fn is_before_compensation(&self) -> bool {
        self.has_to_compensate() && self.compensation().is_some_and(|place| self.node(place).phase == Phase::Pending)
    }

    /// Returns whether it is being undone.
    pub(super) fn is_compensating(&self) -> bool {
        self.compensation().is_some_and(|place| self.node(place).phase.is_active())
    }

    /// Returns whether something is left that the end asks to be undone.
    pub(super) fn has_to_compensate(&self) -> bool {
        !self.branches.kept().is_empty() && self.ending.as_ref().is_some_and(|ending| ending.compensates())
    }

    /// Returns whether a node is one of those that undo.
    pub(super) fn is_in_compensation(&self, place: Place) -> bool {
        self.compensation().is_some_and(|compensation| self.is_of(place, compensation))
    }
}
