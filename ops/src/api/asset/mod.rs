//! Assets: what was made, by whom, for whom.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use headwater_core::{AssetId, PartitionKey, Slug};
use serde::Serialize;

use super::routes::{Route, reads};
use super::{Api, Problem, workflow};
use crate::api::catalogue::CatalogueReading;
use crate::codes::Code;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        reads("/workflows/{slug}/assets", get(of_workflow)),
        reads("/workflows/{slug}/assets/{assetId}/history", get(history_in_workflow)),
        reads("/assets", get(list)),
        reads("/assets/{assetId}", get(one)),
        reads("/assets/{assetId}/history", get(history)),
    ]
}

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
async fn of_workflow(State(api): State<Arc<Api>>, reading: CatalogueReading) -> Result<Response, Problem> {
    let slug: Slug = reading.name("slug")?;
    let view = reading.begin(&api).await?;
    let inventory = api.reads.workflow_assets(&view, &slug).await?;
    Ok(api.read(inventory.ok_or_else(|| workflow::not_found(&slug))?))
}

/// `GET /workflows/{slug}/assets/{assetId}/history`
async fn history_in_workflow(State(api): State<Arc<Api>>, mut reading: CatalogueReading) -> Result<Response, Problem> {
    let (slug, asset): (Slug, AssetId) = (reading.name("slug")?, reading.name("assetId")?);
    let limit = reading.limit(HISTORY_LIMIT)?;
    let partition: Option<PartitionKey> = reading.parameter("partitionKey")?;
    let view = reading.begin(&api).await?;
    let history = api.reads.asset_history(&view, &slug, &asset, partition.as_ref(), limit).await?;
    match history {
        Some(history) => Ok(api.read(History { asset_id: asset, history })),
        None if api.reads.definition(&view, &slug, None).await?.is_none() => Err(workflow::not_found(&slug)),
        None => {
            let detail = format!("workflow `{slug}` does not declare the asset `{asset}`");
            Err(Problem::new(Code::AssetNotDeclared, detail))
        }
    }
}

/// `GET /assets`
async fn list(State(api): State<Arc<Api>>, mut reading: CatalogueReading) -> Result<Response, Problem> {
    let (limit, after) = (reading.limit(LIMIT)?, reading.page::<AssetId>()?);
    let prefix = reading.take("prefix").unwrap_or_default();
    if prefix.chars().count() > PREFIX_CHARS_MAX {
        let detail = format!("`prefix` has more than {PREFIX_CHARS_MAX} characters");
        return Err(Problem::new(Code::InvalidParameter, detail).with("parameter", "prefix"));
    }
    let view = reading.begin(&api).await?;
    let mut page = api.reads.assets(&view, &prefix, after.as_ref(), limit).await?;
    page.next = page.next.map(|last| view.next(last));
    Ok(api.read(page))
}

/// `GET /assets/{assetId}`
async fn one(State(api): State<Arc<Api>>, reading: CatalogueReading) -> Result<Response, Problem> {
    let asset: AssetId = reading.name("assetId")?;
    let view = reading.begin(&api).await?;
    Ok(api.read(api.reads.asset(&view, &asset).await?.ok_or_else(|| not_found(&asset))?))
}

/// `GET /assets/{assetId}/history`
async fn history(State(api): State<Arc<Api>>, mut reading: CatalogueReading) -> Result<Response, Problem> {
    let asset: AssetId = reading.name("assetId")?;
    let (limit, before) = (reading.limit(HISTORY_LIMIT)?, reading.page::<u64>()?);
    let partition: Option<PartitionKey> = reading.parameter("partitionKey")?;
    let view = reading.begin(&api).await?;
    let history = api.reads.versions_of(&view, &asset, partition.as_ref(), before, limit).await?;
    if history.is_empty() && api.reads.asset(&view, &asset).await?.is_none() {
        return Err(not_found(&asset));
    }
    let full = history.len() as u64 == u64::from(limit);
    let next = history.last().filter(|_| full).map(|last| view.next(last.revision));
    Ok(api.read(HistoryPage { history: History { asset_id: asset, history }, next }))
}

fn not_found(asset: &AssetId) -> Problem {
    Problem::new(Code::AssetNotFound, format!("there is no asset `{asset}` in this workspace"))
}
