//! What is left of the versions that a run was at before: the world outside still goes by it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Renamed, renamed};
use crate::run::state::Run;
use crate::{DefinitionVersion, NodeAddress, NodeId, Revision};

/// What a run that has gone over to another version keeps of before. Checkpoints hold it as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::run) struct Trail {
    /// The version it was started with: whoever starts it again means that.
    pub started: DefinitionVersion,
    /// What it was started for, as it was called then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<NodeId>,
    /// When it went over last.
    pub at: Revision,
    /// What nodes were called before, and what they are called now; `None`: they are gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: Renamed,
}

impl Trail {
    /// The trail of a run that goes over once more.
    pub fn after(run: &Run, map: &Renamed) -> Self {
        let before = run.origin.trail();
        let targets = || (run.version(), run.targets().to_vec());
        let (started, targets) = before.map_or_else(targets, |trail| (trail.started, trail.targets.clone()));
        let mut names: Renamed = before.map(|trail| trail.names.clone()).unwrap_or_default();
        for now in names.values_mut() {
            *now = now.take().and_then(|now| renamed(map, &now).cloned());
        }
        let new = map.iter().filter(|(node, now)| now.as_ref() != Some(node));
        names.extend(new.map(|(node, now)| (node.clone(), now.clone())));
        Self { started, targets, at: run.revision(), names }
    }
}

/// Returns the definition version and the targets that a run was started with; whoever starts it again means these.
pub(crate) fn started_as(run: &Run) -> (DefinitionVersion, &[NodeId]) {
    match run.origin.trail() {
        Some(trail) => (trail.started, &trail.targets),
        None => (run.version(), run.targets()),
    }
}

/// Returns what an address is now that was given out before a node was called otherwise. An id never names two nodes.
pub(in crate::run) fn address_now(run: &Run, at: &NodeAddress) -> Option<NodeAddress> {
    let now = run.origin.trail()?.names.get(at.node())?.clone()?;
    Some(NodeAddress::new(now, at.branch()))
}

/// Returns the addresses that a node was given out under before.
pub(in crate::run) fn addresses_before(run: &Run, at: &NodeAddress) -> impl Iterator<Item = NodeAddress> {
    let names = run.origin.trail().into_iter().flat_map(|trail| &trail.names);
    let before = names.filter(|(_, now)| now.as_ref() == Some(at.node()));
    before.map(|(before, _)| NodeAddress::new(before.clone(), at.branch()))
}
