//! A node that ends the run, so that another goes on from it.

use serde_json::json;

use super::kind::Kind;
use super::{Begins, Step};
use crate::definition::{ContinueAs, SuccessorVersion};
use crate::run::budget::Later;
use crate::run::decide::complete_input_within;
use crate::run::output::output_of;
use crate::run::recall;
use crate::run::state::{Due, Phase};
use crate::run::{Ending, RunEvent, RunFailure, RunRejection};
use crate::{Json, Slug};

pub(super) struct Continues<'n> {
    pub continues: &'n ContinueAs,
}

impl Kind for Continues<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        if is_told(step) {
            return go_on(step);
        }
        match check(step, self.continues, input.as_ref()) {
            Ok(()) => step.schedule(input, Begins::Successor),
            Err(failure) => step.fail(failure, None),
        }
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            // Nothing takes time but to learn which version is current; where some history says that it did, it begins anew.
            Due::Timeout | Due::Retry | Due::Time => {
                let input = step.input();
                self.begin(step, input)
            }
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}

/// Whether it is known of which version the successor is.
pub(super) fn is_told(step: &Step<'_, '_>) -> bool {
    step.current().is_some_and(|current| current.successor().is_some_and(|(_, version)| version.is_some()))
}

/// Refuses what would be refused: a successor that could not start.
fn check(step: &Step<'_, '_>, continues: &ContinueAs, input: Option<&Json>) -> Result<(), RunFailure> {
    let run = step.decision.run();
    if recall::is_sandbox(run) {
        let message = "a run in a sandbox does not go on as another: what it would have done next stays open";
        return Err(RunFailure::new("sandbox", message));
    }
    if continues.workflow.is_some() || continues.version == SuccessorVersion::Current {
        return Ok(());
    }
    let checked = complete_input_within(input.unwrap_or_else(|| run.input()), run.definition(), step.work());
    match checked {
        Ok(_) => Ok(()),
        Err(RunRejection::InputInvalid { message }) => Err(RunFailure::new("input_invalid", message)),
        Err(other) => Err(RunFailure::new("input_invalid", other.to_string())),
    }
}

/// Makes certain as what the run goes on, and that it ends.
fn go_on(step: &mut Step<'_, '_>) -> Result<(), Later> {
    let Some((successor, Some(version))) = step.current().and_then(|current| current.successor()) else {
        return Ok(());
    };
    let (attempt, node, now) = (step.attempt(), step.address(), step.decision.now());
    let run = step.decision.run();
    let input = step.input().unwrap_or_else(|| run.input().clone());
    let workflow = workflow_of(step);
    // Nobody is told of the output of a link: whoever waits, waits for the end of the chain. What has no value here has none.
    let output = match &run.definition().output {
        Some(_) => output_of(run, now, &step.decision.turn).unwrap_or_default(),
        None => Json::null(),
    };
    step.decision.turn.check_work()?;
    let chosen = RunEvent::SuccessorChosen { node, successor, workflow, version, input };
    let ending = |output: Json| RunEvent::RunEnding { ending: Ending::Succeeded { output } };
    let bytes_max = step.decision.turn.value_bytes_max();
    let ending = if output.len_bytes() > bytes_max { ending(Json::null()) } else { ending(output) };
    if !step.find_room(chosen.weight().and(ending.weight()), Some(attempt))? {
        return Ok(());
    }
    step.succeed(attempt, Json::of(&json!({ "runId": successor })), Vec::new(), None)?;
    if step.state().phase == Phase::Succeeded {
        step.decision.emit(chosen);
        step.decision.emit(ending);
    }
    Ok(())
}

fn workflow_of(step: &Step<'_, '_>) -> Slug {
    let said = step.node().action.continues().and_then(|continues| continues.workflow.clone());
    said.unwrap_or_else(|| step.decision.run().workflow().clone())
}
