//! The compiled graph: what a run walks. Nothing here can be inconsistent: [`super::compile`] saw to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::listed::{self, Listed};
use super::{
    Action, Automation, Compensation, Declared, Freshness, Naming, Partitioning, Region, RegionIx, RetryPolicy, Reuse,
    Schema, Signature, SnapshotPolicy, Tolerance, Undo,
};
use crate::expr::{Expression, Template};
use crate::{AssetId, Json, NodeId, QueueName, Slug};

/// Position of a node in [`Definition::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIx(pub u32);

/// Position of a transition in [`Definition::transitions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransitionIx(pub u32);

/// One compiled, immutable version of a workflow.
#[derive(Debug)]
pub struct Definition {
    pub slug: Slug,
    pub name: Option<String>,
    pub description: Option<String>,
    /// The run's input, checked at start.
    pub input_schema: Option<Schema>,
    /// The run's `state`, checked whenever a node writes it.
    pub state_schema: Option<Schema>,
    /// The run's output, checked before the run succeeds.
    pub output_schema: Option<Schema>,
    /// What the run's output is made of; absent: the outputs of the nodes without a successor, by node id.
    pub output: Option<Template>,
    /// An object; fills the keys that a run's input does not name.
    pub defaults: Json,
    /// How long a whole run may take.
    pub timeout: Option<Duration>,
    pub labels: BTreeMap<String, String>,
    /// What its runs are called.
    pub naming: Option<Naming>,
    /// How many nodes of a run may have an attempt under way at once. Absent: as many as there are.
    pub parallelism: Option<u32>,
    /// When a snapshot of a run is kept. Absent: never.
    pub snapshots: Option<SnapshotPolicy>,
    /// In topological order but for ways back, those of a region side by side.
    pub nodes: Vec<Node>,
    pub transitions: Vec<Transition>,
    /// The run itself first, each before those within it.
    pub regions: Vec<Region>,
    /// The node whose nodes run whatever the end; nothing leads to it.
    pub finally: Option<NodeIx>,
    /// What undoes nodes that have succeeded, where some of them say so.
    pub compensation: Option<Box<Compensation>>,
    pub index: NodeIndex,
    /// Whether it has a join, an action or an expression that releases before 0.2 do not know.
    pub has_later_words: bool,
    /// The document in canonical form: sorted keys, older spellings replaced. Its hash is the content hash.
    pub source: Json,
    /// SHA-256 of `source`, 64 hex digits. The same content is the same version.
    pub content_hash: String,
}

impl Definition {
    /// Returns where a node declares an asset, as a JSON Pointer into `source`: `side` is `produces` or `consumes`.
    pub fn place_of(&self, node: &NodeId, side: &'static str, asset: &AssetId) -> String {
        place_of(&self.source, node, side, asset)
    }

    /// Finds a node by its id.
    pub fn find(&self, id: &NodeId) -> Option<NodeIx> {
        self.index.0.get(id).copied()
    }

    /// Finds a node by the text of its id.
    pub fn find_str(&self, id: &str) -> Option<NodeIx> {
        self.index.0.get(id).copied()
    }

    /// Returns the node at a position of this same definition.
    pub fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix.0 as usize]
    }

    /// Returns what undoes a node.
    pub fn undo_of(&self, ix: NodeIx) -> Option<&Undo> {
        self.compensation.as_ref()?.undone_by.get(&ix)
    }

    /// Returns whether nothing leads to a node, and it begins with no run: it waits for the end.
    pub fn waits_for_the_end(&self, ix: NodeIx) -> bool {
        self.finally == Some(ix) || self.compensation.as_ref().is_some_and(|compensation| compensation.node == ix)
    }

    /// Returns the region at a position of this same definition.
    pub fn region(&self, ix: RegionIx) -> &Region {
        &self.regions[ix.0 as usize]
    }

    /// Returns the transition at a position of this same definition.
    pub fn transition(&self, ix: TransitionIx) -> &Transition {
        &self.transitions[ix.0 as usize]
    }
}

/// Where each node stands, by its id.
#[derive(Debug)]
pub struct NodeIndex(FxHashMap<NodeId, NodeIx>);

impl NodeIndex {
    pub(super) fn of(nodes: &[Node]) -> Self {
        Self(nodes.iter().zip(0..).map(|(node, position)| (node.id.clone(), NodeIx(position))).collect())
    }
}

/// Returns where a canonical document says something of an asset at a node: see [`Definition::place_of`].
pub fn place_of(source: &Json, node: &NodeId, side: &'static str, asset: &AssetId) -> String {
    let source = source.to_value();
    let found = listed::nodes(&source).into_iter().find(|found| found.value["id"] == node.as_str());
    let Some(Listed { at, value, .. }) = found else { return String::new() };
    let is_asset =
        |found: &serde_json::Value| found["assetId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(asset.as_str()));
    let declared = listed::entries_of(value, &at, side).find(|(_, found)| is_asset(found));
    declared.map_or(at, |(at, _)| at)
}

/// A step of the graph.
#[derive(Debug)]
pub struct Node {
    pub id: NodeId,
    pub name: Option<String>,
    pub action: Action,
    /// What the action gets. Absent: the run's input as it is.
    pub input: Option<Template>,
    /// Its parameters, and what it and its output are held to.
    pub signature: Option<Signature>,
    /// Whether it takes a result that was made before.
    pub reuse: Option<Reuse>,
    /// Where its tasks wait. Default: made of the job's slug; `builtin` for the engine's own actions.
    pub queue: QueueName,
    pub retry: RetryPolicy,
    pub allow_failure: Tolerance,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How long the handler of an attempt may give no sign of life, from when it begins. Absent: as long as it likes;
    /// that its worker lives, the lease sees to.
    pub heartbeat_timeout: Option<Duration>,
    pub join: Join,
    /// The nodes that are withdrawn when its join is satisfied: all their ways lead to it alone. Absent: none are.
    pub losers: Option<Box<[NodeIx]>>,
    pub on_no_route: OnNoRoute,
    pub produces: Vec<Produces>,
    pub consumes: Vec<Consumes>,
    /// What it says of the run when it has succeeded.
    pub set_attributes: BTreeMap<String, Template>,
    /// The key of `state` that keeps the output.
    pub store_as: Option<Arc<str>>,
    /// Those that do not lead back.
    pub incoming: Vec<TransitionIx>,
    /// Outgoing on success, in tiers of ascending priority, each in document order.
    pub on_success: Vec<Vec<TransitionIx>>,
    /// Outgoing on failure, in the same form.
    pub on_failure: Vec<Vec<TransitionIx>>,
    /// The innermost region it lies in; of the first node of a loop, the loop.
    pub region: RegionIx,
    /// Of a `forEach`: what happens for each item.
    pub body: Option<RegionIx>,
}

impl Node {
    /// Returns the transitions that leave it, however it ends.
    pub fn leaving(&self) -> impl Iterator<Item = TransitionIx> {
        self.on_success.iter().chain(&self.on_failure).flatten().copied()
    }
}

/// When a node with several incoming transitions becomes ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// All are decided, at least one is taken.
    All,
    /// One is taken.
    Any,
    /// So many are taken.
    Quorum(u32),
    /// All are taken, and no node before it has failed.
    AllSucceeded,
    /// All are decided, whether any is taken or none.
    AllDone,
    /// All are decided, whether any is taken or none, and no node before it has failed.
    NoneFailed,
}

impl Join {
    /// Returns whether releases before 0.2 do not know it.
    pub(super) fn is_later_word(self) -> bool {
        match self {
            Self::AllSucceeded | Self::AllDone | Self::NoneFailed => true,
            Self::All | Self::Any | Self::Quorum(_) => false,
        }
    }
}

/// What follows when a node has outgoing transitions and none is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNoRoute {
    Fail,
    End,
}

/// Which outcome of a node a transition leaves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
}

/// An edge of the graph.
#[derive(Debug)]
pub struct Transition {
    pub from: NodeIx,
    pub to: NodeIx,
    pub priority: u32,
    pub on: Outcome,
    /// Absent: always true.
    pub when: Option<Arc<Expression>>,
    /// Of one that leads back to where a loop begins.
    pub back: Option<Box<Back>>,
}

/// How long a way leads back.
#[derive(Debug)]
pub struct Back {
    /// How often it may be taken each time that the loop is entered.
    pub max: u32,
    /// Once this is true it is not taken. Absent: as often as it may.
    pub until: Option<Expression>,
}

/// An asset a node produces.
#[derive(Debug)]
pub struct Produces {
    pub asset: AssetId,
    pub schema: Option<Schema>,
    pub freshness: Option<Declared<Freshness>>,
    pub partitioning: Option<Declared<Partitioning>>,
    pub auto_materialize: Option<Declared<Automation>>,
    /// The node may succeed without it.
    pub optional: bool,
    /// Of several producing workflows, the one that `materialize` starts.
    pub primary: bool,
}

/// An asset a node needs before it runs.
#[derive(Debug)]
pub struct Consumes {
    pub asset: AssetId,
    pub schema: Option<Schema>,
    pub freshness: Option<Declared<Freshness>>,
    pub partitioning: Option<Declared<Partitioning>>,
    pub auto_materialize: Option<Declared<Automation>>,
    pub require: Require,
    /// Absent: materialize when some workflow produces it, else fail.
    pub on_miss: Option<OnMiss>,
    /// Which partition. Absent: the unpartitioned asset.
    pub partition: Option<Template>,
    /// The input for a producer that has to be started.
    pub producer_input: Option<Template>,
}

/// What a consumer asks of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Require {
    /// Any version.
    Exists,
    /// Produced at most so long ago.
    Fresh { max_age_ms: u64 },
    /// Exactly this version.
    Version(crate::Version),
}

/// What follows when no version satisfies the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnMiss {
    /// Start the producer once for all waiters and go on with the version it produces.
    Materialize,
    /// Wait until somebody produces it.
    Wait,
    /// Fail the node with `asset_missing`.
    Fail,
    /// Go on without it.
    Ignore,
}
