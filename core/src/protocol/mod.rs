//! The worker protocol and the shard requests: what crosses the broker between processes, as JSON.
//!
//! A worker introduces itself ([`Hello`]), lends its free slots to shards ([`Credit`]), is handed tasks ([`Handed`], or with the
//! answer to a report), runs the handler of each once, and reports to the shard that owns the run. Frames carry many requests of
//! one sender to one shard; the answer comes after the bundle that holds their decisions is durable, one reply for each
//! request, in order.

mod reading;

use serde::{Deserialize, Serialize};

pub use reading::{Malformed, QUEUES_MAX, REQUESTS_MAX, ReadFrame, read_requests};

use crate::asset::Declaration;
use crate::credit::{Credit, Standing};
use crate::run::{Reply, Report, RunStatus, RunsWanted};
pub use crate::shard::Granted;
use crate::shard::{
    ActionKey, AggregateId, AssetKey, EffectPlace, Position, Quarantine, Rejection, ReleaseBy, Submission,
};
pub use crate::task::{Task, Work};
use crate::{
    Actor, Attempt, BranchId, CommandId, DefinitionVersion, Epoch, Incarnation, Json, LeaseToken, NodeAddress,
    QueueName, Revision, RunId, SessionId, ShardId, Timestamp, WorkerId, WorkspaceId,
};

/// The version of the worker protocol that this release speaks.
pub const PROTOCOL: u16 = 2;

/// Requests of one worker to one shard (subject `hw.work.<workspace>.<shard>`). Without requests it carries credit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkFrame {
    /// [`PROTOCOL`].
    pub protocol: u16,
    pub worker: WorkerId,
    /// This life of the process.
    pub session: SessionId,
    /// The queues the worker serves, at most [`QUEUES_MAX`].
    #[serde(deserialize_with = "reading::at_most::<QUEUES_MAX, _, _>")]
    pub queues: Vec<QueueName>,
    pub credit: Credit,
    /// At most [`REQUESTS_MAX`].
    #[serde(deserialize_with = "reading::at_most::<REQUESTS_MAX, _, _>")]
    pub requests: Vec<WorkRequest>,
}

/// The answer to a [`WorkFrame`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkAnswer {
    pub shard: ShardId,
    /// Absent where the shard has just changed hands: ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// One for each request, in order.
    pub replies: Vec<WorkReply>,
    /// The frame as a whole could not be read: there are no replies. Never send it again as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed: Option<Malformed>,
}

/// A worker introduces itself to every shard (subject `hw.work.<workspace>.all`): at its start, with every heartbeat, and
/// when it stops. Not stored: who misses one hears the next. A shard that does not know the session answers with [`Handed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u16,
    pub worker: WorkerId,
    pub session: SessionId,
    pub queues: Vec<QueueName>,
    /// It takes nothing more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

/// What a shard hands to a worker unasked (subject `hw.hand.<workspace>.<worker>.<session>`): tasks, or only how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handed {
    pub shard: ShardId,
    pub standing: Standing,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
}

/// A shard has tasks waiting and no worker to hand them to (subject `hw.call.<workspace>`). Who has something to spare lends it;
/// who has not remembers it. Repeated every second while it is so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    pub shard: ShardId,
    pub epoch: Epoch,
    pub queues: Vec<QueueName>,
}

/// One request of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WorkRequest {
    /// How an attempt ended.
    Report { id: CommandId, run: RunId, report: Report },
    /// It was not begun, and will not be here.
    Return { id: CommandId, run: RunId, node: NodeAddress, attempt: Attempt, lease: LeaseToken },
    /// It runs, for a moment already.
    Started {
        run: RunId,
        node: NodeAddress,
        attempt: Attempt,
        lease: LeaseToken,
        #[serde(deserialize_with = "crate::time::strict")]
        started_at: Timestamp,
    },
    /// I still hold these. Not stored. The answer names those that are not wanted any more.
    Heartbeat { held: Vec<Held> },
}

/// An attempt a worker holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub run: RunId,
    pub node: NodeAddress,
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
    /// To a heartbeat: stop these.
    Alive {
        cancelled: Vec<LeaseToken>,
        /// Whether these are still wanted cannot be said now, because their run is quarantined: go on with what has begun, and
        /// begin nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unclear: Vec<LeaseToken>,
        /// The runs of these were cancelled with a grace: what has begun is asked to come to an end, and its outcome is taken;
        /// what has not is given back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stopping: Vec<LeaseToken>,
    },
    /// No; never ask again with the same request.
    Refused { rejection: Rejection },
    /// It could not be read. Never send it again as it is.
    Malformed(Malformed),
}

/// Requests of the engine's own processes to one shard (subject `hw.cmd.<shard>`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ShardRequest {
    /// Decide and make durable.
    Submit(Box<Submission>),
    /// Answer when the run has ended (at once if it has), or not at all before the caller's deadline.
    AwaitRun { run: RunId },
    /// What an update was answered with, once it was; refused where the run has ended, or is not the workspace's. Releases that
    /// do not know the question do not answer it.
    AwaitReply { workspace: WorkspaceId, run: RunId, update: CommandId },
    /// Who produces and consumes the asset, as far as the shard knows. Not fenced: for advice.
    DescribeAsset { key: AssetKey },
    /// The document of a version of a reusable action, the current one where none is named; and which version a content is or
    /// would be. Not fenced: versions never change, and which is current may be about to.
    DescribeAction {
        key: ActionKey,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<DefinitionVersion>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_hash: Option<String>,
    },
    /// How many attempts wait for a queue, and how many workers hold. Not fenced: for advice.
    DescribeQueue { workspace: WorkspaceId, queue: QueueName },
    /// What expressions see in a branch of an active run, as far as it is durable. An owner that has lost the shard unawares says
    /// what it knows.
    DescribeRun { workspace: WorkspaceId, run: RunId, branch: BranchId },
    /// By what an active run, as far as it is durable, is told from another folding of it. Releases that do not know the question do
    /// not answer it.
    DigestRun { workspace: WorkspaceId, run: RunId },
    /// Which attempts of an active run somebody outside ends, with their tokens, as far as that is durable. Answered as the one before.
    ListCallbacks { workspace: WorkspaceId, run: RunId },
    /// What is quarantined: one aggregate, or the first of all. Not fenced: for advice.
    ListQuarantine {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate: Option<AggregateId>,
    },
    /// Release an aggregate from quarantine. Answered when that is durable.
    Release {
        id: CommandId,
        aggregate: AggregateId,
        by: ReleaseBy,
        /// Who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<Actor>,
    },
    /// Which of its active runs are these? The first that come after a run, by their ids, at most [`RUNS_LISTED_MAX`].
    ListRuns {
        workspace: WorkspaceId,
        wanted: RunsWanted,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<RunId>,
        most: u32,
    },
    /// Up to where was a shard's journal heard? Not fenced: what was sent from there was durable there before. Releases that
    /// do not know the question do not answer it.
    NameHeard { of: ShardId },
    /// Is anybody there? Answered at once and without an append, so it may be asked as often as one likes; an owner
    /// that has lost the shard unawares says yes too. With `prove` the answer comes when an append has landed lately, an
    /// empty one if need be: then the shard is this owner's, and can be written.
    NameEpoch {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        prove: bool,
    },
}

impl ShardRequest {
    /// Returns the wish it carries, if it is one.
    pub fn wish(&self) -> Option<&Submission> {
        match self {
            Self::Submit(wish) => Some(wish),
            Self::AwaitRun { .. }
            | Self::AwaitReply { .. }
            | Self::DescribeAsset { .. }
            | Self::DescribeAction { .. }
            | Self::DescribeQueue { .. }
            | Self::DescribeRun { .. }
            | Self::DigestRun { .. }
            | Self::ListCallbacks { .. }
            | Self::ListRuns { .. }
            | Self::ListQuarantine { .. }
            | Self::Release { .. }
            | Self::NameHeard { .. }
            | Self::NameEpoch { .. } => None,
        }
    }
}

/// How many runs a shard names at once.
pub const RUNS_LISTED_MAX: u32 = 1_000;

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
        /// The run that goes on from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        successor: Option<RunId>,
    },
    /// An update was answered, and that is durable at this place or before.
    Replied {
        reply: Reply,
        position: Position,
    },
    /// The declarations of an asset, by workflow; none for one nobody declares.
    Asset {
        declarations: Vec<Declaration>,
    },
    /// A version of an action with its document, if there is that version; and the version of the content that was named.
    Action {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<(DefinitionVersion, Json)>,
        of_content: DefinitionVersion,
    },
    /// A [`crate::run::Context`]; absent: the branch is not open, or what is seen there is too large to be told.
    Run {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<Json>,
        /// About how many bytes it has; 0: the branch is not open.
        bytes: u64,
    },
    /// Of a run after an event; `digest` is a SHA-256 in hex, and absent where there is more of the run than is hashed.
    Digest {
        revision: Revision,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// The first of those runs, in the order of their ids, and how many there are in all after the one named.
    Runs {
        runs: Vec<RunId>,
        total: u64,
    },
    /// Attempts of a queue.
    Queue {
        waiting: u64,
        held: u64,
    },
    /// How many aggregates are quarantined, and the first of them.
    Quarantine {
        total: u64,
        aggregates: Vec<Quarantined>,
    },
    /// The last place of that shard's journal that was heard; absent: none.
    Heard {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<EffectPlace>,
        /// Of the shard that answers.
        #[serde(default, skip_serializing_if = "Incarnation::is_first")]
        incarnation: Incarnation,
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

/// A quarantined aggregate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    pub aggregate: AggregateId,
    pub quarantine: Quarantine,
    /// How many wishes wait for its release.
    pub parked: u64,
}
