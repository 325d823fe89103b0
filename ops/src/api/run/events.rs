//! What happened in a run: page by page, or as it happens.

use std::convert::Infallible;
use std::num::ParseIntError;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use headwater_core::{Incarnation, Revision, RunId};
use headwater_projector::live::Page;
use headwater_projector::queries::RecordedEvent;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::not_found;
use crate::api::asked;
use crate::api::incarnation::EventCursor;
use crate::api::reading::Reading;
use crate::api::{Api, Problem};
use crate::codes::Code;

const LIMIT: u32 = 100;
/// How many clients may follow runs at once; at most half of the connections there may be.
pub const FOLLOWERS_MAX: usize = 2_048;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// With what a client comes back after a break.
const LAST_EVENT_HEADER: &str = "last-event-id";

#[derive(Serialize)]
struct EventPage {
    events: Vec<RecordedEvent>,
    next: Option<String>,
}

/// `GET /runs/{runId}/events`
pub async fn page(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let (limit, after) = (reading.limit(LIMIT)?, reading.cursor::<EventCursor>("after")?);
    let range = range(&mut reading)?;
    let workspace = reading.begin(&api).await?;
    let after = match after {
        Some(after) => after.check(&api, run).await?.get(),
        None => 0,
    };
    let after = Revision::new(after.max(range.start() - 1));
    // Behind the end of the range there is nothing to be read.
    let mut events = match after.get() < *range.end() {
        true => api.reads.run_events(&workspace, run, Some(after), limit).await?,
        false => Vec::new(),
    };
    if events.is_empty() {
        api.reads.run_end(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    }
    events.retain(|event| event.revision <= *range.end());
    let incarnation = api.shards.incarnations.of(run.shard()).await;
    let cursor = |revision| EventCursor { incarnation, revision: Revision::new(revision) };
    let last = events.last().filter(|last| last.revision < *range.end());
    let next = last.map(|last| cursor(last.revision).to_string());
    Ok(api.read(EventPage { events, next }))
}

/// Takes the revisions that are asked for: from 1 on, and never none.
fn range(reading: &mut Reading) -> Result<RangeInclusive<u64>, Problem> {
    let (from, to) = (reading.parameter::<u64>("from")?, reading.parameter::<u64>("to")?);
    let range = from.unwrap_or(1).max(1)..=to.unwrap_or(u64::MAX);
    if range.is_empty() {
        let detail = format!("`from` is {}, and `to` before that: {}", range.start(), range.end());
        return Err(Problem::new(Code::InvalidParameter, detail).with("parameter", "to"));
    }
    Ok(range)
}

/// `GET /runs/{runId}/events/stream`
pub async fn stream(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let mut after = reading.cursor::<EventCursor>("after")?;
    if let Some(last) = asked::header(&reading.headers, LAST_EVENT_HEADER)? {
        let invalid =
            |_: ParseIntError| Problem::new(Code::InvalidCursor, "`Last-Event-ID` is not an id of this stream");
        after = Some(last.trim().parse().map_err(invalid)?);
    }
    let workspace = reading.begin(&api).await?;
    let turn = api.turns.follow()?;
    let (end, has_ended) = api.reads.run_end(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    let incarnation = api.shards.incarnations.of(run.shard()).await;
    let after = match after {
        Some(after) => after.check(&api, run).await?.get(),
        None => 0,
    };
    // Nothing follows (`RUN-1`); an `EventSource` that was answered 200 would come back for ever.
    if has_ended && after >= end {
        let mut response = StatusCode::NO_CONTENT.into_response();
        api.mark_lag(&mut response);
        return Ok(response);
    }
    let following = Following { api: api.clone(), run, incarnation, after, page: None, _turn: turn };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(following.into_stream()).keep_alive(keep_alive).into_response();
    api.mark_lag(&mut response);
    Ok(response)
}

/// One client that follows one run.
struct Following {
    api: Arc<Api>,
    run: RunId,
    /// In which the history is told: of another one it would go on somewhere else.
    incarnation: Incarnation,
    /// The last revision sent.
    after: u64,
    /// What is being sent, and how much of it was.
    page: Option<(Arc<Page>, usize)>,
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
        let (page, sent) = match self.page.take() {
            Some(unfinished) => unfinished,
            None => tokio::select! {
                biased;
                () = self.api.shards.incarnations.replaced(self.run.shard(), self.incarnation) => return None,
                () = self.api.stopping.cancelled() => return None,
                page = self.api.projection.behind(self.run, Revision::new(self.after)) => (page.ok()?, 0),
            },
        };
        let recorded = page.events.get(sent)?;
        self.after = recorded.revision;
        let cursor = EventCursor { incarnation: self.incarnation, revision: Revision::new(recorded.revision) };
        let event = Event::default().id(cursor.to_string()).json_data(recorded).ok();
        // Of a page that is not the run's last nothing is kept once it was sent.
        if sent + 1 < page.events.len() || page.is_last {
            self.page = Some((page, sent + 1));
        }
        event
    }
}
