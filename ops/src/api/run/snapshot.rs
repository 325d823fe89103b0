//! What is kept of a run by its definition's policy.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::{Json, RunId};
use headwater_projector::queries::run_snapshot;
use serde::Serialize;

use super::not_found;
use crate::api::reading::Reading;
use crate::api::{Api, Problem};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    run_id: RunId,
    /// A [`headwater_core::run::Snapshot`]; none: none was taken yet, or the definition has no policy.
    latest_snapshot: Option<Json>,
}

/// `GET /runs/{runId}/snapshot`
pub async fn latest(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let workspace = reading.begin(&api).await?;
    let latest_snapshot = run_snapshot(&api.reads, &workspace, run).await?.ok_or_else(|| not_found(run))?;
    Ok(api.read(Kept { run_id: run, latest_snapshot }))
}
