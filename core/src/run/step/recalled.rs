//! What a node had made in the run that this one goes on from is taken for what it makes here.

use super::Step;
use crate::dialogue::{Asker, RecalledResult};
use crate::run::budget::Later;
use crate::run::recall;
use crate::{Attempt, Json};

/// Ends the node with what it had made there, if that counts whatever it was made of. Says whether it has.
pub(super) fn take(step: &mut Step<'_, '_>) -> Result<bool, Later> {
    match recall::result_for(step.decision.run(), step.place, None) {
        Some(known) => end_with(step, known).map(|()| true),
        None => Ok(false),
    }
}

/// The same, if it would be made of the same here.
pub(super) fn take_if_same(step: &mut Step<'_, '_>, input: Option<&Json>) -> Result<bool, Later> {
    let run = step.decision.run();
    let input = input.unwrap_or_else(|| run.input());
    let made_of = || {
        // What it takes to find out is looked at before the node ends.
        let _ = step.work().take(input.len_bytes() as u64);
        recall::made_of(input, &step.state().consumed)
    };
    match recall::result_for(run, step.place, Some(&made_of)) {
        Some(known) => end_with(step, known).map(|()| true),
        None => Ok(false),
    }
}

fn end_with(step: &mut Step<'_, '_>, (from, mut result): (Asker, RecalledResult)) -> Result<(), Later> {
    step.decision.turn.check_work()?;
    let versions = recall::versions(&mut result);
    (step.reused, step.given) = (Some(Box::new(from)), result.given);
    step.succeed_with(Attempt::FIRST, result.output, versions)
}
