//! What a checkpoint holds of a run: what was folded, without what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::evolve::timer_of_run;
use super::state::{Assets, Branch, Branches, NodeState, Origin, Phase, Run};
use super::waiting::Waiting;
use super::{Ending, RunEvent, RunStatus, Trigger};
use crate::address::WorkflowKey;
use crate::definition::Definition;
use crate::dialogue::InputVersion;
use crate::{
    AssetId, DefinitionVersion, Json, NodeAddress, PartitionKey, Revision, RunId, Slug, Timestamp, WorkspaceId,
};

/// A run as it is written. Nodes go by their ids, timers and counts are made again from them, and the definition
/// stands elsewhere in the checkpoint. A change is a new format of the section `runs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RunRecord {
    id: RunId,
    workspace: WorkspaceId,
    workflow: Slug,
    version: DefinitionVersion,
    status: RunStatus,
    input: Json,
    trigger: Trigger,
    keyed: bool,
    state: BTreeMap<String, Json>,
    started_at: Timestamp,
    revision: Revision,
    /// Those that something has happened to.
    pub(super) nodes: Vec<(NodeAddress, NodeState)>,
    unrecorded: Vec<(NodeAddress, AssetId, Option<PartitionKey>)>,
    consumed: Vec<InputVersion>,
    /// What has still to begin, in its order. Since format 2, as the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    agenda: Vec<NodeAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<Ending>,
}

impl RunRecord {
    /// Returns the run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Returns the workflow and the definition version that the run is frozen at.
    pub fn definition(&self) -> (WorkflowKey, DefinitionVersion) {
        (WorkflowKey { workspace: self.workspace.clone(), workflow: self.workflow.clone() }, self.version)
    }

    /// Makes the run again, frozen at `definition`.
    ///
    /// # Errors
    /// The node that the definition does not have.
    pub fn restore(self, definition: Arc<Definition>) -> Result<Run, NodeAddress> {
        let mut branches = Branches::untouched(&definition);
        let find = |branches: &Branches, node| branches.find(&definition, &node).ok_or(node);
        for (node, state) in self.nodes {
            let place = find(&branches, node)?;
            branches.of_mut(place).put(place.node, state);
        }
        let find = |node| find(&branches, node);
        let unrecorded = self.unrecorded.into_iter().map(|(node, asset, key)| Ok((find(node)?, asset, key)));
        let unrecorded = unrecorded.collect::<Result<_, NodeAddress>>()?;
        let agenda = self.agenda.into_iter().map(find).collect::<Result<_, _>>()?;
        let root = branches.root_mut();
        root.state = self.state.into_iter().map(|(key, value)| shared(&definition, &root.nodes, key, value)).collect();
        let started = RunEvent::RunStarted {
            workspace: self.workspace,
            workflow: self.workflow,
            version: self.version,
            input: self.input,
            trigger: self.trigger,
            keyed: self.keyed,
        };
        let mut run = Run {
            origin: Origin::of(self.id, definition, started, self.started_at),
            status: self.status,
            revision: self.revision,
            branches,
            agenda,
            ending: self.ending,
            timers: BTreeSet::new(),
            assets: Assets::new(self.consumed, unrecorded),
            waiting: Waiting::default(),
        };
        let failed = run.places().filter(|(_, state)| state.phase == Phase::Failed).map(|(place, _)| place);
        let failed: Vec<_> = failed.collect();
        failed.into_iter().for_each(|place| run.note_failed(place));
        // What ends has nothing due and waits for nobody.
        if run.ending.is_some() {
            return Ok(run);
        }
        run.timers.extend(timer_of_run(run.definition(), run.origin.started_at()));
        let active = run.places().filter(|(_, state)| state.phase.is_active());
        let active: Vec<_> = active.map(|(place, _)| place).collect();
        for place in active {
            run.await_next(place);
        }
        Ok(run)
    }
}

/// Lets an entry of the state share its text with the output it was stored from, as it did when it was folded.
fn shared(definition: &Definition, nodes: &[NodeState], key: String, value: Json) -> (Arc<str>, Json) {
    let stored = definition.nodes.iter().zip(nodes).find_map(|(node, state)| {
        let key = node.store_as.as_ref().filter(|store_as| store_as.as_ref() == key)?;
        let output = state.output.as_ref().filter(|output| **output == value)?;
        Some((key.clone(), output.clone()))
    });
    stored.unwrap_or_else(|| (key.into(), value))
}

impl Run {
    /// Puts it at a revision, where the facts before are not all folded.
    pub(crate) fn stand_at(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Returns whether an asset that a node produced is not recorded yet, as far as is known.
    pub(crate) fn awaits_record(&self, node: &NodeAddress, asset: &AssetId, partition: &Option<PartitionKey>) -> bool {
        let of = self.find(node);
        self.assets.unrecorded().iter().any(|(place, id, key)| Some(*place) == of && id == asset && key == partition)
    }

    /// Returns what a checkpoint holds of it; texts are shared.
    pub(crate) fn record(&self) -> RunRecord {
        // Every field is named, so that a new one does not compile until it is written here or known to follow. What a run was
        // started with is restored from its first event, every field of which has to be here too.
        let Self { origin, status, revision, branches, agenda, ending, timers: _, assets, waiting: _ } = self;
        let untouched = NodeState::untouched();
        let Branch { nodes: _, state, active: _ } = branches.root();
        let nodes = self.places().filter(|(_, state)| **state != untouched);
        RunRecord {
            id: origin.id(),
            workspace: origin.workspace().clone(),
            workflow: origin.workflow().clone(),
            version: origin.version(),
            status: *status,
            input: origin.input().clone(),
            trigger: origin.trigger().clone(),
            keyed: origin.is_keyed(),
            state: state.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            started_at: origin.started_at(),
            revision: *revision,
            nodes: nodes.map(|(place, state)| (self.address(place), state.clone())).collect(),
            unrecorded: assets
                .unrecorded()
                .iter()
                .map(|(place, asset, key)| (self.address(*place), asset.clone(), key.clone()))
                .collect(),
            consumed: assets.consumed().to_vec(),
            agenda: agenda.iter().map(|place| self.address(*place)).collect(),
            ending: ending.clone(),
        }
    }
}
