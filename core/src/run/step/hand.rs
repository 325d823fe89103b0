//! A node that somebody takes in hand: it ends, or is due, by his word.

use super::call::withdraw_child;
use super::signature::check_output;
use super::{Step, memo, signal, undo};
use crate::definition::SPAN_MAX;
use crate::run::decision::Decision;
use crate::run::mail::{Letter, takers};
use crate::run::output::check_depth;
use crate::run::state::Phase;
use crate::run::{AwaitedSignal, ProducedAsset, RunEvent, RunFailure, RunRejection, produce};
use crate::{Attempt, CommandId, Json, NodeAddress, Timestamp};

/// Why somebody does so.
pub(in crate::run) struct By {
    pub reason: Option<String>,
}

/// Ends a node as if it had not been reached. One that was skipped before stays so.
pub(in crate::run) fn skip(decision: &mut Decision<'_>, node: &NodeAddress, by: By) -> Result<(), RunRejection> {
    let mut step = match find(decision, node)? {
        Found::At(step) => step,
        Found::Ended { phase: Phase::Skipped, .. } => return Ok(()),
        Found::Ended { phase, .. } => return Err(not_active(node, &phase)),
    };
    let given_back = overrule(&mut step, by);
    step.decision.emit(RunEvent::NodeSkipped { node: node.clone() });
    give_on(decision, given_back);
    Ok(())
}

/// Ends a node well, with what it is said to have made. One that has made the same before stays as it is.
pub(in crate::run) fn complete(
    decision: &mut Decision<'_>,
    node: &NodeAddress,
    output: Json,
    assets: Vec<ProducedAsset>,
    by: By,
) -> Result<(), RunRejection> {
    let mut step = match find(decision, node)? {
        Found::At(step) => step,
        Found::Ended { phase: Phase::Succeeded, output: made } if made.as_ref() == Some(&output) => return Ok(()),
        Found::Ended { phase, .. } => return Err(not_active(node, &phase)),
    };
    let assets = check(&step, &output, assets)
        .map_err(|failure| RunRejection::OutputInvalid { message: format!("{}: {}", failure.code, failure.message) })?;
    let attempt = match &step.state().phase {
        // That which there would have been.
        Phase::Retrying { .. } => Attempt::new(step.state().attempts.saturating_add(1)),
        Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::AwaitingMemo(_)
        | Phase::Current(_)
        | Phase::Around(_)
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Skipped
        | Phase::Cancelled => step.attempt(),
    };
    let given_back = overrule(&mut step, by);
    // Nothing was spent but for what is checked again: what does not fit now never does, and the node fails.
    let ended = step.succeed(attempt, output, assets, None);
    debug_assert!(ended.is_ok(), "the first step of a decision waits for no other");
    give_on(decision, given_back);
    Ok(())
}

/// Has what a node waits for be due at another time.
pub(in crate::run) fn set_timer(
    decision: &mut Decision<'_>,
    node: &NodeAddress,
    (operation, due_at): (CommandId, Timestamp),
    by: By,
) -> Result<(), RunRejection> {
    let now = decision.now();
    if due_at > now.after(SPAN_MAX) {
        let message = "it is more than ten years away".to_owned();
        return Err(RunRejection::TimerInvalid { message });
    }
    let step = match find(decision, node)? {
        Found::At(step) => step,
        Found::Ended { phase, .. } => return Err(not_active(node, &phase)),
    };
    let due_before = match &step.state().phase {
        Phase::Retrying { due_at, .. } => Some((*due_at, Attempt::new(step.state().attempts.saturating_add(1)))),
        Phase::Current(current) => current.wakes_at().map(|at| (at, current.attempt)),
        Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::AwaitingMemo(_)
        | Phase::Around(_)
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Skipped
        | Phase::Cancelled => None,
    };
    let Some((due_before, attempt)) = due_before else {
        let message = "the node waits for no time: it is neither asleep nor between two attempts".to_owned();
        return Err(RunRejection::TimerInvalid { message });
    };
    if due_before != due_at {
        let By { reason } = by;
        step.decision.emit(RunEvent::TimerChanged { operation, node: node.clone(), attempt, due_at, reason });
    }
    Ok(())
}

/// Where the node stands that somebody means.
enum Found<'s, 'a> {
    /// It has begun and has not ended, and is made of no others.
    At(Step<'s, 'a>),
    Ended {
        phase: Phase,
        output: Option<Json>,
    },
}

fn find<'s, 'a>(decision: &'s mut Decision<'a>, node: &NodeAddress) -> Result<Found<'s, 'a>, RunRejection> {
    let run = decision.run();
    let unknown = || RunRejection::NodeNotFound { node: node.to_string() };
    let place = run.find(node).ok_or_else(unknown)?;
    let state = run.node(place);
    match &state.phase {
        Phase::AwaitingAssets { .. } | Phase::AwaitingMemo(_) | Phase::Current(_) | Phase::Retrying { .. }
            if run.goes_on(place) =>
        {
            Ok(Found::At(Step::at(decision, place)))
        }
        Phase::Succeeded | Phase::Failed | Phase::Skipped | Phase::Cancelled => {
            Ok(Found::Ended { phase: state.phase.clone(), output: state.output.clone() })
        }
        phase @ (Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::AwaitingMemo(_)
        | Phase::Current(_)
        | Phase::Retrying { .. }
        | Phase::Around(_)) => Err(not_active(node, phase)),
    }
}

fn not_active(node: &NodeAddress, phase: &Phase) -> RunRejection {
    RunRejection::NodeNotActive { node: node.clone(), status: phase.status() }
}

/// Holds what somebody says that a node has made to everything that its own output would be held to.
fn check(step: &Step<'_, '_>, output: &Json, assets: Vec<ProducedAsset>) -> Result<Vec<ProducedAsset>, RunFailure> {
    produce::check_size(output, &assets)?;
    check_depth(output)?;
    let assets = produce::check_times(assets, step.decision.now())?;
    let assets = produce::check(step.node(), assets, step.work())?;
    check_output(step, output)?;
    step.decision.run().check_state_after(step.place, output, step.work())?;
    Ok(assets)
}

/// Lets go of whatever the node waits for. Returns the signal that it had taken.
fn overrule(step: &mut Step<'_, '_>, by: By) -> Option<Letter> {
    let taken = step.current().and_then(|current| current.taken()).cloned();
    step.given = undo::given_to(step);
    withdraw_child(step);
    memo::leave(step);
    let node = step.address();
    let By { reason } = by;
    step.decision.emit(RunEvent::NodeOverruled { node, reason });
    taken
}

/// Has whoever waits for it take a signal that was given back.
fn give_on(decision: &mut Decision<'_>, given_back: Option<Letter>) {
    if let Some(Letter { id, name, key, broadcast: false, .. }) = given_back {
        let next = takers(decision.run(), &AwaitedSignal { name, key }, 1);
        signal::give(decision, next, id);
    }
}
