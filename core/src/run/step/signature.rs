//! Whether a node's parameters and its output are what its action says that they are.

use super::Step;
use super::retry::{Again, Exhausted};
use crate::Json;
use crate::expr::{EvaluationError, PARAMS, Template};
use crate::run::RunFailure;
use crate::run::budget::Later;

/// Renders the parameters of a node's action.
///
/// # Errors
/// `action_input` where they break its schema; that they have no value, or that it takes too much to find out.
pub(super) fn find_params(step: &Step<'_, '_>) -> Result<Option<Json>, RunFailure> {
    let Some(signature) = &step.node().signature else { return Ok(None) };
    let Some(params) = &signature.params else { return Ok(None) };
    let params = render_with(step, params, None).map_err(EvaluationError::into_failure)?;
    if let Some(schema) = &signature.params_schema {
        let prefix = "the parameters break the schema of the action: ";
        let checked = schema.check_within(&params, step.work());
        checked.map_err(|refusal| refusal.into_failure("action_input", prefix))?;
    }
    Ok(Some(params))
}

/// Renders something of a node's action, which sees its parameters.
pub(super) fn render(step: &Step<'_, '_>, template: &Template) -> Result<Json, EvaluationError> {
    let of_node = step.node().signature.as_ref().and_then(|signature| signature.params.as_ref());
    match (&step.params, of_node) {
        (Some(params), _) => render_with(step, template, Some(params)),
        (None, Some(of_node)) => {
            let params = render_with(step, of_node, None)?;
            render_with(step, template, Some(&params))
        }
        (None, None) => render_with(step, template, None),
    }
}

/// Renders something of a node, which sees these parameters.
pub(super) fn render_with(
    step: &Step<'_, '_>,
    template: &Template,
    params: Option<&Json>,
) -> Result<Json, EvaluationError> {
    let (run, now) = (step.decision.run(), step.decision.now());
    let beside: Vec<_> = params.map(|params| (PARAMS, params)).into_iter().collect();
    run.with_scope_beside(step.place, None, &beside, now, |scope| template.render_within(scope, step.work()))
}

/// Renders something of a node's action, which sees its parameters and this beside them.
pub(super) fn render_beside(
    step: &Step<'_, '_>,
    template: &Template,
    beside: (&str, &Json),
) -> Result<Json, EvaluationError> {
    let of_node = step.node().signature.as_ref().and_then(|signature| signature.params.as_ref());
    let params = match (&step.params, of_node) {
        (Some(params), _) => Some(params.clone()),
        (None, Some(of_node)) => Some(render_with(step, of_node, None)?),
        (None, None) => None,
    };
    let (run, now) = (step.decision.run(), step.decision.now());
    let beside: Vec<_> = [beside].into_iter().chain(params.as_ref().map(|params| (PARAMS, params))).collect();
    run.with_scope_beside(step.place, None, &beside, now, |scope| template.render_within(scope, step.work()))
}

/// Holds an output to the schema of a node's action.
///
/// # Errors
/// `action_output` where it breaks that; that it takes too much to find out.
pub(super) fn check_output(step: &Step<'_, '_>, output: &Json) -> Result<(), RunFailure> {
    let signature = step.node().signature.as_ref();
    let Some(schema) = signature.and_then(|signature| signature.output_schema.as_ref()) else { return Ok(()) };
    let prefix = "the output breaks the schema of the action: ";
    schema.check_within(output, step.work()).map_err(|refusal| refusal.into_failure("action_output", prefix))
}

/// Ends an attempt, or the node where it has none, whose output is not what it has to be.
pub(super) fn refuse_output(step: &mut Step<'_, '_>, failure: RunFailure) -> Result<(), Later> {
    step.decision.turn.check_work()?;
    match step.current() {
        Some(_) => step.end_attempt_badly(failure, Again::AsTold, None, Exhausted::Fails { withdraws: false }),
        None => step.fail(failure, None),
    }
}
