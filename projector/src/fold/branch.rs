//! What a run's events mean for `branches`.

use headwater_core::run::{BRANCHES_OPENED_MAX, BranchKind, BranchOutcome, RunEvent};
use headwater_core::{BranchId, Json, NodeAddress, RunId, Timestamp};

use super::Changes;
use crate::tables::{BranchEnd, BranchOpening, BranchStatus, TraceStatus, Value};

/// Returns whether an event opens more branches than any fact does, or such as have no number: the core has refused it.
pub(super) fn opens_too_many(event: &RunEvent) -> bool {
    let RunEvent::BranchesOpened { first, from, count, .. } = event else { return false };
    let ends = [first.get(), *from].map(|begin| begin.checked_add(*count).and_then(|end| i32::try_from(end).ok()));
    *count > BRANCHES_OPENED_MAX || ends.contains(&None)
}

/// Returns whether a branch ends as a node did that is not the one of the event before: the core has refused it.
pub(super) fn ends_as_nobody(events: &[RunEvent]) -> bool {
    let before = std::iter::once(None).chain(events.iter().map(Some));
    before.zip(events).any(|(before, event)| {
        let RunEvent::BranchEnded { branch, outcome: BranchOutcome::SucceededAs { node: named, .. } } = event else {
            return false;
        };
        let is_it = |node: &NodeAddress| node.branch() == *branch && node.node() == named;
        !matches!(before, Some(RunEvent::NodeSucceeded { node, .. }) if is_it(node))
    })
}

impl Changes {
    pub(super) fn open_branches(
        &mut self,
        run: RunId,
        opener: &NodeAddress,
        kind: BranchKind,
        (first, from, count): (BranchId, u32, u32),
        opened_at: Timestamp,
    ) {
        if kind == BranchKind::Try {
            let row = self.traces.of(run, opener, from + 1, TraceStatus::Running);
            row.scheduled_at = Some(opened_at);
        }
        for nth in 0..count {
            let branch = BranchId::new(first.get() + nth);
            self.branches.open(
                run,
                branch,
                BranchOpening { opener: opener.clone(), kind, position: from + nth, opened_at },
            );
        }
    }

    /// `made` is the output of the node that ended in the event before, if one did.
    pub(super) fn end_branch(
        &mut self,
        run: RunId,
        branch: BranchId,
        outcome: BranchOutcome,
        (value, made): (impl FnOnce(Json) -> Value, Option<Value>),
        ended_at: Timestamp,
    ) {
        let (status, again, output, failure) = match outcome {
            BranchOutcome::Succeeded { output, key: _ } => (BranchStatus::Succeeded, None, Some(value(output)), None),
            BranchOutcome::SucceededAs { .. } => (BranchStatus::Succeeded, None, made, None),
            BranchOutcome::Failed { failure } => (BranchStatus::Failed, None, None, Some(failure)),
            BranchOutcome::Cancelled {} => (BranchStatus::Cancelled, None, None, None),
            BranchOutcome::Turned { again } => (BranchStatus::Succeeded, Some(again), None, None),
        };
        self.branches.end(run, branch, BranchEnd { status, again, output, failure, ended_at });
    }
}
