//! What a run returns.

use std::collections::BTreeMap;

use super::RunFailure;
use super::branching::ends_of;
use super::budget::Turn;
use super::state::Run;
use crate::definition::RegionIx;
use crate::{Json, Timestamp};

/// Makes the output of a run of which nothing is left to be done.
///
/// # Errors
/// `output_schema`, `decision_too_large`, or what kept it from having a value.
pub(super) fn output_of(run: &Run, now: Timestamp, turn: &Turn) -> Result<Json, RunFailure> {
    let output = match &run.definition().output {
        Some(template) => run
            .with_scope_of_end(now, |scope| template.render_within(scope, turn.work()))
            .map_err(|error| RunFailure::new(error.code(), format!("the run's output has no value: {error}"))),
        None => outputs_of_ends(run, turn.value_bytes_max()),
    }?;
    if let Some(schema) = &run.definition().output_schema {
        schema.check_within(&output, turn.work()).map_err(|refusal| refusal.into_failure("output_schema", ""))?;
    }
    Ok(output)
}

/// The outputs of the nodes without a successor, by node id.
fn outputs_of_ends(run: &Run, bytes_max: usize) -> Result<Json, RunFailure> {
    let (definition, root) = (run.definition(), run.branches.root());
    let ends = ends_of(definition, definition.region(RegionIx::ROOT));
    let outputs: BTreeMap<&str, &Json> =
        ends.filter_map(|ix| Some((definition.node(ix).id.as_str(), root.node(ix).output.as_ref()?))).collect();
    if outputs.values().map(|output| output.len_bytes()).sum::<usize>() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(Json::of(&outputs))
}

/// The failure of a run whose output no decision can write.
pub(super) fn too_large(bytes_max: usize) -> RunFailure {
    RunFailure::new("decision_too_large", format!("the run's output has more than {bytes_max} bytes"))
}
