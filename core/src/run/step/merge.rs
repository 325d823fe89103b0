//! What becomes of the outputs of items: one value, in the order of the items, whichever came first.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Step;
use crate::Json;
use crate::definition::{ForEach, Merge, Reduce};
use crate::run::RunFailure;
use crate::run::state::Each;

/// Merges the outputs of the items that succeeded.
pub(super) fn merged(step: &Step<'_, '_>, of: &ForEach, each: &Each) -> Result<Json, RunFailure> {
    let (bytes_max, work) = (step.decision.turn.value_bytes_max(), step.work());
    let bytes: usize = each.outputs.values().map(|output| output.len_bytes() + 1).sum();
    if bytes > bytes_max {
        let message = format!("the outputs of the items have {bytes} bytes together, and {bytes_max} are taken");
        return Err(RunFailure::new("node_too_large", message));
    }
    work.scan(2 * bytes)?;
    match &of.merge {
        Merge::Collect => Ok(Json::of(&each.outputs.values().collect::<Vec<_>>())),
        Merge::Last => Ok(each.outputs.values().next_back().cloned().unwrap_or_default()),
        Merge::Append => {
            let mut all = Vec::new();
            for (index, output) in &each.outputs {
                match output.to_value() {
                    Value::Array(items) => all.extend(items),
                    _ => return Err(unfit(*index, "append", "no list")),
                }
            }
            Ok(Json::of(&all))
        }
        Merge::MergeObject => {
            let mut all = Map::new();
            for (index, output) in &each.outputs {
                match output.to_value() {
                    Value::Object(entries) => all.extend(entries),
                    _ => return Err(unfit(*index, "mergeObject", "no map")),
                }
            }
            let sorted: BTreeMap<String, Value> = all.into_iter().collect();
            Ok(Json::of(&sorted))
        }
        Merge::Keyed(_) => {
            let mut all = BTreeMap::new();
            for (index, output) in &each.outputs {
                let key = each.keys.get(index).cloned().unwrap_or_else(|| index.to_string());
                let shown: String = key.chars().take(100).collect();
                if all.insert(key, output).is_some() {
                    let message = format!("two items have the key {shown:?}");
                    return Err(RunFailure::new("for_each_merge", message));
                }
            }
            Ok(Json::of(&all))
        }
        Merge::Reduce(reduce) => added_up(step, reduce, each),
    }
}

/// Adds the outputs up, one after the other.
fn added_up(step: &Step<'_, '_>, reduce: &Reduce, each: &Each) -> Result<Json, RunFailure> {
    let (run, now, work) = (step.decision.run(), step.decision.now(), step.work());
    let mut acc = step.render(&reduce.initial).map_err(|error| error.into_failure())?;
    for (index, output) in &each.outputs {
        let index = Json::of(index);
        let added = [("acc", &acc), ("output", output), ("index", &index)];
        let next =
            run.with_scope_beside(step.place, None, &added, now, |scope| reduce.step.evaluate_within(scope, work));
        acc = next.map_err(|error| error.into_failure())?;
    }
    Ok(acc)
}

fn unfit(index: u32, merge: &str, what: &str) -> RunFailure {
    RunFailure::new("for_each_merge", format!("`{merge}` cannot take the output of item {index}: it is {what}"))
}
