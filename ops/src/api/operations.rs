//! How the engine is, for people who run it: queues, the projection, and what codes mean.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::QueueName;
use serde_json::json;

use super::asked::Asked;
use super::{Api, Problem, answer, problem};
use crate::codes::{Code, Entry, TABLE};

const DEAD_EVENTS_SHOWN: u32 = 100;
/// How long the shards may take to say how full a queue is.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// `GET /queues/{queue}`
pub async fn queue(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let queue: QueueName = asked.name("queue")?;
    let workspace = asked.finish()?;
    let depth = api.client.describe_queue(&workspace, &queue, QUEUE_WAIT).await?;
    let depth = json!({"queue": queue, "waiting": depth.waiting, "inFlight": depth.held});
    Ok(answer::data(StatusCode::OK, depth))
}

/// `GET /projection`
pub async fn projection(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    asked.read(&api).await?;
    let cursors = api.reads.cursors().await?;
    let dead_count = api.reads.dead_event_count().await?;
    let dead = if dead_count == 0 { Vec::new() } else { api.reads.dead_events(None, DEAD_EVENTS_SHOWN).await? };
    let shards = api.progress.as_ref().map(headwater_projector::Progress::lag);
    Ok(api.read(json!({
        "cursors": cursors,
        "lagMs": api.lag.millis(),
        "shards": shards,
        "deadEventCount": dead_count,
        "deadEvents": dead,
    })))
}

/// `GET /problems`
pub async fn problems(asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    Ok(answer::data(StatusCode::OK, json!({"problems": TABLE.iter().map(explained).collect::<Vec<_>>()})))
}

/// `GET /problems/{area}/{name}`
pub async fn problem(asked: Asked) -> Result<Response, Problem> {
    let text = format!("{}/{}", asked.segment("area"), asked.segment("name"));
    asked.finish()?;
    let code = Code::of_text(&text).ok_or_else(|| Problem::new(Code::RouteNotFound, "there is no such code"))?;
    Ok(answer::data(StatusCode::OK, explained(code.entry())))
}

fn explained(entry: &Entry) -> serde_json::Value {
    let Entry { text, status, title, remedy, .. } = *entry;
    json!({"type": problem::kind(entry), "code": text, "status": status, "title": title, "remedy": remedy})
}
