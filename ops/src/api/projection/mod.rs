//! The projection: how far it is, and what it could not take.

pub mod lag;
pub mod view;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use headwater_projector::Lag;
use headwater_projector::queries::{CursorRow, DeadEvent};
use serde::Serialize;

use super::routes::{Route, reads};
use super::{Api, Problem};
use crate::api::reading::Reading;

const DEAD_EVENTS_SHOWN: u32 = 100;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![reads("/projection", get(one))]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Projection {
    cursors: Vec<CursorRow>,
    /// The worst; absent where nobody knows.
    lag_ms: Option<u64>,
    /// Absent: this process projects nothing.
    shards: Option<Vec<Lag>>,
    dead_event_count: u64,
    dead_events: Vec<DeadEvent>,
}

/// `GET /projection`
async fn one(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    reading.begin(&api).await?;
    let cursors = api.reads.cursors().await?;
    let dead_event_count = api.reads.dead_event_count().await?;
    let dead_events =
        if dead_event_count == 0 { Vec::new() } else { api.reads.dead_events(None, DEAD_EVENTS_SHOWN).await? };
    let shards = api.projection.lag();
    Ok(api.read(Projection { cursors, lag_ms: api.projection.lag_millis(), shards, dead_event_count, dead_events }))
}
