//! What can be asked of a run, and why it may be refused.

use serde::{Deserialize, Serialize};

use super::{
    ANSWERS_MAX, CalledBack, Migration, MigrationProblem, NodeStatus, OPERATIONS_MAX, Operation, ProducedAsset,
    SIGNALS_MAX,
};
use crate::dialogue::{Answer, Inherited, MemoAnswer, StartRun, ToRun};
use crate::expr::ConsumedAsset;
use crate::failure::RunFailure;
use crate::{
    Actor, ActorName, AssetId, Attempt, CommandId, DefinitionVersion, Json, LeaseToken, NodeAddress, PartitionKey,
    RunId, SessionId, SignalKey, SignalName, Timestamp, Version, WorkerId, WorkspaceId,
};

/// A wish addressed to one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RunCommand {
    /// Start it.
    StartRun(StartRun),
    /// It is told the next piece of what nodes came to in the run that it goes on from.
    Recall {
        workspace: WorkspaceId,
        /// From 1.
        piece: u32,
        /// A list of [`super::Recalled`]: at most [`super::RECALL_PIECE_BYTES_MAX`] bytes.
        results: Json,
    },
    /// A worker says how an attempt ended.
    ReportAttempt(Report),
    /// Attempts that wait are given to workers with room.
    GrantAttempts { grants: Vec<Grant> },
    /// A worker gives an attempt back that it has not begun.
    ReturnAttempt { node: NodeAddress, attempt: Attempt, lease: LeaseToken },
    /// A worker says that an attempt runs, once it has run for a moment.
    StartAttempt { node: NodeAddress, attempt: Attempt, lease: LeaseToken, worker: WorkerId, started_at: Timestamp },
    /// Nobody holds the attempt any more: its worker fell silent.
    LoseAttempt { node: NodeAddress, attempt: Attempt, lease: LeaseToken },
    /// Stop it. A run of another workspace than the asker's is not there for him; `None`: whoever asks may.
    CancelRun {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workspace: Option<WorkspaceId>,
        reason: String,
        /// How long what workers hold may still report, in milliseconds, at most [`super::GRACE_MAX`].
        #[serde(default, skip_serializing_if = "is_none")]
        grace_ms: u64,
    },
    /// The same, and what has succeeded stays as it is: nothing of it is undone.
    CancelRunKeeping {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workspace: Option<WorkspaceId>,
        reason: String,
        #[serde(default, skip_serializing_if = "is_none")]
        grace_ms: u64,
    },
    /// Somebody outside says something to it. What was said before under the same id changes nothing, and other words under it are refused. A run of another workspace is
    /// not there for him.
    Signal {
        workspace: WorkspaceId,
        signal: CommandId,
        name: SignalName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<SignalKey>,
        payload: Json,
        /// Whoever waits takes it, now; nobody does later.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        broadcast: bool,
        /// Who says it waits for the reply of who takes it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        update: bool,
    },
    /// Somebody answers what people are asked at a node. What was answered before under the same id changes nothing, and
    /// another answer under it is refused. A run of another workspace is not there for him.
    AnswerPerson {
        workspace: WorkspaceId,
        node: NodeAddress,
        /// Absent: whichever is open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<Attempt>,
        answer: CommandId,
        by: Actor,
        value: Json,
    },
    /// Somebody outside ends an attempt, or says that it is under way; whoever has its token may. Said again as it was ended, it
    /// changes nothing.
    CallBack {
        node: NodeAddress,
        attempt: Attempt,
        /// Of the token.
        proof: CommandId,
        said: CalledBack,
    },
    /// Others are asked instead. The same of the workspace.
    ReassignPerson {
        workspace: WorkspaceId,
        /// Done before under the same id, it changes nothing.
        id: CommandId,
        node: NodeAddress,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<Attempt>,
        /// 1 to [`crate::definition::ASSIGNEES_MAX`].
        assignees: Vec<ActorName>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Actor>,
        reason: String,
    },
    /// Somebody takes it in hand. A run of another workspace is not there for him.
    Operate {
        workspace: WorkspaceId,
        /// Done before under the same id, it changes nothing.
        id: CommandId,
        operation: Operation,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It goes over to another version. A run of another workspace is not there for him.
    MigrateRun(Migration),
    /// Something of the run is due.
    FireTimers {},
    /// It goes on with what its last decision left.
    Continue {},
    /// An asset chose a version for a waiting node, or none.
    ResolveAsset { node: NodeAddress, asset: AssetId, chosen: Option<ConsumedAsset> },
    /// An asset cannot give a waiting node what it needs.
    RefuseAsset { node: NodeAddress, asset: AssetId, failure: RunFailure },
    /// An asset recorded what a node produced.
    AcknowledgeAsset { node: NodeAddress, asset: AssetId, partition: Option<PartitionKey>, version: Version },
    /// A call of a node goes on, or is over.
    AnswerCall { node: NodeAddress, attempt: Attempt, answer: Answer },
    /// A memo answers a node that asked it.
    AnswerMemo { node: NodeAddress, digest: String, answer: MemoAnswer },
    /// It inherits a signal of the run that it goes on from.
    InheritSignal(Box<Inherited>),
    /// The run that goes on from it has begun, or does not start.
    HearSuccessor {
        successor: RunId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<RunFailure>,
    },
    /// Whoever called it does not wait for it any more.
    WithdrawRun {
        reason: String,
        /// As he was told himself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
}

fn is_none(span: &u64) -> bool {
    *span == 0
}

impl From<ToRun> for RunCommand {
    fn from(said: ToRun) -> Self {
        match said {
            ToRun::Start(start) => Self::StartRun(start),
            ToRun::Resolve { node, asset, chosen } => Self::ResolveAsset { node, asset, chosen },
            ToRun::Refuse { node, asset, failure } => Self::RefuseAsset { node, asset, failure },
            ToRun::Acknowledge { node, asset, partition, version } => {
                Self::AcknowledgeAsset { node, asset, partition, version }
            }
            ToRun::Answer { node, attempt, answer } => Self::AnswerCall { node, attempt, answer },
            ToRun::Memo { node, digest, answer } => Self::AnswerMemo { node, digest, answer },
            ToRun::Inherit(inherited) => Self::InheritSignal(inherited),
            ToRun::Succeeded { successor } => Self::HearSuccessor { successor, refusal: None },
            ToRun::Withdraw { reason, keeps } => Self::WithdrawRun { reason, keeps },
        }
    }
}

/// An attempt that waits, and the worker it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub worker: WorkerId,
    pub session: SessionId,
}

/// How an attempt ended, as its worker saw it. Read by [`super::report`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub lease: LeaseToken,
    pub worker: WorkerId,
    /// By the worker's clock.
    pub started_at: Timestamp,
    pub outcome: ReportOutcome,
}

/// The two ways an attempt can end. One that cannot be read is a failure, whose message says why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ReportOutcome {
    Succeeded {
        output: Json,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        assets: Vec<ProducedAsset>,
    },
    Failed {
        code: String,
        message: String,
        /// The handler knows that another try is useless.
        permanent: bool,
        /// See [`RunFailure::details`]; what is no object, or too large, is left out with a note.
        #[serde(skip_serializing_if = "Option::is_none")]
        details: Option<Json>,
        /// The next attempt is not to begin before so long. Milliseconds; the engine heeds it within bounds.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl ReportOutcome {
    /// A failure that says nothing of when it is tried again, and nothing for programs.
    pub fn failed(code: impl Into<String>, message: impl Into<String>, permanent: bool) -> Self {
        Self::Failed { code: code.into(), message: message.into(), permanent, details: None, retry_after_ms: None }
    }
}

/// The fact in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RunRejection {
    #[error("there is no such run")]
    RunNotFound,
    #[error("the run has ended: {status}{}", goes_on_as(*successor))]
    RunClosed {
        status: super::RunStatus,
        /// The run that goes on from it, as far as that is remembered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        successor: Option<RunId>,
    },
    #[error("the attempt is no longer current: it was reported, lost, timed out or cancelled")]
    StaleAttempt,
    #[error("the run's input does not fit the workflow: {message}")]
    InputInvalid { message: String },
    #[error("no such part of the workflow can be run: {message}")]
    TargetInvalid { message: String },
    #[error("the run cannot go on from another so: {message}")]
    RecallInvalid { message: String },
    #[error("a run cannot be called so: {message}")]
    DescriptionInvalid { message: String },
    #[error(
        "the idempotency key was used before for something else: another workflow, another input, other targets, another signal, another answer"
    )]
    KeyReused { run: RunId },
    /// It may have started, ended and been forgotten.
    #[error("whether this start came before is not known any more")]
    StartUnclear,
    #[error("the run takes no such signal: {message}")]
    SignalInvalid { message: String },
    /// Nobody takes what comes. Try again once somebody has.
    #[error("the run keeps as many signals as it can that nobody has taken: {kept}")]
    SignalsFull { kept: usize },
    #[error("the run has received as many signals as a run ever does: {SIGNALS_MAX}")]
    SignalsExhausted,
    /// All that is in the way, at most [`super::MIGRATION_PROBLEMS_MAX`].
    #[error("the run does not fit the version: {first}", first = problems.first().map_or("", |problem| &problem.message))]
    MigrationInvalid { problems: Vec<MigrationProblem> },
    #[error("the run has no node {node} now: the definition has none of that name, or its branch is not open")]
    NodeNotFound { node: String },
    /// It has ended, has not begun, or is made of others.
    #[error("the node {node} is {status}, and can be taken in hand only while it has begun, has not ended and has no branches", status = status.as_str())]
    NodeNotActive { node: NodeAddress, status: NodeStatus },
    #[error("the node cannot have made that: {message}")]
    OutputInvalid { message: String },
    #[error("the run was taken in hand as often as a run ever is: {OPERATIONS_MAX} times")]
    OperationsExhausted,
    #[error("the timer cannot be set so: {message}")]
    TimerInvalid { message: String },
    #[error("the run has received no such update")]
    UpdateNotFound,
    #[error("the update was answered so long ago that the run does not know any more with what")]
    ReplyForgotten,
    #[error("nobody is asked anything at this node of the run")]
    TaskNotFound,
    /// Somebody was first, it is too late, or the run went on without it.
    #[error("the task is closed: it was answered, its time is over, or it was withdrawn")]
    TaskClosed,
    #[error("no attempt waits for this callback, and none has")]
    CallbackNotFound,
    /// Somebody was first, it is too late, or the run went on without it.
    #[error("the callback is closed: it was completed otherwise, its time is over, or it was withdrawn")]
    CallbackClosed,
    #[error("the task is assigned to other people")]
    NotAssigned,
    #[error("the same name has answered the task before")]
    AlreadyAnswered,
    #[error("the answer is not what the form asks for: {message}")]
    AnswerInvalid { message: String },
    #[error("the task cannot be assigned so: {message}")]
    AssigneesInvalid { message: String },
    #[error("the run has received as many answers as a run ever does: {ANSWERS_MAX}")]
    AnswersExhausted,
    #[error("the workflow has no version {version}")]
    DefinitionNotFound { version: DefinitionVersion },
}

fn goes_on_as(successor: Option<RunId>) -> String {
    successor.map_or_else(String::new, |run| format!(", and goes on as the run {run}"))
}
