//! What the read models hold, row by row, as the fold leaves it and the writer takes it.
//!
//! One struct for each table of `migrations/`. Where a row can be changed by a later batch, its struct is a *change*:
//! an absent column says nothing about what the database has.

use bytes::Bytes;
use headwater_core::run::{RunFailure, RunStatus};
use headwater_core::shard::AggregateId;
use headwater_core::{
    AssetId, Attempt, CommandId, DefinitionVersion, Json, NodeAddress, Revision, RunId, Sequence, ShardId, Slug,
    Timestamp, Version, WorkerId, WorkspaceId,
};

/// `commits`.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitRow {
    pub aggregate: AggregateId,
    pub revision: Revision,
    pub event_count: i32,
    pub shard: ShardId,
    pub sequence: Sequence,
    /// In its bundle, from 0.
    pub ordinal: i32,
    pub command: CommandId,
    pub time: Timestamp,
    /// The events as the journal has them.
    pub events: Bytes,
}

/// `dead_events`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadRow {
    pub shard: ShardId,
    pub sequence: Sequence,
    /// Of the commit in its bundle, or [`DeadRow::WHOLE_BUNDLE`].
    pub ordinal: i32,
    pub reason: String,
    pub raw: Bytes,
}

impl DeadRow {
    /// The ordinal that stands for the bundle as a whole.
    pub const WHOLE_BUNDLE: i32 = -1;
}

/// A change of one row of `workflow_runs`: at least one of its two halves.
#[derive(Debug, Clone, PartialEq)]
pub struct RunChange {
    pub run: RunId,
    pub start: Option<RunStart>,
    pub end: Option<RunEnd>,
}

/// What the start of a run says; present: the row is new.
#[derive(Debug, Clone, PartialEq)]
pub struct RunStart {
    pub shard: ShardId,
    pub workspace: WorkspaceId,
    pub workflow: Slug,
    pub version: DefinitionVersion,
    pub trigger: Json,
    pub input: Json,
    pub started_at: Timestamp,
}

/// What the end of a run says.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    pub status: RunStatus,
    pub completed_at: Timestamp,
    pub output: Option<Json>,
    /// A [`RunFailure`].
    pub error: Option<Json>,
}

/// Where an attempt stands in `traces`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceStatus {
    /// It is to come: assets, a retry or the end of a sleep are awaited.
    Waiting,
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    Succeeded,
    Failed,
    /// The node was never tried: all ways to it are dead.
    Skipped,
    Cancelled,
}

impl TraceStatus {
    /// Returns the word of `NodeStatus` that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether something is still to be learned of the attempt.
    pub fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Queued | Self::Running => true,
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled => false,
        }
    }
}

/// A change of one row of `traces`. Of two changes of the same row the later one wins wherever it says something.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceChange {
    pub run: RunId,
    pub node: NodeAddress,
    /// [`TraceChange::UNTRIED`] or the number of an [`Attempt`].
    pub attempt: u32,
    /// No earlier batch can have written the row, as far as the rules go.
    pub is_new: bool,
    pub status: TraceStatus,
    pub worker: Option<WorkerId>,
    pub scheduled_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// When the wait of a sleep or for a retry ends.
    pub wakes_at: Option<Timestamp>,
    pub input: Option<Json>,
    pub output: Option<Json>,
    pub failure: Option<RunFailure>,
}

impl TraceChange {
    /// Stands where the number of an attempt would, for a node without one.
    pub const UNTRIED: u32 = 0;
}

/// The end of a node whose current attempt the batch does not name: closes the row of its highest attempt where that
/// is open, else becomes its row [`TraceChange::UNTRIED`]. Written before the batch's other traces.
#[derive(Debug, Clone, PartialEq)]
pub struct SettledNode {
    pub run: RunId,
    pub node: NodeAddress,
    pub status: TraceStatus,
    pub finished_at: Timestamp,
    pub failure: Option<RunFailure>,
}

/// A change of one row of `assets`.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetChange {
    pub workspace: WorkspaceId,
    /// The id in lower case.
    pub key: String,
    /// Kept only where the row is new.
    pub asset: AssetId,
    pub latest: Option<LatestVersion>,
}

/// The version of an asset that was recorded last.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestVersion {
    pub revision: Revision,
    /// Empty for the unpartitioned asset.
    pub partition: String,
    pub version: Version,
}

/// `asset_versions`.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    pub workspace: WorkspaceId,
    /// The asset's id in lower case.
    pub key: String,
    /// Empty for the unpartitioned asset.
    pub partition: String,
    pub version: Version,
    pub revision: Revision,
    pub shard: ShardId,
    pub sequence: Sequence,
    pub recorded_at: Timestamp,
    pub produced_at: Timestamp,
    pub run_started_at: Timestamp,
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub workflow: Slug,
    pub definition: DefinitionVersion,
    pub payload: Json,
    pub schema: Option<Json>,
    pub freshness: Option<Json>,
}

/// `asset_inputs`.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRow {
    pub workspace: WorkspaceId,
    pub key: String,
    pub partition: String,
    pub version: Version,
    pub ordinal: i32,
    pub input_key: String,
    pub input_asset: AssetId,
    pub input_partition: String,
    pub input_version: Version,
}

/// A change of one row of `workflows`.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowChange {
    pub workspace: WorkspaceId,
    pub slug: Slug,
    pub current: DefinitionVersion,
    /// Kept as the row's birth where it is new.
    pub first_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `workflow_defs` with what belongs to it in `nodes`, `transitions` and `asset_edges`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionRow {
    pub workspace: WorkspaceId,
    pub slug: Slug,
    pub version: DefinitionVersion,
    pub content_hash: String,
    pub applied_at: Timestamp,
    pub document: Json,
    pub graph: Graph,
}

/// What the read models keep of a document, beside the document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    pub name: Option<String>,
    pub description: Option<String>,
    pub nodes: Vec<GraphNode>,
    pub transitions: Vec<GraphTransition>,
    pub edges: Vec<GraphEdge>,
}

/// `nodes`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphNode {
    pub id: String,
    pub name: Option<String>,
    pub kind: String,
    pub job: Option<String>,
    pub document: String,
}

/// `transitions`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphTransition {
    pub from: String,
    pub to: String,
    /// `success` or `failure`.
    pub outcome: String,
    pub priority: i32,
    pub condition: Option<String>,
}

/// `asset_edges`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphEdge {
    pub role: EdgeRole,
    pub node: String,
    pub node_name: Option<String>,
    pub kind: String,
    /// As the document spells it.
    pub asset: String,
    pub is_primary: bool,
    pub schema: Option<String>,
    pub freshness: Option<String>,
    pub partitioning: Option<String>,
    pub auto_materialize: Option<String>,
}

/// Which way an asset goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeRole {
    Produces,
    Consumes,
}

impl EdgeRole {
    /// Returns the word the table holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Produces => "produces",
            Self::Consumes => "consumes",
        }
    }
}
