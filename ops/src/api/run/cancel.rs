//! How a run is stopped.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::RunId;
use headwater_core::run::{GRACE_MAX, RunCommand, RunStatus};
use headwater_core::shard::{Command, Submission};
use serde::Serialize;

use super::{operate, wish};
use crate::api::asked::{Asked, Caller};
use crate::api::body::Body;
use crate::api::{Api, Problem, answer, fresh_command, readable};
use crate::codes::Code;

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
    let reason = operate::reason(&mut fields)?.unwrap_or_default();
    let compensate = fields.field::<bool>("compensate", "true or false")?.unwrap_or(true);
    let grace_ms = fields.field::<u64>("graceMs", "a number of milliseconds")?.unwrap_or(0);
    if u128::from(grace_ms) > GRACE_MAX.as_millis() {
        let detail = format!("`graceMs` is more than {} h", GRACE_MAX.as_secs() / 3_600);
        return Err(Problem::new(Code::InvalidField, detail).with("field", "graceMs"));
    }
    let _room = fields.finish()?;
    let command = if compensate {
        RunCommand::CancelRun { workspace: Some(workspace.clone()), reason, grace_ms }
    } else {
        RunCommand::CancelRunKeeping { workspace: Some(workspace.clone()), reason, grace_ms }
    };
    let submission = Submission::of(actor, fresh_command(), Command::Run { run, command });
    let token = wish::submit(&api, &workspace, run, submission).await?;
    let readable = api.is_readable(&token, readable_within).await;
    let cancelled = Cancelled { run_id: run, status: RunStatus::Cancelled, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, cancelled))
}
