//! A node whose nodes succeed or fail together.

use super::Step;
use super::kind::Kind;
use crate::run::budget::Later;
use crate::run::state::Due;
use crate::run::{BranchKind, BranchOutcome, RunEvent, RunFailure, produce};
use crate::{Attempt, Json};

pub(super) struct Together;

impl Kind for Together {
    /// Begins the next try.
    fn begin(&self, step: &mut Step<'_, '_>, _: Option<Json>) -> Result<(), Later> {
        let (first, from) = (step.decision.run().branches.next(), step.state().attempts);
        let kind = BranchKind::Try;
        step.decision.emit(RunEvent::BranchesOpened { node: step.address(), kind, first, from, count: 1 });
        Ok(())
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            Due::Timeout => {
                for branch in step.decision.run().open_in(step.place) {
                    let failure = RunFailure::new("timeout", "the group took too long");
                    let failure = failure.at(&step.address(), Some(step.attempt()));
                    step.decision.emit(RunEvent::BranchClosing { branch, failure });
                }
                Ok(())
            }
            Due::Retry | Due::Time => self.begin(step, None),
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}

/// Ends the group as its try has ended, or arms another.
pub(super) fn end_try(step: &mut Step<'_, '_>, outcome: BranchOutcome) -> Result<(), Later> {
    let attempt = Attempt::new(step.state().attempts.max(1));
    let output = match outcome {
        BranchOutcome::Succeeded { output, key: _ } => output,
        BranchOutcome::Failed { failure } => return step.fail_try(attempt, failure),
        BranchOutcome::SucceededAs { .. } | BranchOutcome::Cancelled {} | BranchOutcome::Turned { .. } => {
            let failure = RunFailure::new("cancelled", "the try of the group was withdrawn");
            return step.fail_try(attempt, failure);
        }
    };
    let node = step.node();
    match produce::check(node, produce::of_pure(node, &output), step.work()) {
        Ok(assets) => step.succeed(attempt, output, assets, None),
        Err(failure) => step.fail(failure, Some(attempt)),
    }
}
