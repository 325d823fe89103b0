//! What runs whatever the end of a run: when everything else is done or withdrawn, and before the end itself.

use super::agenda::{Next, Todo};
use super::state::{Phase, Place, Run};
use crate::failure::RunFailure;

impl Run {
    /// Returns the node whose nodes run whatever the end.
    fn finally(&self) -> Option<Place> {
        self.definition().finally.map(Place::root)
    }

    /// Returns whether a node runs whatever the end.
    pub(super) fn is_in_finally(&self, place: Place) -> bool {
        let Some(finally) = self.finally() else { return false };
        place == finally || self.branches.around(place.branch).any(|(_, branch)| branch.parent == Some(finally))
    }

    /// Returns whether there is something that runs whatever the end, and it has not begun.
    pub(super) fn is_before_finally(&self) -> bool {
        let is_skipped = self.waiting.halts.is_terminated();
        !is_skipped && self.finally().is_some_and(|finally| self.node(finally).phase == Phase::Pending)
    }

    /// Returns whether it is under way.
    pub(super) fn is_at_finally(&self) -> bool {
        self.finally().is_some_and(|finally| self.node(finally).phase.is_active())
    }

    /// Returns why it failed, if it did.
    pub(super) fn failure_of_finally(&self) -> Option<&RunFailure> {
        self.finally().and_then(|finally| self.node(finally).failure.as_deref())
    }

    /// Says what a run does next whose end is certain.
    pub(super) fn next_of_the_end(&self) -> Option<Next> {
        let Some(finally) = self.finally() else { return Some(Next::Withdraw) };
        if self.waiting.halts.is_terminated() {
            return Some(Next::Withdraw);
        }
        if self.is_at_finally() {
            return self.next_todo().map(Next::Do);
        }
        let is_withdrawn = self.branches.active() == 0;
        Some(if self.is_before_finally() && is_withdrawn { Next::Do(Todo::Begin(finally)) } else { Next::Withdraw })
    }
}
