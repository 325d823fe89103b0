//! What happened in a run: page by page, or as it happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::num::ParseIntError;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use headwater_core::{Incarnation, Json, Revision, RunId, WorkspaceId};
use headwater_projector::queries::RecordedEvent;
use headwater_streams::complaints::Complaints;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::asked::{self, Asked};
use super::incarnation::EventCursor;
use super::{Api, Problem, runs};
use crate::codes::Code;

const LIMIT: u32 = 100;
/// How many clients may follow runs at once.
pub const FOLLOWERS_MAX: usize = 256;
/// How many commits are read ahead for one of them.
const READ_AHEAD: u32 = 16;
/// How often the read models are asked for more.
const POLL: Duration = Duration::from_millis(100);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// With what a client comes back after a break.
const LAST_EVENT_HEADER: &str = "last-event-id";

#[derive(Serialize)]
struct EventPage {
    events: Vec<RecordedEvent>,
    next: Option<String>,
}

/// `GET /runs/{runId}/events`
pub async fn page(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let (limit, after) = (asked.limit(LIMIT)?, asked.cursor::<EventCursor>("after")?);
    let workspace = asked.read(&api).await?;
    let after = match after {
        Some(after) => Some(after.check(&api, run).await?),
        None => None,
    };
    let events = api.reads.run_events(&workspace, run, after, limit).await?;
    if events.is_empty() {
        runs::found(&api, &workspace, run).await?;
    }
    let incarnation = api.incarnations.of(run.shard()).await;
    let cursor = |revision| EventCursor { incarnation, revision: Revision::new(revision) };
    let next = events.last().map(|last| cursor(last.revision).to_string());
    Ok(api.read(EventPage { events, next }))
}

/// `GET /runs/{runId}/events/stream`
pub async fn stream(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let mut after = asked.cursor::<EventCursor>("after")?;
    if let Some(last) = asked::header(&asked.headers, LAST_EVENT_HEADER)? {
        let invalid =
            |_: ParseIntError| Problem::new(Code::InvalidCursor, "`Last-Event-ID` is not an id of this stream");
        after = Some(last.trim().parse().map_err(invalid)?);
    }
    let workspace = asked.read(&api).await?;
    let turn = api.followers.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{FOLLOWERS_MAX} clients of this process follow runs already");
        Problem::new(Code::Overloaded, detail)
    })?;
    let detail = runs::found(&api, &workspace, run).await?;
    let incarnation = api.incarnations.of(run.shard()).await;
    let after = match after {
        Some(after) => after.check(&api, run).await?.get(),
        None => 0,
    };
    // Nothing follows (`RUN-1`); an `EventSource` that was answered 200 would come back for ever.
    if detail.summary.completed_at.is_some() && after >= detail.summary.revision {
        let mut response = StatusCode::NO_CONTENT.into_response();
        api.mark_lag(&mut response);
        return Ok(response);
    }
    let following = Following {
        api: api.clone(),
        workspace,
        run,
        incarnation,
        after,
        ready: VecDeque::new(),
        done: false,
        _turn: turn,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(following.into_stream()).keep_alive(keep_alive).into_response();
    api.mark_lag(&mut response);
    Ok(response)
}

/// One client that follows one run.
struct Following {
    api: Arc<Api>,
    workspace: WorkspaceId,
    run: RunId,
    /// In which the history is told: of another one it would go on somewhere else.
    incarnation: Incarnation,
    /// The last revision sent.
    after: u64,
    ready: VecDeque<RecordedEvent>,
    done: bool,
    _turn: OwnedSemaphorePermit,
}

impl Following {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut following| async move {
            let event = following.next().await?;
            Some((Ok(event), following))
        })
    }

    /// Returns the next event; `None` after the last one, and when the client has to come back.
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            if self.done || self.api.incarnations.of(self.run.shard()).await != self.incarnation {
                return None;
            }
            let after = Some(Revision::new(self.after));
            match self.api.reads.run_events(&self.workspace, self.run, after, READ_AHEAD).await {
                Ok(events) => self.ready.extend(events),
                Err(error) => {
                    static ENDED: Complaints = Complaints::new();
                    if let Some(count) = ENDED.due() {
                        tracing::warn!(%error, count, "a stream of events ends early");
                    }
                    return None;
                }
            }
            if self.ready.is_empty() {
                tokio::select! {
                    () = self.api.stopping.cancelled() => return None,
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
        let recorded = self.ready.pop_front()?;
        self.after = recorded.revision;
        self.done |= is_terminal(&recorded.event);
        let cursor = EventCursor { incarnation: self.incarnation, revision: Revision::new(recorded.revision) };
        let event = Event::default().id(cursor.to_string());
        event.json_data(&recorded).ok()
    }
}

/// Returns whether nothing follows an event (`RUN-1`).
fn is_terminal(event: &Json) -> bool {
    let Value::Object(event) = event.to_value() else { return false };
    let run = event.get("run").and_then(Value::as_object).unwrap_or(&event);
    ["runSucceeded", "runFailed", "runCancelled"].iter().any(|kind| run.contains_key(*kind))
}
