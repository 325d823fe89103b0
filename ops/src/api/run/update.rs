//! How something is said to a run that it answers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::run::{Reply, RunCommand, RunFailure, RunRejection};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{CommandId, Json, RunId, SignalKey, SignalName, WorkspaceId};
use headwater_projector::queries;
use headwater_workers::shard_client::ClientError;
use serde::Serialize;

use super::signal::named;
use super::start::idempotency_key;
use super::{not_found, wish};
use crate::api::asked::{Asked, Caller};
use crate::api::body::Body;
use crate::api::token::Token;
use crate::api::{Api, Problem, answer, fresh_command};
use crate::codes::Code;

/// How long an answer is waited for where nothing is said, and at most.
const WAIT: Duration = Duration::from_secs(30);
pub const WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    run_id: RunId,
    update_id: CommandId,
    reply: Json,
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Waits {
    run_id: RunId,
    update_id: CommandId,
}

/// `POST /runs/{runId}/updates`
pub async fn update(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let wait = asked.span("wait", WAIT_MAX)?.unwrap_or(WAIT);
    let key = idempotency_key(&asked)?.map(str::to_owned);
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let name: SignalName = named(&mut fields, "name")?.ok_or_else(|| {
        Problem::new(Code::InvalidField, "`name` is missing: which signal it is").with("field", "name")
    })?;
    let about: Option<SignalKey> = named(&mut fields, "key")?;
    let payload = fields.take("payload").map_or_else(Json::null, |payload| Json::of(&payload.to_value()));
    let room = fields.finish()?;
    let is_new = key.is_none();
    // Said again under the same key, it is the same update, and is answered as it was.
    let update = key.map_or_else(fresh_command, |key| {
        let run = run.as_uuid();
        CommandId::derived(&[b"update", workspace.as_str().as_bytes(), run.as_bytes(), key.as_bytes()])
    });
    let command = RunCommand::Signal {
        workspace: workspace.clone(),
        signal: update,
        name,
        key: about,
        payload,
        broadcast: false,
        update: true,
    };
    let submission = Submission::of(actor, fresh_command(), Command::Run { run, command });
    let submitted = wish::submit(&api, &workspace, run, submission).await;
    drop(room);
    match submitted {
        Ok(_) => reply(&api, &workspace, run, update, wait).await,
        // It may be what ended the run.
        Err(problem) if problem.code() == Code::RunClosed => match of_ended(&api, &workspace, run, update).await {
            Ok(answered) => answered.ok_or(problem),
            // Nobody has said it before.
            Err(unread) if is_new && unread.code() != Code::RunNotFound => Err(problem),
            Err(unread) => Err(unread),
        },
        Err(problem) => Err(problem),
    }
}

/// `GET /runs/{runId}/updates/{updateId}`
pub async fn again(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let update = asked.segment("updateId").parse::<uuid::Uuid>().map(CommandId::from_uuid);
    let rule = || Problem::new(Code::InvalidName, "an update goes by a UUID");
    let update = update.map_err(|_| rule())?;
    let wait = asked.span("wait", WAIT_MAX)?.unwrap_or(WAIT);
    let workspace = asked.finish()?;
    if !api.shards.has(run.shard()) {
        return Err(not_found(run));
    }
    reply(&api, &workspace, run, update, wait).await
}

/// Waits for the answer; what is not there in time can be asked for again.
async fn reply(
    api: &Api,
    workspace: &WorkspaceId,
    run: RunId,
    update: CommandId,
    wait: Duration,
) -> Result<Response, Problem> {
    // Who does not want to wait hears what is there already.
    let within = wait.max(Duration::from_millis(100));
    match api.shards.client.await_reply(workspace.clone(), run, update, within).await {
        Ok((reply, position)) => answered(run, update, reply, &Token::of([position])),
        Err(ClientError::Indeterminate { .. }) => {
            Ok(answer::data(StatusCode::ACCEPTED, Waits { run_id: run, update_id: update }))
        }
        Err(ClientError::Refused(Rejection::Run(
            rejection @ (RunRejection::RunClosed { .. } | RunRejection::RunNotFound | RunRejection::ReplyForgotten),
        ))) => {
            let problem = || Problem::from(Rejection::Run(rejection));
            of_ended(api, workspace, run, update).await?.ok_or_else(problem)
        }
        Err(error) => Err(error.into()),
    }
}

/// Says what a run has answered that does not remember it any more, by what was recorded of it.
async fn of_ended(
    api: &Api,
    workspace: &WorkspaceId,
    run: RunId,
    update: CommandId,
) -> Result<Option<Response>, Problem> {
    let ends = api.shards.ends_of([&run.shard()]).await;
    let ends = ends.ok_or_else(|| Problem::new(Code::Unavailable, "where the journal ends cannot be found out now"))?;
    let token = Token::of(ends);
    api.catch_up(&token).await?;
    let found = queries::reply(&api.reads, workspace, run, update).await?;
    // Of one that has ended its shard no longer knows whose it is.
    if found.is_none() && api.reads.run(workspace, run).await?.is_none() {
        return Err(not_found(run));
    }
    found.map(|reply| answered(run, update, reply, &token)).transpose()
}

fn answered(run: RunId, update: CommandId, reply: Reply, token: &Token) -> Result<Response, Problem> {
    let Reply { value, failure } = reply;
    if let Some(RunFailure { code, message, .. }) = failure {
        let detail = format!("the node that took the update could not answer it: {message}");
        return Err(Problem::new(Code::UpdateFailed, detail)
            .with("nodeError", code)
            .with("updateId", update.to_string()));
    }
    let answered = Answered { run_id: run, update_id: update, reply: value, token: token.to_string() };
    Ok(answer::written(StatusCode::OK, token, answered))
}
