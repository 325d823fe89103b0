//! What undoes a node is kept when that has succeeded, and all of it is undone where the run fails or is cancelled: what has
//! succeeded last first, one after the other.

use serde::Serialize;
use serde_json::json;

use super::Step;
use super::items::{BRANCH_WORK, NODE_WORK};
use super::kind::Kind;
use crate::definition::UNDONE;
use crate::run::agenda::size_of;
use crate::run::budget::Later;
use crate::run::state::{Around, Due, WayOut};
use crate::run::{BranchKind, RunEvent, RunFailure};
use crate::{Attempt, Json, NodeAddress};

/// What undoes a node is given, where the document does not say it.
#[derive(Serialize)]
struct Undone<'u> {
    input: &'u Json,
    output: &'u Json,
}

/// The node whose branches undo.
pub(super) struct Undoes;

impl Kind for Undoes {
    /// Says what is undone, in the order of that.
    fn begin(&self, step: &mut Step<'_, '_>, _: Option<Json>) -> Result<(), Later> {
        let run = step.decision.run();
        let undone: Vec<NodeAddress> = run.branches.kept().iter().rev().map(|kept| run.address(kept.place)).collect();
        let event = RunEvent::ItemsListed { node: step.address(), items: Json::of(&undone) };
        // The list has to find room: nothing is undone before.
        step.decision.turn.check_room_at_end(event.weight())?;
        step.decision.emit(event);
        Ok(())
    }

    /// Nothing is ever due of it.
    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            Due::Timeout | Due::Retry | Due::Time => go_on(step),
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}

/// Undoes what has succeeded last of what is left, or ends.
pub(super) fn go_on(step: &mut Step<'_, '_>) -> Result<(), Later> {
    let branches = &step.decision.run().branches;
    let Some(left) = branches.kept().len().checked_sub(1) else { return end(step) };
    let (first, from) = (branches.next(), u32::try_from(left).unwrap_or(u32::MAX));
    let size = size_of(step.decision.definition(), step.place);
    if step.work().take(BRANCH_WORK + NODE_WORK * size).is_err() {
        step.decision.turn.check_work()?;
    }
    step.decision.emit(RunEvent::BranchesOpened {
        node: step.address(),
        kind: BranchKind::Undo,
        first,
        from,
        count: 1,
    });
    Ok(())
}

fn end(step: &mut Step<'_, '_>) -> Result<(), Later> {
    let Some(Around::Undo(undoing)) = step.state().phase.around() else { return Ok(()) };
    let (undone, failed) = (undoing.undone, undoing.failed);
    if failed == 0 {
        let output = Json::of(&json!({ "undone": undone }));
        return step.succeed(Attempt::FIRST, output, Vec::new(), None);
    }
    let told: Vec<_> =
        undoing.failures.iter().map(|failure| json!({"code": failure.code, "nodeId": failure.node_id})).collect();
    let message = format!("{failed} of {} could not be undone", failed + undone);
    let failure = RunFailure::new("compensation_failed", message);
    let details = Json::of(&json!({"undone": undone, "failed": failed, "failures": told}));
    step.fail(failure.with_details(details), None)
}

/// Says why a node cannot begin whose success could not be undone any more.
pub(super) fn is_full(step: &Step<'_, '_>) -> Option<RunFailure> {
    step.decision.definition().undo_of(step.place.node)?;
    step.decision.run().branches.kept().refuses(0, 0)
}

/// What the attempt of a node was given, where it has one.
pub(super) fn given_to(step: &Step<'_, '_>) -> Option<Json> {
    step.input().or_else(|| step.current_in_any_case().map(|_| step.decision.run().input().clone()))
}

/// Makes what a node that succeeds with this output is undone with, where it says what undoes it.
///
/// # Errors
/// Why that cannot be kept: then the node fails, for it could not be undone.
pub(super) fn kept(step: &Step<'_, '_>, output: &Json) -> Result<Option<RunEvent>, RunFailure> {
    let run = step.decision.run();
    let Some(undo) = step.decision.definition().undo_of(step.place.node) else { return Ok(None) };
    let given = step.given.clone().or_else(|| given_to(step)).unwrap_or_default();
    let input = match &undo.input {
        None => {
            step.work().scan(given.len_bytes() + output.len_bytes())?;
            Json::of(&Undone { input: &given, output })
        }
        Some(template) => {
            let [node_input, made] = UNDONE;
            let (end, now) = (WayOut::Succeeded(output), step.decision.now());
            let beside = [(node_input, &given), (made, output)];
            run.with_scope_after(step.place, end, &beside, now, |scope| template.render_within(scope, step.work()))
                .map_err(|error| error.into_failure())?
        }
    };
    let bytes_max = step.decision.turn.bytes_max() / 2;
    match run.branches.kept().refuses(input.len_bytes(), bytes_max) {
        Some(failure) => Err(failure),
        None => Ok(Some(RunEvent::CompensationKept { node: step.address(), input })),
    }
}
