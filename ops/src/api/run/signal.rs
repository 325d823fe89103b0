//! How something is said to a run.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::run::RunCommand;
use headwater_core::shard::{Command, Submission};
use headwater_core::{CommandId, Json, RunId, SignalKey, SignalName};
use serde::Serialize;

use super::start::idempotency_key;
use super::wish;
use crate::api::asked::{Asked, Caller};
use crate::api::body::{Body, Fields};
use crate::api::{Api, Problem, answer, fresh_command, readable};
use crate::codes::Code;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    run_id: RunId,
    signal_id: CommandId,
    token: String,
    readable: bool,
}

/// `POST /runs/{runId}/signals`
pub async fn signal(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let readable_within = readable::asked(&mut asked, false)?;
    let key = idempotency_key(&asked)?.map(str::to_owned);
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let name: SignalName = named(&mut fields, "name")?.ok_or_else(|| {
        Problem::new(Code::InvalidField, "`name` is missing: which signal it is").with("field", "name")
    })?;
    let about: Option<SignalKey> = named(&mut fields, "key")?;
    let payload = fields.take("payload").map_or_else(Json::null, |payload| Json::of(&payload.to_value()));
    let broadcast = fields.field::<bool>("broadcast", "true or false")?.unwrap_or_default();
    let room = fields.finish()?;
    // Said again under the same key, it is the same signal, for as long as the run lives.
    let signal = key.map_or_else(fresh_command, |key| {
        let run = run.as_uuid();
        CommandId::derived(&[b"signal", workspace.as_str().as_bytes(), run.as_bytes(), key.as_bytes()])
    });
    let (workspace_of, update) = (workspace.clone(), false);
    let command = RunCommand::Signal { workspace: workspace_of, signal, name, key: about, payload, broadcast, update };
    // A fresh command id even for a key: the run itself knows what it has received.
    let submission = Submission::of(actor, fresh_command(), Command::Run { run, command });
    let submitted = wish::submit(&api, &workspace, run, submission).await;
    drop(room);
    let token = submitted?;
    let readable = api.is_readable(&token, readable_within).await;
    let received = Received { run_id: run, signal_id: signal, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::ACCEPTED, &token, received))
}

pub(super) fn named<T: std::str::FromStr<Err = headwater_core::InvalidName>>(
    fields: &mut Fields,
    field: &'static str,
) -> Result<Option<T>, Problem> {
    let text = fields.field::<String>(field, "a text")?;
    let invalid =
        |error: headwater_core::InvalidName| Problem::new(Code::InvalidField, error.to_string()).with("field", field);
    text.map(|text| text.parse().map_err(invalid)).transpose()
}
