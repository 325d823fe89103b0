//! How a run is stopped.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::run::{RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{RunId, WorkspaceId};
use headwater_workers::shard_client::ClientError;
use serde::Serialize;

use super::not_found;
use crate::api::asked::{Asked, Caller};
use crate::api::body::Body;
use crate::api::token::Token;
use crate::api::{Api, COMMAND_WAIT, Problem, answer, fresh_command, readable};
use crate::codes::Code;

const REASON_CHARS_MAX: usize = 1_000;
/// How long the read models may take to say whose run it is that has ended.
const ENDED_WAIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    run_id: RunId,
    status: RunStatus,
    token: String,
    readable: bool,
}

/// `POST /runs/{runId}/cancel`
pub async fn cancel(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let readable_within = readable::asked(&mut asked, false)?;
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let reason = fields.field::<String>("reason", "a text")?.unwrap_or_default();
    let _room = fields.finish()?;
    if reason.chars().count() > REASON_CHARS_MAX {
        let detail = format!("`reason` has more than {REASON_CHARS_MAX} characters");
        return Err(Problem::new(Code::InvalidField, detail).with("field", "reason"));
    }
    if !api.shards.has(run.shard()) {
        return Err(not_found(run));
    }
    let command = RunCommand::CancelRun { workspace: Some(workspace.clone()), reason };
    let submission = Submission::of(actor, fresh_command(), Command::Run { run, command });
    let (position, _) = match api.shards.client.submit(run.shard(), submission, COMMAND_WAIT).await {
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunNotFound))) => {
            return Err(long_ended(&api, &workspace, run).await);
        }
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunClosed { status }))) => {
            return Err(ended(&api, &workspace, run, status).await);
        }
        submitted => submitted?,
    };
    let token = Token::of([position]);
    let readable = api.is_readable(&token, readable_within).await;
    let cancelled = Cancelled { run_id: run, status: RunStatus::Cancelled, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, cancelled))
}

/// Says why nothing can be asked of a run that its shard does not have: it may have ended so long ago that it was forgotten.
pub(super) async fn long_ended(api: &Api, workspace: &WorkspaceId, run: RunId) -> Problem {
    match api.reads.run(workspace, run).await {
        Ok(Some(found)) => closed(&found.summary.status),
        Ok(None) | Err(_) => not_found(run),
    }
}

/// Says that a run has ended, to its own workspace only: of one that has ended its shard no longer knows whose it is.
/// Where the read models cannot say so either, it is said to whoever knows the id.
pub(super) async fn ended(api: &Api, workspace: &WorkspaceId, run: RunId, status: RunStatus) -> Problem {
    let Some(ends) = api.shards.ends_of([&run.shard()]).await else { return closed(status.as_str()) };
    if !api.is_readable(&Token::of(ends), ENDED_WAIT).await {
        return closed(status.as_str());
    }
    match api.reads.run(workspace, run).await {
        Ok(None) => not_found(run),
        Ok(Some(_)) | Err(_) => closed(status.as_str()),
    }
}

fn closed(status: &str) -> Problem {
    Problem::new(Code::RunClosed, format!("the run has ended: {status}")).with("runStatus", status)
}
