//! What a run is, folded from its events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::agenda::Agenda;
use super::attempt::CurrentAttempt;
use super::status::{NodeStatus, RunStatus};
use super::waiting::Waiting;
use super::{AssetNeed, Ending, RunFailure, Trigger};
use crate::definition::{Definition, NodeIx};
use crate::dialogue::InputVersion;
use crate::expr::{ConsumedAsset, Scope};
use crate::{
    AssetId, Attempt, BranchId, DefinitionVersion, Json, LeaseToken, NodeAddress, PartitionKey, Revision, RunId,
    SessionId,
};
use crate::{Slug, Timestamp, WorkspaceId};

/// One execution of one definition version.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) id: RunId,
    pub(super) workspace: WorkspaceId,
    pub(super) workflow: Slug,
    pub(super) version: DefinitionVersion,
    pub(super) definition: Arc<Definition>,
    pub(super) status: RunStatus,
    pub(super) input: Json,
    pub(super) trigger: Trigger,
    /// Its id was derived from an idempotency key.
    pub(super) keyed: bool,
    /// Written by nodes with `storeResultAs`.
    pub(super) state: BTreeMap<Arc<str>, Json>,
    pub(super) started_at: Timestamp,
    /// Of the last event folded.
    pub(super) revision: Revision,
    /// By [`NodeIx`].
    pub(super) nodes: Vec<NodeState>,
    /// How many nodes are neither pending nor ended.
    pub(super) active: u32,
    /// What has still to begin.
    pub(super) agenda: Agenda,
    /// How it ends, once that is certain and not everything is withdrawn.
    pub(super) ending: Option<Ending>,
    pub(super) timers: BTreeSet<(Timestamp, Timer)>,
    /// Produced, and not yet recorded by the asset's own shard.
    pub(super) unrecorded: Vec<(NodeIx, AssetId, Option<PartitionKey>)>,
    /// Every version consumed so far, sorted, each once.
    pub(super) consumed: Vec<InputVersion>,
    /// The attempts that wait for a worker, by queue, in the order they were scheduled.
    pub(super) waiting: Waiting,
    /// `run` and `trigger` as expressions see them, made when first asked for.
    pub(super) facts: OnceLock<(Json, Json)>,
}

/// Where one node stands. Checkpoints hold it as it is: a change is a new format of their section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NodeState {
    pub phase: Phase,
    /// Attempts scheduled so far.
    pub attempts: u32,
    /// Of those, how many were given back before they began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned: u32,
    /// Incoming transitions that were taken.
    pub taken: u32,
    /// Incoming transitions that were taken or are dead.
    pub decided: u32,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<ConsumedAsset>,
}

/// The phases of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Phase {
    Pending,
    AwaitingAssets {
        missing: Vec<AssetNeed>,
    },
    Current(Box<CurrentAttempt>),
    Retrying {
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
        input: Option<Json>,
        due_at: Timestamp,
    },
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What a run can have due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    AttemptTimeout(NodeIx),
    Retry(NodeIx),
    Wake(NodeIx),
    RunTimeout,
}

impl NodeState {
    /// Where a node stands that nothing has happened to yet.
    pub fn untouched() -> Self {
        Self {
            phase: Phase::Pending,
            attempts: 0,
            returned: 0,
            taken: 0,
            decided: 0,
            output: None,
            consumed: Vec::new(),
        }
    }
}

impl Phase {
    pub fn is_active(&self) -> bool {
        match self {
            Self::AwaitingAssets { .. } | Self::Current(_) | Self::Retrying { .. } => true,
            Self::Pending | Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled => false,
        }
    }
}

/// Finds a node of a definition by its address in a run: the run itself is the only branch there is.
pub(super) fn find_in(definition: &Definition, at: &NodeAddress) -> Option<NodeIx> {
    definition.find(at.node()).filter(|_| at.branch() == BranchId::ROOT)
}

impl Run {
    /// Returns the run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Returns the workspace it belongs to.
    pub fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }

    /// Returns the workflow it executes.
    pub fn workflow(&self) -> &Slug {
        &self.workflow
    }

    /// Returns the definition version it was frozen at.
    pub fn version(&self) -> DefinitionVersion {
        self.version
    }

    /// Returns how it ends, where that is certain and it has not ended yet: nothing of it begins or is reported any more.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Returns where it stands.
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// Returns the revision of the last event folded.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the input it was started with, defaults filled in.
    pub fn input(&self) -> &Json {
        &self.input
    }

    /// Returns whether its id was derived from an idempotency key.
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Returns the definition it is frozen at.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Returns the nodes whose current attempt was handed to a session as it was scheduled, in these revisions.
    pub fn held_since(&self, session: SessionId, first: Revision, last: Revision) -> impl Iterator<Item = NodeAddress> {
        let held = move |state: &NodeState| match &state.phase {
            Phase::Current(current) => {
                current.holder().is_some_and(|(_, of)| of == Some(session))
                    && (first..=last).contains(&current.revision)
            }
            Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::Retrying { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => false,
        };
        self.indexed().filter(move |(_, state)| held(state)).map(|(ix, _)| self.address(ix))
    }

    /// Returns when something of it is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Returns where a node stands.
    pub fn node_status(&self, id: &NodeAddress) -> Option<NodeStatus> {
        let state = &self.nodes[self.find(id)?.0 as usize];
        Some(match &state.phase {
            Phase::Pending => NodeStatus::Pending,
            Phase::AwaitingAssets { .. } | Phase::Retrying { .. } => NodeStatus::Waiting,
            Phase::Current(current) if current.wakes_at().is_some() => NodeStatus::Waiting,
            Phase::Current(current) if current.is_waiting() => NodeStatus::Queued,
            Phase::Current(_) => NodeStatus::Running,
            Phase::Succeeded => NodeStatus::Succeeded,
            Phase::Failed => NodeStatus::Failed,
            Phase::Skipped => NodeStatus::Skipped,
            Phase::Cancelled => NodeStatus::Cancelled,
        })
    }

    /// Returns the lease of the node's current attempt, if it has one.
    pub fn current_lease(&self, id: &NodeAddress) -> Option<(Attempt, LeaseToken)> {
        let current = self.current(self.find(id)?)?;
        Some((current.attempt, current.lease))
    }

    /// Finds a node by its address.
    pub(super) fn find(&self, at: &NodeAddress) -> Option<NodeIx> {
        find_in(&self.definition, at)
    }

    /// Returns the address of a node.
    pub(super) fn address(&self, ix: NodeIx) -> NodeAddress {
        NodeAddress::new(self.definition.node(ix).id.clone(), BranchId::ROOT)
    }

    /// Returns every node's place and state, in order.
    pub(super) fn indexed(&self) -> impl Iterator<Item = (NodeIx, &NodeState)> {
        (0..).map(NodeIx).zip(&self.nodes)
    }

    pub(super) fn node(&self, ix: NodeIx) -> &NodeState {
        &self.nodes[ix.0 as usize]
    }

    /// The attempt of a node that may report: none while the run ends.
    pub(super) fn current(&self, ix: NodeIx) -> Option<&CurrentAttempt> {
        match &self.node(ix).phase {
            Phase::Current(current) => Some(&**current).filter(|_| self.ending.is_none()),
            Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::Retrying { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => None,
        }
    }

    /// Returns what expressions see of the run and of its trigger.
    pub(super) fn facts(&self) -> &(Json, Json) {
        self.facts.get_or_init(|| {
            let run = serde_json::json!({
                "id": self.id, "workflow": self.workflow, "version": self.version,
                "startedAt": self.started_at.to_string(),
            });
            (Json::of(&run), Json::of(&self.trigger))
        })
    }

    /// Lets `look` see what the expressions of a node see.
    pub(super) fn with_scope<T>(
        &self,
        ix: NodeIx,
        error: Option<&RunFailure>,
        look: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let output = |id: &str| self.definition.find_str(id).and_then(|ix| self.node(ix).output.as_ref());
        look(&self.scope(&self.node(ix).consumed, &self.state, &output, error))
    }

    /// Lets `look` see what the run's output is made of: of each asset the version that the last node in order got.
    pub(super) fn with_scope_of_end<T>(&self, look: impl FnOnce(&Scope<'_>) -> T) -> T {
        let output = |id: &str| self.definition.find_str(id).and_then(|ix| self.node(ix).output.as_ref());
        let mut known = std::collections::BTreeSet::new();
        let last = self.nodes.iter().rev().flat_map(|node| &node.consumed);
        let assets: Vec<_> = last.filter(|consumed| known.insert(&consumed.asset)).cloned().collect();
        look(&self.scope(&assets, &self.state, &output, None))
    }

    /// The same, as it will be once the node has succeeded with `result`.
    pub(super) fn with_scope_after<T>(&self, ix: NodeIx, result: &Json, look: impl FnOnce(&Scope<'_>) -> T) -> T {
        let output = |id: &str| match self.definition.find_str(id) {
            Some(found) if found == ix => Some(result),
            Some(found) => self.node(found).output.as_ref(),
            None => None,
        };
        let mut state = self.state.clone();
        if let Some(key) = &self.definition.node(ix).store_as {
            state.insert(key.clone(), result.clone());
        }
        look(&self.scope(&self.node(ix).consumed, &state, &output, None))
    }

    fn scope<'a>(
        &'a self,
        assets: &'a [ConsumedAsset],
        state: &'a BTreeMap<Arc<str>, Json>,
        output: &'a dyn Fn(&str) -> Option<&'a Json>,
        error: Option<&'a RunFailure>,
    ) -> Scope<'a> {
        let (run, trigger) = self.facts();
        Scope { input: &self.input, state, output, assets, error, run, trigger }
    }
}

/// Equality of what was folded; the cache of facts is no part of it.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.workspace == other.workspace
            && self.workflow == other.workflow
            && self.version == other.version
            && self.status == other.status
            && self.input == other.input
            && self.trigger == other.trigger
            && self.keyed == other.keyed
            && self.state == other.state
            && self.started_at == other.started_at
            && self.revision == other.revision
            && self.nodes == other.nodes
            && self.active == other.active
            && self.agenda == other.agenda
            && self.ending == other.ending
            && self.timers == other.timers
            && self.unrecorded == other.unrecorded
            && self.consumed == other.consumed
            && self.waiting == other.waiting
    }
}
