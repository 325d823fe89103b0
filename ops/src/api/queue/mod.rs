//! Queues: how full they are.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use headwater_core::QueueName;
use serde::Serialize;

use super::routes::{Route, reads};
use super::{Api, Problem, answer};
use crate::api::asked::Asked;

/// How long the shards may take to say how full a queue is.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![reads("/queues/{queue}", get(one))]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Depth {
    queue: QueueName,
    waiting: u64,
    in_flight: u64,
}

/// `GET /queues/{queue}`
async fn one(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let queue: QueueName = asked.name("queue")?;
    let workspace = asked.finish()?;
    let depth = api.shards.client.describe_queue(&workspace, &queue, QUEUE_WAIT).await?;
    Ok(answer::data(StatusCode::OK, Depth { queue, waiting: depth.waiting, in_flight: depth.held }))
}
