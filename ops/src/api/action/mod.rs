//! Reusable actions: which there are, their versions, and who uses them. They come in with the workflows.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use headwater_core::{DefinitionVersion, Slug};
use headwater_projector::queries::{ActionSummary, ActionUser, ActionVersion, ActionView, PAGE_MAX};
use serde::Serialize;

use super::reading::Reading;
use super::routes::{Route, reads};
use super::workflow::version_of;
use super::{Api, Problem};
use crate::codes::Code;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        reads("/actions", get(list)),
        reads("/actions/{slug}", get(current)),
        reads("/actions/{slug}/versions", get(versions)),
        reads("/actions/{slug}/versions/{version}", get(version)),
    ]
}

const LIMIT: u32 = 50;

#[derive(Serialize)]
struct ActionPage {
    actions: Vec<ActionSummary>,
    next: Option<String>,
}

#[derive(Serialize)]
struct VersionPage {
    versions: Vec<ActionVersion>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Used {
    #[serde(flatten)]
    action: ActionView,
    /// The first hundred nodes of current versions that use it, whichever version of it.
    users: Vec<ActionUser>,
}

/// `GET /actions`
async fn list(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let (limit, after) = (reading.limit(LIMIT)?, reading.cursor::<Slug>("cursor")?);
    let workspace = reading.begin(&api).await?;
    let actions = api.reads.of_actions().list(&workspace, after.as_ref(), limit).await?;
    let is_full = actions.len() as u64 == u64::from(limit);
    let next = actions.last().filter(|_| is_full).map(|last| last.slug.clone());
    Ok(api.read(ActionPage { actions, next }))
}

/// `GET /actions/{slug}`
async fn current(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    one(&api, reading, None).await
}

/// `GET /actions/{slug}/versions/{version}`
async fn version(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let version = version_of(reading.segment("version"))?;
    one(&api, reading, Some(version)).await
}

async fn one(api: &Api, reading: Reading, version: Option<DefinitionVersion>) -> Result<Response, Problem> {
    let slug: Slug = reading.name("slug")?;
    let workspace = reading.begin(api).await?;
    if let Some(action) = api.reads.of_actions().one(&workspace, &slug, version).await? {
        let users = api.reads.of_actions().users(&workspace, &slug, PAGE_MAX).await?;
        return Ok(api.read(Used { action, users }));
    }
    Err(match version {
        Some(version) if api.reads.of_actions().one(&workspace, &slug, None).await?.is_some() => {
            Problem::new(Code::ActionNotFound, format!("action `{slug}` has no version {version}"))
        }
        Some(_) | None => not_found(&slug),
    })
}

fn not_found(slug: &Slug) -> Problem {
    Problem::new(Code::ActionNotFound, format!("there is no action `{slug}` in this workspace"))
}

/// `GET /actions/{slug}/versions`
async fn versions(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let slug: Slug = reading.name("slug")?;
    let (limit, before) = (reading.limit(LIMIT)?, reading.cursor::<u32>("cursor")?.map(DefinitionVersion::new));
    let workspace = reading.begin(&api).await?;
    let versions = api.reads.of_actions().versions(&workspace, &slug, before, limit).await?;
    if versions.is_empty() && before.is_none() {
        return Err(not_found(&slug));
    }
    let is_full = versions.len() as u64 == u64::from(limit);
    let next = versions.last().map(|last| last.version).filter(|version| is_full && *version > 1);
    Ok(api.read(VersionPage { versions, next: next.map(|next| next.to_string()) }))
}
