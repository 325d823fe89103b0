//! What a run learned. Append-only: a variant or field once released keeps its meaning (golden files hold it).

mod about;
mod parts;
mod word;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::ending::Ending;
use super::{AwaitedSignal, PersonTask, ProducedAsset, Reply};
pub use parts::{AssetNeed, BranchKind, BranchOutcome, JoinClosing};

use crate::dialogue::{Asker, ContinuedFrom, Description, Trigger};
use crate::expr::ConsumedAsset;
use crate::failure::RunFailure;
use crate::{
    Actor, ActorName, CommandId, RunId, SessionId, SignalKey, SignalName, Slug, Timestamp, Version, WorkerId,
    WorkspaceId,
};
use crate::{AssetId, Attempt, BranchId, DefinitionVersion, Json, LeaseToken, NodeAddress, NodeId, PartitionKey};

/// How many branches one fact opens at most.
pub const BRANCHES_OPENED_MAX: u32 = 1_000;

/// A fact about a run. Its time is the commit's, unless a field says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RunEvent {
    /// The run exists; its definition version is frozen and its input has the defaults filled in.
    RunStarted {
        workspace: WorkspaceId,
        workflow: Slug,
        version: DefinitionVersion,
        input: Json,
        trigger: Trigger,
        /// The run id was derived from an idempotency key, and is remembered for a day after the run's end.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keyed: bool,
        /// Only these nodes happen, and what they depend on; in order, each once. Empty: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        targets: Vec<NodeId>,
        /// Another run, that it goes on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continued: Option<Box<ContinuedFrom>>,
    },
    /// The next piece of what nodes came to in the run that this one goes on from.
    ResultsRecalled {
        /// From 1.
        piece: u32,
        /// A list of [`super::Recalled`].
        results: Json,
    },
    /// What the run is called, as far as it is new.
    RunDescribed { description: Description },
    /// A node waits for versions of assets before it is scheduled; one [`RunEvent::AssetResolved`] follows for each.
    NodeAwaitedAssets { node: NodeAddress, needs: Vec<AssetNeed> },
    /// A version (or, with `onMiss: ignore`, none) was chosen for a waiting node.
    AssetResolved {
        node: NodeAddress,
        asset: AssetId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chosen: Option<ConsumedAsset>,
    },
    /// A node asks a memo whether its result was made before; [`RunEvent::MemoCleared`], or its end, follows.
    MemoAsked {
        node: NodeAddress,
        /// Of workspace, scope and key: 64 hex digits.
        digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_age_ms: Option<u64>,
        /// What its first attempt gets. Absent: the run's input.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
        input: Option<Json>,
    },
    /// There is no such result: the node makes it.
    MemoCleared { node: NodeAddress },
    /// A node that asked a memo ends without a result for it; how stands in the next event.
    MemoLeft { node: NodeAddress, digest: String },
    /// An attempt of a node exists and waits to be taken (a task, a timer, or nothing for pure actions).
    AttemptScheduled {
        node: NodeAddress,
        attempt: Attempt,
        lease: LeaseToken,
        /// Absent: the run's input as it is. `null` is an input like any other.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
        input: Option<Json>,
        /// For a sleep: when it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wakes_at: Option<Timestamp>,
        /// The worker that it is granted to at once. Absent: it waits, and [`RunEvent::AttemptGranted`] follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handed_to: Option<WorkerId>,
        /// That worker's session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
        /// For a call: the run that it waits for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child: Option<RunId>,
        /// For a wait: the signals of which it takes the first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signals: Vec<AwaitedSignal>,
    },
    /// Somebody said something to the run: it is kept until a node takes it.
    SignalReceived {
        /// Each is received once.
        signal: CommandId,
        name: SignalName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<SignalKey>,
        payload: Json,
        /// Whoever waits takes it, now; nobody does later.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        broadcast: bool,
        /// Somebody waits for the reply of who takes it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        update: bool,
    },
    /// An attempt takes a signal that was received, and goes on with it.
    SignalTaken { node: NodeAddress, attempt: Attempt, signal: CommandId },
    /// An attempt that took an update answers it.
    SignalAnswered { node: NodeAddress, attempt: Attempt, signal: CommandId, reply: Box<Reply> },
    /// An attempt asks people; what the form of their answers is stands in the definition.
    PersonAsked { node: NodeAddress, attempt: Attempt, task: Box<PersonTask> },
    /// Somebody answers. The last answer that an attempt waits for ends it.
    PersonAnswered {
        node: NodeAddress,
        attempt: Attempt,
        /// Each is received once.
        answer: CommandId,
        by: Actor,
        value: Json,
        /// Why the form does not allow it: then the attempt fails.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invalid: Option<String>,
    },
    /// From now on it is asked of these.
    PersonReassigned {
        /// Each is done once.
        operation: CommandId,
        node: NodeAddress,
        attempt: Attempt,
        assignees: Vec<ActorName>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Actor>,
        reason: String,
    },
    /// Three quarters of the time are over, and whoever is asked has not answered.
    PersonReminded { node: NodeAddress, attempt: Attempt },
    /// An attempt waits for somebody outside, who has its token.
    CallbackAwaited { node: NodeAddress, attempt: Attempt },
    /// He gives a sign of life. Not every one is taken down.
    CallbackHeard { node: NodeAddress, attempt: Attempt },
    /// He has ended it, as the events before say.
    CallbackAnswered {
        /// Which only he knew.
        callback: CommandId,
        /// A hash of what he said.
        said: u64,
    },
    /// Which version is called is settled, and its run is told to start.
    ChildCalled { node: NodeAddress, attempt: Attempt, child: RunId, version: DefinitionVersion },
    /// An attempt is over before the run that it called is, or was refused: that one is cancelled. How the attempt ends stands
    /// in the next event.
    ChildWithdrawn {
        node: NodeAddress,
        attempt: Attempt,
        child: RunId,
        /// Nothing of what has succeeded in it is undone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// An attempt that waited is a worker's now, under a lease of its own. Never again under this number.
    AttemptGranted { node: NodeAddress, attempt: Attempt, lease: LeaseToken, worker: WorkerId, session: SessionId },
    /// Its worker gave it back without having begun it. The next [`RunEvent::AttemptScheduled`] follows in the same commit, and
    /// does not count against the retry policy.
    AttemptReturned { node: NodeAddress, attempt: Attempt, worker: WorkerId },
    /// An attempt outlived the engine's patience for silence and was seen to run. Short attempts skip this.
    AttemptStarted { node: NodeAddress, attempt: Attempt, worker: WorkerId, started_at: Timestamp },
    /// An attempt failed. [`RunEvent::RetryArmed`] or [`RunEvent::NodeFailed`] follows in the same commit.
    AttemptFailed {
        node: NodeAddress,
        attempt: Attempt,
        failure: RunFailure,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker: Option<WorkerId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
    },
    /// The next attempt will be scheduled then.
    RetryArmed { node: NodeAddress, attempt: Attempt, due_at: Timestamp },
    /// A node succeeded. For pure actions `attempt` is 1 and there was no [`RunEvent::AttemptScheduled`].
    NodeSucceeded {
        node: NodeAddress,
        attempt: Attempt,
        output: Json,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        assets: Vec<ProducedAsset>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker: Option<WorkerId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        /// Positions in the definition of the transitions taken. Absent: all that leave on success.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken: Option<Vec<u32>>,
        /// Who had made the output before. Absent: the node itself, now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reused: Option<Box<Asker>>,
        /// What a memo was asked for, which hears of the output, or that there is none of the node's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        landed: Option<Box<str>>,
    },
    /// A node failed for good: its retries are exhausted, its assets cannot be had, or it could not be evaluated.
    NodeFailed {
        node: NodeAddress,
        failure: RunFailure,
        /// Positions in the definition of the transitions taken: those `on: failure`, or, where it is tolerated, those on
        /// success. Empty where it is not tolerated: the run fails.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        taken: Vec<u32>,
        /// The definition lets the run go on as if the node had succeeded with `null`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tolerated: bool,
    },
    /// The node has succeeded, in the event before, and is undone with this where the run fails or is cancelled.
    CompensationKept {
        node: NodeAddress,
        /// What that is given.
        input: Json,
    },
    /// All ways into the node are dead.
    NodeSkipped { node: NodeAddress },
    /// The node was running or waiting when the run ended without it.
    NodeCancelled { node: NodeAddress },
    /// The run ends, and how: nothing begins any more, and what is active is withdrawn, perhaps in several commits. The end
    /// itself follows. Absent where the commit of the end has room for all of it.
    RunEnding { ending: Ending },
    /// A node with `forEach` has found what its items are, or it is told what is undone, in the order of that; branches follow.
    ItemsListed {
        node: NodeAddress,
        /// A list.
        items: Json,
    },
    /// So many branches, at most [`BRANCHES_OPENED_MAX`], begin, numbered from `first`: for the items, the turn or the try
    /// from `from`.
    BranchesOpened { node: NodeAddress, kind: BranchKind, first: BranchId, from: u32, count: u32 },
    /// A branch fails: what is active in it is withdrawn, and [`RunEvent::BranchEnded`] follows.
    BranchClosing { branch: BranchId, failure: RunFailure },
    /// A `forEach` needs no more of its branches, or none can help it any more: those that are open are withdrawn.
    JoinClosing { node: NodeAddress, join: JoinClosing },
    /// The run goes on as another one: it is certain that it ends well, which the next event says.
    SuccessorChosen { node: NodeAddress, successor: RunId, workflow: Slug, version: DefinitionVersion, input: Json },
    /// Nothing of the run is left to be done, and its successor is told to start. The end follows once that has begun.
    SuccessorCalled { successor: RunId },
    /// Nobody wants the successor any more.
    SuccessorWithdrawn {
        successor: RunId,
        reason: String,
        /// Nothing of what succeeds in it is undone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// A signal that the run before had received and nobody had taken: it is kept until a node takes it.
    SignalInherited {
        signal: CommandId,
        name: SignalName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<SignalKey>,
        payload: Json,
    },
    /// Everything in a branch has ended.
    BranchEnded { branch: BranchId, outcome: BranchOutcome },
    /// The asset's own shard recorded what the node produced, under this version.
    AssetRecorded {
        node: NodeAddress,
        asset: AssetId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partition: Option<PartitionKey>,
        version: Version,
    },
    /// Nothing begins any more, of the run or of one of its nodes, until it is resumed.
    RunPaused {
        /// Each is done once.
        operation: CommandId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It goes on.
    RunResumed {
        /// Each is done once.
        operation: CommandId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody wants it to end at once: nothing is done any more before its end but that what is active is withdrawn.
    RunTerminated {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody has cancelled it, with a grace: nothing begins any more, and what workers hold may still report until then. The end
    /// follows, at the latest then.
    RunStopping {
        until: Timestamp,
        reason: String,
        /// Nothing of what has succeeded is undone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Somebody ends a node by hand; how, stands in the next event. Whoever holds its attempt is heard no more.
    NodeOverruled {
        node: NodeAddress,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody has the end of a node's sleep, or its next attempt, be due then.
    TimerChanged {
        /// Each is done once.
        operation: CommandId,
        node: NodeAddress,
        /// That sleeps, or that is to be made.
        attempt: Attempt,
        due_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// From now on it is a run of another version of its workflow, which its shard has adopted.
    RunMigrated {
        /// Each is done once.
        operation: CommandId,
        version: DefinitionVersion,
        /// What nodes are called from now on that were called otherwise; `null`: they are gone.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        map: BTreeMap<NodeId, Option<NodeId>>,
        /// Positions in that version of the transitions that count as taken, of nodes that have ended; in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        taken: Vec<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Every token ended and every produced asset is recorded.
    RunSucceeded {
        output: Json,
        /// The run that goes on from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        successor: Option<RunId>,
    },
    /// A node failed without a way on, the run took too long, or its output broke its schema.
    RunFailed { failure: RunFailure },
    /// Somebody asked for it.
    RunCancelled { reason: String },
}
