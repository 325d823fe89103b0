//! The worker protocol and the shard requests: what crosses the broker between processes, as JSON.
//!
//! A worker takes a [`Task`] from its queue (or from the answer to its last report), runs the handler once, and
//! reports to the shard that owns the run. Frames carry many requests of one sender to one shard; the answer comes
//! after the bundle that holds their decisions is durable, one reply for each request, in order.

use serde::{Deserialize, Serialize};

use crate::asset::Declaration;
use crate::definition::BuiltIn;
use crate::expr::ConsumedAsset;
use crate::run::{Report, RunStatus};
use crate::shard::{AssetKey, Position, Rejection, Submission};
use crate::{
    Attempt, CommandId, Epoch, JobSlug, Json, LeaseToken, NodeId, QueueName, RunId, Slug, Timestamp, WorkerId,
};
use crate::{Version, WorkspaceId};

/// One attempt of one node, as a worker gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    pub workspace: WorkspaceId,
    pub workflow: Slug,
    pub run: RunId,
    pub node: NodeId,
    pub attempt: Attempt,
    pub lease: LeaseToken,
    pub queue: QueueName,
    pub work: Work,
    pub input: Json,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<ConsumedAsset>,
    /// When the attempt times out, by the shard's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How long its handler may give no sign of life, from when it begins, in milliseconds. The worker sees to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout_ms: Option<u64>,
    /// The shard does not know whether an earlier copy is still in the queue: claim before running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claim_first: bool,
}

impl Task {
    /// Returns the key under which a handler may make its own effects idempotent: the same for every attempt.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.run, self.node)
    }
}

/// Who executes the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Work {
    /// A handler of a worker program.
    Job(JobSlug),
    /// The engine's own task worker.
    BuiltIn(BuiltIn),
}

/// Requests of one worker to one shard (subject `hw.work.<shard>`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkFrame {
    pub worker: WorkerId,
    pub workspace: WorkspaceId,
    /// The queues the worker serves: it may be handed the next tasks of the runs it reports on.
    pub queues: Vec<QueueName>,
    /// How many tasks beyond one per report this shard may hand to it: now with the answers, later unasked.
    pub free_slots: u32,
    pub requests: Vec<WorkRequest>,
}

/// A worker introduces itself to every shard (subject `hw.work.all`): at its start, with every heartbeat, and when it
/// stops. Not answered, not stored: who misses one hears the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    pub worker: WorkerId,
    pub workspace: WorkspaceId,
    pub queues: Vec<QueueName>,
    /// How many tasks all shards together may hand to it unasked. Each shard takes its even share.
    pub free_slots: u32,
    /// The subject on which it takes tasks (a JSON array of [`Task`]) that nobody asked for.
    pub tasks_to: String,
}

/// One request of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WorkRequest {
    /// How an attempt ended.
    Report { id: CommandId, run: RunId, report: Report },
    /// May I run this? Asked for a delivery that is not the first, and for tasks that say so.
    Claim { run: RunId, node: NodeId, attempt: Attempt, lease: LeaseToken },
    /// It runs, for a moment already.
    Started { run: RunId, node: NodeId, attempt: Attempt, lease: LeaseToken, started_at: Timestamp },
    /// I still hold these. Not stored.
    Heartbeat { held: Vec<Held> },
}

/// An attempt a worker holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub run: RunId,
    pub node: NodeId,
    pub attempt: Attempt,
    pub lease: LeaseToken,
    /// What the handler last said of its progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Json>,
}

/// The answer to one [`WorkRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WorkReply {
    /// Done and durable; here is what to do next, if anything.
    Accepted {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        next: Vec<Task>,
    },
    /// To a claim: run it, or run this newer attempt instead.
    Granted { task: Task },
    /// To a heartbeat: stop these.
    Alive { cancelled: Vec<LeaseToken> },
    /// No; never ask again with the same request.
    Refused { rejection: Rejection },
}

/// Requests of the engine's own processes to one shard (subject `hw.cmd.<shard>`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ShardRequest {
    /// Decide and make durable.
    Submit(Box<Submission>),
    /// Answer when the run has ended (at once if it has), or not at all before the caller's deadline.
    AwaitRun { run: RunId },
    /// Who produces and consumes the asset, as far as the shard knows. Not fenced: for advice.
    DescribeAsset { key: AssetKey },
    /// Is anybody there? Answered at once and without an append, so it may be asked as often as one likes; an owner
    /// that has lost the shard unawares says yes too. With `prove` the answer comes when an append has landed lately, an
    /// empty one if need be: then the shard is this owner's, and can be written.
    NameEpoch {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        prove: bool,
    },
}

/// The answer to one [`ShardRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ShardReply {
    /// Decided and durable at this place; `version` where a workflow was applied.
    Done {
        position: Position,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        granted: Option<Granted>,
    },
    /// The run has ended.
    Ended {
        status: RunStatus,
        position: Position,
    },
    /// The declarations of an asset, by workflow; none for one nobody declares.
    Asset {
        declarations: Vec<Declaration>,
    },
    /// Whoever says so drives the shard, and writes this epoch.
    Driven {
        epoch: Epoch,
        /// An append has been on its way for so long, in milliseconds, that it is not only slow: the shard cannot be
        /// written now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        appending_ms: Option<u64>,
    },
    Refused {
        rejection: Rejection,
    },
}

/// What a granted command made, where the caller cannot know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Granted {
    /// The workflow's current version, and whether it is new.
    Workflow { version: crate::DefinitionVersion, created: bool },
    /// The run that the same start made before, where it was not started anew. Its id may differ in the time.
    Run { run: RunId },
    /// The version of the asset.
    Asset { version: Version },
}
