//! What a run returns.

use std::collections::BTreeMap;

use super::RunFailure;
use super::branching::ends_of;
use super::budget::Turn;
use super::state::Run;
use crate::definition::{NodeIx, RegionIx};
use crate::{Json, NodeId, Timestamp};

/// Makes the output of a run of which nothing is left to be done.
///
/// # Errors
/// `output_schema`, `output_invalid`, `decision_too_large`, or what kept it from having a value.
pub(super) fn output_of(run: &Run, now: Timestamp, turn: &Turn) -> Result<Json, RunFailure> {
    let output = match &run.definition().output {
        // What it is made of has not all happened.
        Some(template) if lacks(run, &template.node_references()) => return Ok(Json::null()),
        None if !run.targets().is_empty() => {
            let output = outputs_of(run, run.targets(), turn.bytes_max())?;
            return check_depth(&output).map(|()| output);
        }
        Some(template) => run
            .with_scope_of_end(now, |scope| template.render_within(scope, turn.work()))
            .map_err(|error| RunFailure::new(error.code(), format!("the run's output has no value: {error}"))),
        None => outputs_of_ends(run, turn.value_bytes_max()),
    }?;
    check_depth(&output)?;
    if let Some(schema) = &run.definition().output_schema {
        schema.check_within(&output, turn.work()).map_err(|refusal| refusal.into_failure("output_schema", ""))?;
    }
    Ok(output)
}

/// The outputs of the nodes without a successor, by node id.
fn outputs_of_ends(run: &Run, bytes_max: usize) -> Result<Json, RunFailure> {
    let definition = run.definition();
    outputs_at(run, ends_of(definition, definition.region(RegionIx::ROOT)), bytes_max)
}

/// Those of the nodes that were asked for.
fn outputs_of(run: &Run, targets: &[NodeId], bytes_max: usize) -> Result<Json, RunFailure> {
    outputs_at(run, targets.iter().filter_map(|id| run.definition().find(id)), bytes_max)
}

fn outputs_at(run: &Run, nodes: impl Iterator<Item = NodeIx>, bytes_max: usize) -> Result<Json, RunFailure> {
    let (definition, root) = (run.definition(), run.branches.root());
    let outputs: BTreeMap<&str, &Json> =
        nodes.filter_map(|ix| Some((definition.node(ix).id.as_str(), root.node(ix).output.as_ref()?))).collect();
    if outputs.values().map(|output| output.len_bytes()).sum::<usize>() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(Json::of(&outputs))
}

/// Returns whether one of these nodes does not happen in this run.
fn lacks(run: &Run, nodes: &[String]) -> bool {
    nodes.iter().filter_map(|id| run.definition().find_str(id)).any(|ix| run.origin.leads_out_of_part(ix))
}

/// The failure of a run whose output no decision can write.
pub(super) fn too_large(bytes_max: usize) -> RunFailure {
    RunFailure::new("decision_too_large", format!("the run's output has more than {bytes_max} bytes"))
}

/// Checks that an output of a node or run, whatever it was made of, is no deeper than any value: a journal would not keep it whole.
///
/// # Errors
/// `output_invalid`.
pub(super) fn check_depth(output: &Json) -> Result<(), RunFailure> {
    if Json::is_deeper_than(output.as_str(), Json::DEPTH_MAX) {
        let message = format!("the output is nested deeper than {} levels", Json::DEPTH_MAX);
        return Err(RunFailure::new("output_invalid", message));
    }
    Ok(())
}
