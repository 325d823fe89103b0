//! Attempts that somebody outside ends: which there are, and what he says of one. Both are the run's shard's to say and to decide.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use headwater_core::run::{CallbackToken, CalledBack, RunCommand, RunRejection, read_callback};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{Actor, Attempt, CommandId, Json, NodeAddress, RunId};
use headwater_workers::shard_client::ClientError;
use serde::{Deserialize, Serialize};

use super::asked::{Asked, Caller};
use super::body::Body;
use super::routes::{Route, reads, writes};
use super::token::Token;
use super::{Api, COMMAND_WAIT, Problem, answer, fresh_command, readable, run};
use crate::codes::Code;

/// How long the shard may take to say what it knows.
const LIST_WAIT: Duration = Duration::from_secs(5);

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        reads("/runs/{runId}/callbacks", get(list)),
        writes("/callbacks/{token}", post(complete)),
        writes("/callbacks/{token}/heartbeat", post(heartbeat)),
    ]
}

/// An attempt that waits for somebody outside.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    node: String,
    attempt: u32,
    token: String,
    /// Where it is ended.
    #[serde(default)]
    path: String,
    since: String,
    key: Option<String>,
    times_out_at: Option<String>,
    silent_from: Option<String>,
    heard_at: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct All {
    #[serde(skip_deserializing)]
    run_id: Option<RunId>,
    total: u64,
    callbacks: Vec<Waiting>,
}

/// `GET /runs/{runId}/callbacks`
async fn list(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let workspace = asked.finish()?;
    if !api.shards.has(run.shard()) {
        return Err(run::not_found(run));
    }
    let _turn = api.turns.live().await;
    let listed = api.shards.client.list_callbacks(workspace, run, LIST_WAIT).await?;
    // What the shards of this release say this release reads.
    let told = |_| Problem::new(Code::Internal, "the list of callbacks is malformed");
    let mut all = serde_json::from_str::<All>(listed.as_str()).map_err(told)?;
    all.run_id = Some(run);
    for one in &mut all.callbacks {
        one.path = format!("/callbacks/{}", one.token);
    }
    Ok(answer::data(StatusCode::OK, all))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heard {
    run_id: RunId,
    node: NodeAddress,
    attempt: Attempt,
    token: String,
    readable: bool,
}

/// `POST /callbacks/{token}`
async fn complete(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let callback = token_of(&asked)?;
    let within = readable::asked(&mut asked, false)?;
    let Caller { workspace: _, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let mut said = serde_json::Map::new();
    for name in ["output", "error"] {
        if fields.has(name) {
            let value = fields.take(name).map_or(serde_json::Value::Null, |value| value.to_value());
            said.insert(name.to_owned(), value);
        }
    }
    let room = fields.finish()?;
    let said = read_callback(&Json::of(&said)).map_err(|why| Problem::new(Code::InvalidField, why))?;
    // Said again it is the same, also when the run has ended by then, as long as its shard remembers.
    let words = Json::of(&said);
    let proof = callback.proof.as_uuid();
    let id = CommandId::derived(&[b"callback", proof.as_bytes(), words.as_str().as_bytes()]);
    let heard = tell(&api, callback, id, said, actor).await;
    drop(room);
    told(&api, heard?, within).await
}

/// `POST /callbacks/{token}/heartbeat`
async fn heartbeat(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let callback = token_of(&asked)?;
    let within = readable::asked(&mut asked, false)?;
    let Caller { workspace: _, actor } = asked.finish_to_change()?;
    let _room = body.fields()?.finish()?;
    let heard = tell(&api, callback, fresh_command(), CalledBack::Alive {}, actor).await?;
    told(&api, heard, within).await
}

fn token_of(asked: &Asked) -> Result<CallbackToken, Problem> {
    asked.segment("token").parse().map_err(|error: headwater_core::run::NoCallbackToken| {
        Problem::new(Code::CallbackTokenInvalid, error.to_string())
    })
}

/// Tells the shard of the run what is said of an attempt. Whoever has no valid token learns nothing of the run.
async fn tell(
    api: &Api,
    callback: CallbackToken,
    id: CommandId,
    said: CalledBack,
    by: Option<Actor>,
) -> Result<(CallbackToken, Token), Problem> {
    let not_found = || Problem::new(Code::CallbackNotFound, RunRejection::CallbackNotFound.to_string());
    let run = callback.run;
    if !api.shards.has(run.shard()) {
        return Err(not_found());
    }
    let CallbackToken { run: _, node, attempt, proof } = callback.clone();
    let command = Command::Run { run, command: RunCommand::CallBack { node, attempt, proof, said } };
    match api.shards.client.submit(run.shard(), Submission::of(by, id, command), COMMAND_WAIT).await {
        Ok((position, _)) => Ok((callback, Token::of([position]))),
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunNotFound))) => Err(not_found()),
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunClosed { .. }))) => {
            Err(Problem::new(Code::CallbackClosed, RunRejection::CallbackClosed.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn told(api: &Api, (callback, token): (CallbackToken, Token), within: Duration) -> Result<Response, Problem> {
    let readable = api.is_readable(&token, within).await;
    let CallbackToken { run, node, attempt, proof: _ } = callback;
    let heard = Heard { run_id: run, node, attempt, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, heard))
}
