//! What was made, by whom, for whom.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::{AssetId, PartitionKey, Slug};
use serde::Serialize;

use super::asked::Asked;
use super::{Api, Problem, workflows};
use crate::codes::Code;

const LIMIT: u32 = 50;
const HISTORY_LIMIT: u32 = 10;
const PREFIX_CHARS_MAX: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct History<V> {
    asset_id: AssetId,
    /// Newest first.
    history: Vec<V>,
}

#[derive(Serialize)]
struct HistoryPage<V> {
    #[serde(flatten)]
    history: History<V>,
    next: Option<String>,
}

/// `GET /workflows/{slug}/assets`
pub async fn of_workflow(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let slug: Slug = asked.name("slug")?;
    let workspace = asked.read(&api).await?;
    let inventory = api.reads.workflow_assets(&workspace, &slug).await?;
    Ok(api.read(inventory.ok_or_else(|| workflows::not_found(&slug))?))
}

/// `GET /workflows/{slug}/assets/{assetId}/history`
pub async fn history_in_workflow(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let (slug, asset): (Slug, AssetId) = (asked.name("slug")?, asked.name("assetId")?);
    let limit = asked.limit(HISTORY_LIMIT)?;
    let partition: Option<PartitionKey> = asked.parameter("partitionKey")?;
    let workspace = asked.read(&api).await?;
    let history = api.reads.asset_history(&workspace, &slug, &asset, partition.as_ref(), limit).await?;
    match history {
        Some(history) => Ok(api.read(History { asset_id: asset, history })),
        None if api.reads.definition(&workspace, &slug, None).await?.is_none() => Err(workflows::not_found(&slug)),
        None => {
            let detail = format!("workflow `{slug}` does not declare the asset `{asset}`");
            Err(Problem::new(Code::AssetNotDeclared, detail))
        }
    }
}

/// `GET /assets`
pub async fn list(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let (limit, after) = (asked.limit(LIMIT)?, asked.cursor::<AssetId>("cursor")?);
    let prefix = asked.take("prefix").unwrap_or_default();
    if prefix.chars().count() > PREFIX_CHARS_MAX {
        let detail = format!("`prefix` has more than {PREFIX_CHARS_MAX} characters");
        return Err(Problem::new(Code::InvalidParameter, detail).with("parameter", "prefix"));
    }
    let workspace = asked.read(&api).await?;
    Ok(api.read(api.reads.assets(&workspace, &prefix, after.as_ref(), limit).await?))
}

/// `GET /assets/{assetId}`
pub async fn one(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let asset: AssetId = asked.name("assetId")?;
    let workspace = asked.read(&api).await?;
    Ok(api.read(api.reads.asset(&workspace, &asset).await?.ok_or_else(|| not_found(&asset))?))
}

/// `GET /assets/{assetId}/history`
pub async fn history(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let asset: AssetId = asked.name("assetId")?;
    let (limit, before) = (asked.limit(HISTORY_LIMIT)?, asked.cursor::<u64>("cursor")?);
    let partition: Option<PartitionKey> = asked.parameter("partitionKey")?;
    let workspace = asked.read(&api).await?;
    let history = api.reads.versions_of(&workspace, &asset, partition.as_ref(), before, limit).await?;
    if history.is_empty() && api.reads.asset(&workspace, &asset).await?.is_none() {
        return Err(not_found(&asset));
    }
    let full = history.len() as u64 == u64::from(limit);
    let next = history.last().filter(|_| full).map(|last| last.revision.to_string());
    Ok(api.read(HistoryPage { history: History { asset_id: asset, history }, next }))
}

fn not_found(asset: &AssetId) -> Problem {
    Problem::new(Code::AssetNotFound, format!("there is no asset `{asset}` in this workspace"))
}
