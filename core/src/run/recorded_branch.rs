//! What a checkpoint holds of a branch.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::{Around, Branch, Branches, Place, Run};
use super::{BranchKind, RunFailure};
use crate::definition::Definition;
use crate::{BranchId, Json, NodeAddress};

/// A branch as it is written, without its nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BranchRecord {
    pub(super) branch: BranchId,
    /// Follows from the definition: for who has none.
    pub(super) kind: BranchKind,
    pub(super) parent: NodeAddress,
    pub(super) index: u32,
    /// Turns of loops have none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
    pub(super) item: Option<Json>,
    /// Absent: what the `forEach` has of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<BTreeMap<String, Json>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exits: Vec<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closing: Option<Closing>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Closing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<RunFailure>,
}

/// Opens a branch again, of the node that stands for it.
pub(super) fn open(branches: &mut Branches, definition: &Definition, record: &BranchRecord) -> Result<(), NodeAddress> {
    let unknown = || record.parent.clone();
    let parent = branches.find(definition, &record.parent).ok_or_else(unknown)?;
    let node = definition.node(parent.node);
    let is_loop = node.region != branches.of(parent).region;
    let region = if is_loop { Some(node.region) } else { node.body };
    let mut branch = Branch::untouched(definition, region.ok_or_else(unknown)?);
    branch.parent = Some(parent);
    branch.index = record.index;
    branch.item = record.item.clone().map(|item| [item, Json::of(&record.index)]);
    if record.again || !record.exits.is_empty() {
        let ways = branch.ways_mut();
        ways.out.clone_from(&record.exits);
        ways.back = record.again;
    }
    branch.closing = record.closing.clone().map(|closing| closing.failure.map(Box::new));
    branches.open(record.branch, branch, false);
    Ok(())
}

/// Gives the branches of items their state, once it is known where all nodes stand.
pub(super) fn restore_states(branches: &mut Branches, records: Vec<BranchRecord>) {
    for BranchRecord { branch: id, state, .. } in records {
        let parent = branches.get(id).and_then(|branch| branch.parent);
        let around = parent.and_then(|parent| branches.of(parent).node(parent.node).phase.around());
        let of_each = around.and_then(|around| around.state().cloned());
        let own = state.map(|state| Arc::new(state.into_iter().map(|(key, value)| (key.into(), value)).collect()));
        if let (Some(branch), Some(state)) = (branches.get_mut(id), own.or(of_each)) {
            branch.state = state;
        }
    }
}

/// Returns what is written of a branch.
pub(super) fn record(run: &Run, id: BranchId) -> Option<BranchRecord> {
    let branch = run.branches.get(id)?;
    let (parent, closing) = (branch.parent?, branch.closing.clone());
    let of_each = run.node(parent).phase.around().and_then(Around::state);
    let has_own = of_each.is_some_and(|of_each| !Arc::ptr_eq(of_each, &branch.state) && *of_each != branch.state);
    let state = || branch.state.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    Some(BranchRecord {
        branch: id,
        kind: run.kind_of_branches(parent),
        parent: run.address(parent),
        index: branch.index,
        item: branch.item.as_ref().map(|[item, _]| item.clone()),
        state: has_own.then(state),
        exits: branch.ways().out.clone(),
        again: branch.ways().back,
        closing: closing.map(|failure| Closing { failure: failure.map(|failure| *failure) }),
    })
}

/// Keeps again what can be undone, in its order; the branches that it was done in may have ended.
pub(super) fn restore_kept(
    branches: &mut Branches,
    definition: &Definition,
    kept: Vec<(NodeAddress, Json)>,
) -> Result<(), NodeAddress> {
    for (node, input) in kept {
        let place = definition.find(node.node()).map(|ix| Place { branch: node.branch(), node: ix });
        branches.kept_mut().keep(place.ok_or(node)?, input);
    }
    Ok(())
}
