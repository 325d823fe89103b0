//! Runs: how they begin and end, and what happened in them.
//!
//! | module | question it answers |
//! |---|---|
//! | here | what a run is |
//! | `start`, `cancel` | how one begins, how it is stopped |
//! | `events` | what happened in one: page by page, or as it happens |

mod cancel;
mod events;
mod start;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use headwater_core::run::RunStatus;
use headwater_core::{RunId, WorkspaceId};
use headwater_projector::queries::{RunDetail, RunFilter, RunsAfter, TraceView};
use serde::Serialize;

use super::routes::{PATIENCE, Route, reads, writes};
use super::{Api, Problem};
use crate::api::asked::Asked;
use crate::api::reading::Reading;
use crate::codes::Code;

pub use events::FOLLOWERS_MAX;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route { patience: PATIENCE + start::WAIT_MAX, ..writes("/workflows/{slug}/runs", post(start::start)) },
        reads("/runs", get(list)),
        reads("/runs/{runId}", get(one)),
        reads("/runs/{runId}/traces", get(traces)),
        reads("/runs/{runId}/events", get(events::page)),
        reads("/runs/{runId}/events/stream", get(events::stream)),
        writes("/runs/{runId}/cancel", post(cancel::cancel)),
    ]
}

const LIMIT: u32 = 50;

/// `GET /runs`
async fn list(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let filter = RunFilter { workflow: reading.parameter("workflow")?, status: status(&mut reading)? };
    let (limit, after) = (reading.limit(LIMIT)?, reading.cursor::<RunsAfter>("cursor")?);
    let workspace = reading.begin(&api).await?;
    Ok(api.read(api.reads.runs(&workspace, &filter, after, limit).await?))
}

const STATUSES: [RunStatus; 7] = [
    RunStatus::Queued,
    RunStatus::Running,
    RunStatus::Waiting,
    RunStatus::Paused,
    RunStatus::Succeeded,
    RunStatus::Failed,
    RunStatus::Cancelled,
];

fn status(asked: &mut Asked) -> Result<Option<RunStatus>, Problem> {
    let Some(text) = asked.take("status") else { return Ok(None) };
    let status = STATUSES.into_iter().find(|status| status.as_str() == text);
    status.map(Some).ok_or_else(|| {
        let known = STATUSES.map(RunStatus::as_str).join(", ");
        Problem::new(Code::InvalidParameter, format!("`status` is one of {known}")).with("parameter", "status")
    })
}

/// `GET /runs/{runId}`
async fn one(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let run = reading.name("runId")?;
    let workspace = reading.begin(&api).await?;
    Ok(api.read(found(&api, &workspace, run).await?))
}

#[derive(Serialize)]
struct Traces {
    traces: Vec<TraceView>,
}

/// `GET /runs/{runId}/traces`
async fn traces(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let run = reading.name("runId")?;
    let workspace = reading.begin(&api).await?;
    let traces = found(&api, &workspace, run).await?.traces;
    Ok(api.read(Traces { traces }))
}

/// Returns a run, or says that there is none.
async fn found(api: &Api, workspace: &WorkspaceId, run: RunId) -> Result<RunDetail, Problem> {
    api.reads.run(workspace, run).await?.ok_or_else(|| not_found(run))
}

/// Says that there is no such run.
fn not_found(run: RunId) -> Problem {
    Problem::new(Code::RunNotFound, format!("there is no run {run} in this workspace"))
}
