//! Runs: how they begin and end, and what happened in them.
//!
//! | module | question it answers |
//! |---|---|
//! | here | what a run is |
//! | `start`, `cancel` | how one begins, how it is stopped |
//! | `operate` | how one is taken in hand: paused, terminated, its nodes ended by hand |
//! | `again` | how one goes on from another: retried, restarted, forked; and in what two differ |
//! | `bulk` | how many are, piece by piece |
//! | `signal` | how something is said to one |
//! | `update` | how something is said to one that it answers |
//! | `wish` | how that reaches its shard, and what is told of one that has ended |
//! | `naming` | what one is called, and how it is found by that |
//! | `parts` | what it has many of: attempts and branches, page by page |
//! | `context` | what was seen of one at a moment |
//! | `live` | what is seen of one now, of which its shard knows |
//! | `explain` | why one stands where it does |
//! | `history` | how its events are folded again for that |
//! | `snapshot` | what is kept of one by its definition's policy |
//! | `verify` | whether what is kept of one is what happened in it |
//! | `values` | what of one is too large for the tables |
//! | `events` | what happened in one: page by page, or as it happens |

mod again;
mod bulk;
mod cancel;
mod context;
mod events;
mod explain;
mod history;
mod live;
mod migrate;
mod naming;
mod operate;
mod parts;
mod signal;
mod snapshot;
mod start;
mod update;
mod values;
mod verify;
pub(super) mod wish;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use headwater_core::RunId;
use headwater_core::run::RunStatus;
use headwater_projector::queries::{RunFilter, RunsAfter};

use super::routes::{PATIENCE, Route, reads, writes};
use super::{Api, Problem};
use crate::api::asked::Asked;
use crate::api::reading::Reading;
use crate::codes::Code;

pub use events::FOLLOWERS_MAX;
pub(super) use start::idempotency_key;

pub(in crate::api) use operate::reason;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route { patience: PATIENCE + start::WAIT_MAX, ..writes("/workflows/{slug}/runs", post(start::start)) },
        reads("/runs", get(list)),
        reads("/runs/{runId}", get(one)),
        reads("/runs/{runId}/traces", get(parts::traces)),
        reads("/runs/{runId}/branches", get(parts::branches)),
        reads("/runs/{runId}/context", get(context::seen)),
        reads("/runs/{runId}/live", get(live::live)),
        reads("/runs/{runId}/explain", get(explain::explain)),
        reads("/runs/{runId}/snapshot", get(snapshot::latest)),
        Route { patience: verify::PATIENCE, ..reads("/runs/{runId}/verify", get(verify::verify)) },
        reads("/runs/{runId}/values/{digest}", get(values::one)),
        reads("/runs/{runId}/events", get(events::page)),
        reads("/runs/{runId}/events/stream", get(events::stream)),
        writes("/runs/{runId}/cancel", post(cancel::cancel)),
        Route { patience: bulk::PATIENCE, ..writes("/runs/bulk", post(bulk::bulk)) },
        writes("/runs/{runId}/retry", post(again::retry)),
        writes("/runs/{runId}/restart", post(again::restart)),
        writes("/runs/{runId}/fork", post(again::fork)),
        reads("/runs/{runId}/diff", get(again::difference::compare)),
        writes("/runs/{runId}/pause", post(operate::pause)),
        writes("/runs/{runId}/resume", post(operate::resume)),
        writes("/runs/{runId}/terminate", post(operate::terminate)),
        writes("/runs/{runId}/migrate", post(migrate::migrate)),
        writes("/runs/{runId}/nodes/{node}/skip", post(operate::skip)),
        writes("/runs/{runId}/nodes/{node}/complete", post(operate::complete)),
        writes("/runs/{runId}/nodes/{node}/timer", post(operate::timer)),
        writes("/runs/{runId}/signals", post(signal::signal)),
        Route { patience: PATIENCE + update::WAIT_MAX, ..writes("/runs/{runId}/updates", post(update::update)) },
        Route {
            patience: PATIENCE + update::WAIT_MAX,
            ..reads("/runs/{runId}/updates/{updateId}", get(update::again))
        },
    ]
}

const LIMIT: u32 = 50;

/// `GET /runs`
async fn list(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let filter = RunFilter {
        workflow: reading.parameter("workflow")?,
        status: status(&mut reading)?,
        name: reading.take("name"),
        labels: naming::labels_asked(&mut reading)?,
        attributes: naming::attributes_asked(&mut reading)?,
        inputs: naming::inputs_asked(&mut reading)?,
        parent: reading.parameter("parent")?,
        started_from: reading.parameter("startedFrom")?,
        started_before: reading.parameter("startedBefore")?,
    };
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
    word(asked, &STATUSES.map(|status| (status.as_str(), status)))
}

/// Takes `status`, which is one of some words.
fn word<T: Copy>(asked: &mut Asked, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
    let Some(text) = asked.take("status") else { return Ok(None) };
    let meant = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
    meant.map(Some).ok_or_else(|| {
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        Problem::new(Code::InvalidParameter, format!("`status` is one of {known}")).with("parameter", "status")
    })
}

/// `GET /runs/{runId}`
async fn one(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let run = reading.name("runId")?;
    let workspace = reading.begin(&api).await?;
    let run = api.reads.run(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    if run.input_stored.is_some() || run.output_stored.is_some() {
        return Ok(values::whole(&api, &workspace, run).await);
    }
    Ok(api.read(run))
}

/// Says that there is no such run.
pub(super) fn not_found(run: RunId) -> Problem {
    Problem::new(Code::RunNotFound, format!("there is no run {run} in this workspace"))
}
