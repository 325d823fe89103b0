//! What runs whatever the end of a run: when everything else is done, withdrawn or undone, and before the end itself.

use super::agenda::{Next, Todo};
use super::compensation;
use super::state::{Phase, Place, Run};
use super::succession::next_or_wait;
use crate::failure::RunFailure;

impl Run {
    /// Returns the node whose nodes run whatever the end.
    fn finally(&self) -> Option<Place> {
        self.definition().finally.map(Place::root)
    }

    /// Returns whether a node waits for the end: it undoes something, or runs whatever the end.
    pub(super) fn is_at_the_end(&self, at: Place) -> bool {
        self.finally().is_some_and(|finally| compensation::is_of(self, at, finally)) || compensation::holds(self, at)
    }

    /// Returns whether there is something that runs whatever the end, and it has not begun.
    pub(super) fn is_before_finally(&self) -> bool {
        let is_skipped = self.waiting.halts().is_terminated();
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
}

/// Says what a run does next whose end is certain.
pub(super) fn next_of_the_end(run: &Run) -> Option<Next> {
    if run.is_stopping() {
        return run.held().next().is_none().then_some(Next::Stop);
    }
    if run.waiting.halts().is_terminated() {
        return next_or_wait(run);
    }
    if compensation::is_under_way(run) || run.is_at_finally() {
        return run.next_todo().map(Next::Do);
    }
    let is_withdrawn = run.branches.active() == 0;
    let next = compensation::to_begin(run).or_else(|| run.finally().filter(|_| run.is_before_finally()));
    Some(match next.filter(|_| is_withdrawn) {
        Some(place) => Next::Do(Todo::Begin(place)),
        None => return next_or_wait(run),
    })
}
