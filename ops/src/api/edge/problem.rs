//! What an error looks like: RFC 9457, with a stable code and what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headwater_core::action::ActionRejection;
use headwater_core::run::RunRejection;
use headwater_core::shard::Rejection;
use headwater_core::workflow::WorkflowRejection;
use headwater_projector::{DatabaseError, WaitError};
use headwater_streams::ExchangeError;
use headwater_streams::complaints::Complaints;
use headwater_workers::shard_client::ClientError;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::codes::{Code, Entry};
use crate::documents::Unreadable;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    code: Code,
    detail: String,
    members: Map<String, Value>,
}

/// What is sent of it.
#[derive(Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    remedy: &'static str,
    #[serde(flatten)]
    members: Map<String, Value>,
}

/// What a refused client should wait before it asks again, in seconds.
const RETRY_AFTER_S: u32 = 1;

impl Problem {
    /// Makes a problem; `detail` says what is particular to this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), members: Map::new() }
    }

    /// Adds a member that programs can read.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Puts something before the detail.
    #[must_use]
    pub fn prefixed(mut self, before: &str) -> Self {
        self.detail = format!("{before}: {}", self.detail);
        self
    }

    /// Returns its code.
    pub fn code(&self) -> Code {
        self.code
    }

    fn internal(what: &str, error: &dyn std::error::Error) -> Self {
        static INTERNAL: Complaints = Complaints::new();
        if let Some(count) = INTERNAL.due() {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, cause, count, "{what}");
        }
        Self::new(Code::Internal, what)
    }
}

/// Where a code is explained.
pub fn kind(entry: &Entry) -> String {
    format!("/problems/{}", entry.text)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Entry { text, status, title, remedy, .. } = *self.code.entry();
        let body = Body {
            kind: kind(self.code.entry()),
            title,
            status,
            detail: self.detail,
            code: text,
            remedy,
            members: self.members,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let passing = [
            Code::Overloaded,
            Code::Unavailable,
            Code::ShardUnavailable,
            Code::NotStored,
            Code::DatabaseUnavailable,
            Code::DatabaseUnfit,
        ]
        .contains(&self.code);
        if passing {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Self {
        Self::new(unreadable.code, unreadable.detail)
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        static UNREAD: Complaints = Complaints::new();
        if let Some(unfit) = error.unfit() {
            if let Some(count) = UNREAD.due() {
                let (state, message) = (unfit.state.unwrap_or_default(), unfit.message);
                let remedy = "mend the database: its schema, the rights of this user, its settings";
                tracing::error!(state, message, remedy, count, "the database refuses a read");
            }
            return Self::new(Code::DatabaseUnfit, "the read models cannot be read until the database is mended");
        }
        if let Some(count) = UNREAD.due() {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, cause, count, "a read failed");
        }
        Self::new(Code::DatabaseUnavailable, "the read models cannot be read now")
    }
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        let code = match error {
            WaitError::DeadlinePassed => Code::NotCaughtUp,
            WaitError::ForeignShard => Code::InvalidToken,
            WaitError::Broken => Code::ProjectionBroken,
            WaitError::Held => Code::ShardHeld,
            WaitError::DatabaseAway => Code::DatabaseUnavailable,
            WaitError::DatabaseUnfit => Code::DatabaseUnfit,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ExchangeError> for Problem {
    fn from(error: ExchangeError) -> Self {
        match &error {
            ExchangeError::Refused { .. } | ExchangeError::Malformed { .. } => Self::internal("the broker", &error),
            ExchangeError::Unavailable { .. } => Self::new(Code::Unavailable, error.to_string()),
            ExchangeError::Indeterminate { .. } => Self::new(Code::Indeterminate, error.to_string()),
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(rejection) => rejection.into(),
            ClientError::Unavailable { .. } => Self::new(Code::ShardUnavailable, error.to_string()),
            ClientError::Stalled { .. } => Self::new(Code::NotStored, error.to_string()),
            ClientError::Indeterminate { .. } => Self::new(Code::Indeterminate, error.to_string()),
            ClientError::Overloaded { .. } => Self::new(Code::Overloaded, error.to_string()),
            ClientError::TooLarge => Self::new(Code::TooLarge, error.to_string()),
            ClientError::Malformed { .. } | ClientError::OtherAnswer { .. } => {
                Self::internal("the answer of a shard is malformed", &error)
            }
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let detail = rejection.to_string();
        let code = match rejection {
            Rejection::Run(RunRejection::RunNotFound) => Code::RunNotFound,
            Rejection::Run(RunRejection::RunClosed { status, successor }) => {
                let closed = Self::new(Code::RunClosed, detail).with("runStatus", status.as_str());
                return successor.into_iter().fold(closed, |closed, run| closed.with("continuedAs", run.to_string()));
            }
            Rejection::Run(RunRejection::StaleAttempt) => Code::RunClosed,
            Rejection::Run(RunRejection::InputInvalid { .. }) => Code::InputInvalid,
            Rejection::Run(RunRejection::TargetInvalid { .. }) => Code::TargetInvalid,
            Rejection::Run(RunRejection::DescriptionInvalid { .. }) => Code::DescriptionInvalid,
            Rejection::Run(RunRejection::SignalInvalid { .. }) => Code::SignalInvalid,
            Rejection::Run(RunRejection::SignalsFull { .. }) => Code::SignalsFull,
            Rejection::Run(RunRejection::SignalsExhausted) => Code::SignalsExhausted,
            Rejection::Run(RunRejection::NodeNotFound { .. }) => Code::NodeNotFound,
            Rejection::Run(RunRejection::NodeNotActive { status, .. }) => {
                return Self::new(Code::NodeNotActive, detail).with("nodeStatus", status.as_str());
            }
            Rejection::Run(RunRejection::OutputInvalid { .. }) => Code::OutputInvalid,
            Rejection::Run(RunRejection::RecallInvalid { .. }) => Code::RecallInvalid,
            Rejection::Run(RunRejection::TimerInvalid { .. }) => Code::TimerInvalid,
            Rejection::Run(RunRejection::MigrationInvalid { problems }) => {
                let problems = serde_json::to_value(problems).unwrap_or_default();
                return Self::new(Code::MigrationInvalid, detail).with("obstacles", problems);
            }
            Rejection::Run(RunRejection::OperationsExhausted) => Code::OperationsExhausted,
            Rejection::Run(RunRejection::UpdateNotFound) => Code::UpdateNotFound,
            Rejection::Run(RunRejection::ReplyForgotten) => Code::ReplyForgotten,
            Rejection::Run(RunRejection::CallbackNotFound) => Code::CallbackNotFound,
            Rejection::Run(RunRejection::CallbackClosed) => Code::CallbackClosed,
            Rejection::Run(RunRejection::TaskNotFound) => Code::TaskNotFound,
            Rejection::Run(RunRejection::TaskClosed) => Code::TaskClosed,
            Rejection::Run(RunRejection::NotAssigned) => Code::NotAssigned,
            Rejection::Run(RunRejection::AlreadyAnswered) => Code::AlreadyAnswered,
            Rejection::Run(RunRejection::AnswerInvalid { .. }) => Code::AnswerInvalid,
            Rejection::Run(RunRejection::AssigneesInvalid { .. }) => Code::AssigneesInvalid,
            Rejection::Run(RunRejection::AnswersExhausted) => Code::AnswersExhausted,
            Rejection::Run(RunRejection::KeyReused { run }) => {
                return Self::new(Code::KeyReused, detail).with("runId", run.to_string());
            }
            Rejection::Run(RunRejection::DefinitionNotFound { .. }) => Code::VersionNotFound,
            Rejection::Workflow(
                WorkflowRejection::DefinitionInvalid { .. }
                | WorkflowRejection::OtherWorkflow { .. }
                | WorkflowRejection::ContentMismatch,
            ) => Code::DefinitionInvalid,
            Rejection::Action(
                ActionRejection::ActionInvalid { .. }
                | ActionRejection::OtherAction { .. }
                | ActionRejection::ContentMismatch
                | ActionRejection::TooManyVersions { .. },
            ) => Code::DefinitionInvalid,
            Rejection::Workflow(WorkflowRejection::WorkflowNotFound) => Code::WorkflowNotFound,
            Rejection::Workflow(WorkflowRejection::WorkflowPaused) => Code::WorkflowPaused,
            Rejection::Workflow(WorkflowRejection::VersionNotFound { .. }) => Code::VersionNotFound,
            Rejection::Overloaded => Code::Overloaded,
            Rejection::Run(RunRejection::StartUnclear) => Code::StartUnclear,
            // Only shards are told to go back.
            Rejection::NotOwner | Rejection::Gap { .. } => Code::Unavailable,
            Rejection::Quarantined { .. } => Code::Quarantined,
            Rejection::NotQuarantined => Code::NotQuarantined,
            Rejection::NotReleased { .. } => Code::NotReleased,
            Rejection::Poisoned { .. } => Code::Poisoned,
            Rejection::Held { .. } => Code::ShardHeld,
        };
        Self::new(code, detail)
    }
}
