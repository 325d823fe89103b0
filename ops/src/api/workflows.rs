//! Workflows and their versions, as the read models have them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::{DefinitionVersion, Slug};
use serde_json::json;

use super::asked::Asked;
use super::{Api, Problem};
use crate::codes::Code;

const LIMIT: u32 = 50;

/// `GET /workflows`
pub async fn list(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let (limit, after) = (asked.limit(LIMIT)?, asked.cursor::<Slug>("cursor")?);
    let workspace = asked.read(&api).await?;
    let workflows = api.reads.workflows(&workspace, after.as_ref(), limit).await?;
    let next = workflows.last().filter(|_| workflows.len() as u64 == u64::from(limit)).map(|last| last.slug.clone());
    Ok(api.read(json!({"workflows": workflows, "next": next})))
}

/// `GET /workflows/{slug}`
pub async fn current(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    definition(&api, asked, None).await
}

/// `GET /workflows/{slug}/versions/{version}`
pub async fn version(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let version = version_of(asked.segment("version"))?;
    definition(&api, asked, Some(version)).await
}

fn version_of(text: &str) -> Result<DefinitionVersion, Problem> {
    let number = text.parse().ok().filter(|number| (1..=i32::MAX.unsigned_abs()).contains(number));
    let invalid = || Problem::new(Code::InvalidName, "a version is a number from 1 up");
    number.map(DefinitionVersion::new).ok_or_else(invalid)
}

async fn definition(api: &Api, asked: Asked, version: Option<DefinitionVersion>) -> Result<Response, Problem> {
    let slug: Slug = asked.name("slug")?;
    let workspace = asked.read(api).await?;
    match api.reads.definition(&workspace, &slug, version).await? {
        Some(found) => Ok(api.read(found)),
        None => Err(missing(api, &workspace, &slug, version).await?),
    }
}

async fn missing(
    api: &Api,
    workspace: &headwater_core::WorkspaceId,
    slug: &Slug,
    version: Option<DefinitionVersion>,
) -> Result<Problem, Problem> {
    Ok(match version {
        Some(version) if api.reads.definition(workspace, slug, None).await?.is_some() => {
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
pub async fn versions(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let slug: Slug = asked.name("slug")?;
    let (limit, before) = (asked.limit(LIMIT)?, asked.cursor::<u32>("cursor")?.map(DefinitionVersion::new));
    let workspace = asked.read(&api).await?;
    let versions = api.reads.definitions(&workspace, &slug, before, limit).await?;
    if versions.is_empty() && before.is_none() {
        return Err(not_found(&slug));
    }
    let next = versions
        .last()
        .map(|last| last.version)
        .filter(|version| versions.len() as u64 == u64::from(limit) && *version > 1);
    Ok(api.read(json!({"versions": versions, "next": next.map(|next| next.to_string())})))
}
