//! How runs begin.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use headwater_core::protocol::Granted;
use headwater_core::run::{RunCommand, RunStatus, StartRun, Trigger};
use headwater_core::shard::{Command, Position, Submission, WorkflowKey};
use headwater_core::{CommandId, DefinitionVersion, Json, RunId, Slug};
use headwater_workers::shard_client::ClientError;
use serde::Serialize;
use serde_json::Value;

use super::naming;
use crate::api::asked::{self, Asked, Caller};
use crate::api::body::{Body, Fields};
use crate::api::token::Token;
use crate::api::{Api, COMMAND_WAIT, Problem, answer, fresh_command, now, readable, workflow};
use crate::codes::Code;

/// How long an answer may wait for the run's end.
pub const WAIT_MAX: Duration = Duration::from_secs(300);
/// Makes a start safe to repeat.
const KEY_HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    run_id: RunId,
    status: RunStatus,
    version: DefinitionVersion,
    token: String,
    readable: bool,
    /// An idempotency key started it before.
    replayed: bool,
    /// The last run of the chain that it began, whose end was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_id: Option<RunId>,
}

/// `POST /workflows/{slug}/runs`
pub async fn start(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let workflow: Slug = asked.name("slug")?;
    let wait = asked.span("wait", WAIT_MAX)?;
    let readable_within = readable::asked(&mut asked, wait.is_some())?;
    let idempotency_key = idempotency_key(&asked)?.map(str::to_owned);
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let input = input(&mut fields)?;
    let version = version(&mut fields)?;
    let wishes = naming::wishes(&mut fields)?;
    let room = fields.finish()?;
    let key = WorkflowKey { workspace, workflow };
    let current = api.workflows.current(&key).await?;
    if current.is_some_and(|current| current.paused) {
        let detail = format!("the workflow `{}` is paused: nothing starts it before it is resumed", key.workflow);
        return Err(Problem::new(Code::WorkflowPaused, detail));
    }
    let current = current.map(|current| current.version);
    let version = version.or(current).ok_or_else(|| workflow::not_found(&key.workflow))?;
    let run = match &idempotency_key {
        Some(text) => derived_run(&api, &key, text),
        None => {
            let randomness = uuid::Uuid::new_v4().as_u128();
            RunId::new(api.shards.spread(randomness as u64), now(), randomness)
        }
    };
    let start = StartRun {
        workspace: key.workspace.clone(),
        workflow: key.workflow.clone(),
        version,
        input,
        trigger: Trigger::Manual {},
        keyed: idempotency_key.is_some(),
        wishes,
    };
    // A fresh command id even for a key: the shard compares the input, which an id it knows would keep it from.
    let submission = Submission::of(actor, fresh_command(), Command::Run { run, command: RunCommand::StartRun(start) });
    let submitted = api.shards.client.submit(run.shard(), submission, COMMAND_WAIT).await;
    drop(room);
    let (position, granted) = submitted.map_err(|error| refused(error, run, idempotency_key.is_some()))?;
    // The same start came before: its run goes on under the id it has.
    let (run, replayed) = if let Some(Granted::Run { run }) = granted { (run, true) } else { (run, false) };
    let (last, status, position) = match wait {
        Some(wait) => await_end(&api, run, position, wait).await?,
        None => (run, RunStatus::Running, position),
    };
    let code = if status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let (token, readable) = seen(&api, &key, version, status, position, readable_within).await;
    let last_run_id = Some(last).filter(|last| *last != run);
    let started = Started { run_id: run, status, version, token: token.to_string(), readable, replayed, last_run_id };
    let mut response = answer::written(code, &token, started);
    if let Ok(location) = HeaderValue::try_from(format!("/runs/{run}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Returns what a read must wait for to see the run and the assets it left behind, and whether reads see it now.
async fn seen(
    api: &Api,
    key: &WorkflowKey,
    version: DefinitionVersion,
    status: RunStatus,
    position: Position,
    within: Duration,
) -> (Token, bool) {
    if within.is_zero() || !status.is_terminal() {
        let token = Token::of([position]);
        let readable = api.is_readable(&token, within).await;
        return (token, readable);
    }
    match api.asset_ends(key, version).await {
        Some(ends) => {
            let token = Token::of(ends.into_iter().chain([position]));
            let readable = api.is_readable(&token, within).await;
            (token, readable)
        }
        None => (Token::of([position]), false),
    }
}

/// Waits for the end of a run, or of the last that goes on from it.
async fn await_end(
    api: &Api,
    run: RunId,
    started: Position,
    wait: Duration,
) -> Result<(RunId, RunStatus, Position), Problem> {
    let end = tokio::select! {
        // It goes on without us.
        () = api.stopping.cancelled() => return Ok((run, RunStatus::Running, started)),
        end = api.shards.client.await_chain(run, wait) => end,
    };
    match end {
        Ok(end) => Ok(end),
        Err(ClientError::Indeterminate { .. } | ClientError::Unavailable { .. }) => {
            Ok((run, RunStatus::Running, started))
        }
        Err(error) => Err(refused(error, run, false)),
    }
}

/// Names the run where it may be there; under a key, which id it has is not known before the shard has said so.
pub(super) fn refused(error: ClientError, run: RunId, keyed: bool) -> Problem {
    let problem = Problem::from(error);
    match problem.code() {
        Code::Indeterminate if !keyed => problem.with("runId", run.to_string()),
        _ => problem,
    }
}

/// The same key in the same place always gives the same cause on the same shard, which knows the run that holds it.
pub(super) fn derived_run(api: &Api, key: &WorkflowKey, text: &str) -> RunId {
    let cause = [b"key", key.workspace.as_str().as_bytes(), key.workflow.as_str().as_bytes(), text.as_bytes()];
    let hash = CommandId::derived(&cause).as_uuid().as_u128();
    RunId::derived(api.shards.spread((hash >> 64) as u64), now(), &cause)
}

pub(in crate::api) fn idempotency_key(asked: &Asked) -> Result<Option<&str>, Problem> {
    let key = asked::header(&asked.headers, KEY_HEADER)?;
    match key {
        Some(key) if key.is_empty() || key.len() > KEY_BYTES_MAX => {
            let detail = format!("an idempotency key has 1 to {KEY_BYTES_MAX} characters");
            Err(Problem::new(Code::InvalidHeader, detail).with("header", KEY_HEADER))
        }
        Some(_) | None => Ok(key),
    }
}

/// Returns the input in one spelling, so that white space does not tell two starts apart.
fn input(fields: &mut Fields) -> Result<Json, Problem> {
    let input = match (fields.take("input"), fields.take("parameters")) {
        (Some(_), Some(_)) => {
            let detail = "`input` and `parameters` are two names of the same thing: keep one";
            return Err(Problem::new(Code::InvalidField, detail).with("field", "parameters"));
        }
        (Some(input), None) | (None, Some(input)) => input.to_value(),
        (None, None) => return Ok(Json::empty_object()),
    };
    match input {
        Value::Object(_) => Ok(Json::of(&input)),
        _ => Err(Problem::new(Code::InputInvalid, "the input must be a JSON object")),
    }
}

pub(super) fn version(fields: &mut Fields) -> Result<Option<DefinitionVersion>, Problem> {
    let version = fields.field::<u32>("version", "a number from 1 up")?;
    if version == Some(0) {
        return Err(Problem::new(Code::InvalidField, "`version` is not a number from 1 up").with("field", "version"));
    }
    Ok(version.map(DefinitionVersion::new))
}
