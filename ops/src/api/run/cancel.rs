//! How a run is stopped.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::RunId;
use headwater_core::run::{RunCommand, RunStatus};
use headwater_core::shard::{Command, Submission};
use serde::Serialize;

use super::{operate, wish};
use crate::api::asked::{Asked, Caller};
use crate::api::body::Body;
use crate::api::{Api, Problem, answer, fresh_command, readable};

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
    let _room = fields.finish()?;
    let command = if compensate {
        RunCommand::CancelRun { workspace: Some(workspace.clone()), reason }
    } else {
        RunCommand::CancelRunKeeping { workspace: Some(workspace.clone()), reason }
    };
    let submission = Submission::of(actor, fresh_command(), Command::Run { run, command });
    let token = wish::submit(&api, &workspace, run, submission).await?;
    let readable = api.is_readable(&token, readable_within).await;
    let cancelled = Cancelled { run_id: run, status: RunStatus::Cancelled, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, cancelled))
}
