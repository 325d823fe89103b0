//! Workflows: how definitions come in, and what they are.
//!
//! | module | question it answers |
//! |---|---|
//! | here | which workflows and versions there are |
//! | `apply`, `batch` | how one or many definitions come in |
//! | `actions` | which reusable actions they name, and how those come in |
//! | `neighbours` | whether they go with the others |
//! | `known` | which definitions there are, and what of them this process has learnt |
//! | `catalog` | which version a start without one means |
//! | `diff` | what lies between two versions |
//! | `pin` | how a workflow is held at a version |
//! | `pause` | how starts of it are paused |

mod actions;
mod apply;
pub mod batch;
pub mod catalog;
mod diff;
pub mod known;
mod neighbours;
mod pause;
mod pin;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use headwater_core::shard::WorkflowKey;
use headwater_core::{DefinitionVersion, Slug};
use headwater_projector::queries::{DefinitionSummary, View, WorkflowSummary};
use headwater_streams::backoff::Backoff;
use serde::Serialize;

use super::routes::{PATIENCE, Route, reads, writes};
use super::{Api, Problem};
use crate::api::catalogue::CatalogueReading;
use crate::codes::Code;

/// The pauses before it is looked again whether a version has arrived.
const ARRIVING: Backoff = Backoff::between(Duration::from_millis(2), Duration::from_millis(50));

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route {
            path: "/workflows",
            methods: &["get", "post"],
            handler: get(list).post(apply::apply),
            patience: PATIENCE,
            body_wait: None,
        },
        Route {
            patience: batch::PATIENCE,
            body_wait: Some(batch::BODY_WAIT),
            ..writes("/batches", post(batch::apply))
        },
        writes("/workflows/validate", post(apply::validate)),
        reads("/workflows/{slug}", get(current)),
        writes("/workflows/{slug}/pin", post(pin::pin)),
        writes("/workflows/{slug}/pause", post(pause::pause)),
        writes("/workflows/{slug}/resume", post(pause::resume)),
        reads("/workflows/{slug}/versions", get(versions)),
        reads("/workflows/{slug}/versions/{version}", get(version)),
        reads("/workflows/{slug}/versions/{version}/diff/{other}", get(diff::diff)),
    ]
}

const LIMIT: u32 = 50;

#[derive(Serialize)]
struct WorkflowPage {
    workflows: Vec<WorkflowSummary>,
    next: Option<String>,
}

#[derive(Serialize)]
struct VersionPage {
    versions: Vec<DefinitionSummary>,
    next: Option<String>,
}

/// A workflow as it is now.
#[derive(Serialize)]
struct Current<F> {
    #[serde(flatten)]
    found: F,
    /// Nothing starts it.
    paused: bool,
}

/// `GET /workflows`
async fn list(State(api): State<Arc<Api>>, mut reading: CatalogueReading) -> Result<Response, Problem> {
    let (limit, after) = (reading.limit(LIMIT)?, reading.page::<Slug>()?);
    let view = reading.begin(&api).await?;
    let workflows = api.reads.workflows(&view, after.as_ref(), limit).await?;
    let next =
        workflows.last().filter(|_| workflows.len() as u64 == u64::from(limit)).map(|last| view.next(&last.slug));
    Ok(api.read(WorkflowPage { workflows, next }))
}

/// `GET /workflows/{slug}`
async fn current(State(api): State<Arc<Api>>, reading: CatalogueReading) -> Result<Response, Problem> {
    definition(&api, reading, None).await
}

/// `GET /workflows/{slug}/versions/{version}`
async fn version(State(api): State<Arc<Api>>, reading: CatalogueReading) -> Result<Response, Problem> {
    let version = version_of(reading.segment("version"))?;
    definition(&api, reading, Some(version)).await
}

pub(in crate::api) fn version_of(text: &str) -> Result<DefinitionVersion, Problem> {
    let number = text.parse().ok().filter(|number| (1..=i32::MAX.unsigned_abs()).contains(number));
    let invalid = || Problem::new(Code::InvalidName, "a version is a number from 1 up");
    number.map(DefinitionVersion::new).ok_or_else(invalid)
}

async fn definition(
    api: &Api,
    reading: CatalogueReading,
    version: Option<DefinitionVersion>,
) -> Result<Response, Problem> {
    let slug: Slug = reading.name("slug")?;
    let view = reading.begin(api).await?;
    match api.reads.definition(&view, &slug, version).await? {
        Some(found) if version.is_none() && view.as_of.is_none() => {
            let key = WorkflowKey { workspace: view.workspace.clone(), workflow: slug };
            let paused = api.workflows.current(&key).await?.is_some_and(|current| current.paused);
            Ok(api.read(Current { found, paused }))
        }
        Some(found) => Ok(api.read(found)),
        None => Err(missing(api, &view, &slug, version).await?),
    }
}

async fn missing(api: &Api, view: &View, slug: &Slug, version: Option<DefinitionVersion>) -> Result<Problem, Problem> {
    Ok(match version {
        Some(version) if api.reads.definition(view, slug, None).await?.is_some() => {
            Problem::new(Code::VersionNotFound, format!("workflow `{slug}` has no version {version}"))
        }
        Some(_) | None => not_found(slug),
    })
}

/// Says that there is no such workflow.
pub fn not_found(slug: &Slug) -> Problem {
    Problem::new(Code::WorkflowNotFound, format!("there is no workflow `{slug}` in this workspace"))
}

/// `GET /workflows/{slug}/versions`
async fn versions(State(api): State<Arc<Api>>, mut reading: CatalogueReading) -> Result<Response, Problem> {
    let slug: Slug = reading.name("slug")?;
    let (limit, before) = (reading.limit(LIMIT)?, reading.page::<u32>()?.map(DefinitionVersion::new));
    let view = reading.begin(&api).await?;
    let versions = api.reads.definitions(&view, &slug, before, limit).await?;
    if versions.is_empty() && before.is_none() {
        return Err(not_found(&slug));
    }
    let next = versions
        .last()
        .map(|last| last.version)
        .filter(|version| versions.len() as u64 == u64::from(limit) && *version > 1);
    Ok(api.read(VersionPage { versions, next: next.map(|next| view.next(next)) }))
}
