//! What becomes of the outputs of items: one value, in the order of the items, whichever came first.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Json;
use crate::definition::{ForEach, Merge};
use crate::expr::Work;
use crate::run::RunFailure;
use crate::run::state::Each;

/// Merges the outputs of the items that succeeded.
pub(super) fn merged(of: &ForEach, each: &Each, bytes_max: usize, work: &Work) -> Result<Json, RunFailure> {
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
    }
}

fn unfit(index: u32, merge: &str, what: &str) -> RunFailure {
    RunFailure::new("for_each_merge", format!("`{merge}` cannot take the output of item {index}: it is {what}"))
}
