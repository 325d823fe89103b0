//! What lies between two versions.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::definition::{Difference, difference};
use headwater_core::{DefinitionVersion, Slug};
use serde::Serialize;

use super::{missing, version_of};
use crate::api::catalogue::CatalogueReading;
use crate::api::{Api, Problem};
use crate::codes::Code;

#[derive(Serialize)]
struct Compared {
    slug: Slug,
    from: DefinitionVersion,
    to: DefinitionVersion,
    #[serde(flatten)]
    difference: Difference,
}

/// `GET /workflows/{slug}/versions/{version}/diff/{other}`
pub async fn diff(State(api): State<Arc<Api>>, reading: CatalogueReading) -> Result<Response, Problem> {
    let slug: Slug = reading.name("slug")?;
    let (from, to) = (version_of(reading.segment("version"))?, version_of(reading.segment("other"))?);
    let view = reading.begin(&api).await?;
    let mut documents = Vec::with_capacity(2);
    for version in [from, to] {
        match api.reads.definition(&view, &slug, Some(version)).await? {
            Some(found) => documents.push(found.document),
            None => return Err(missing(&api, &view, &slug, Some(version)).await?),
        }
    }
    // Documents may be large.
    let compared = tokio::task::spawn_blocking(move || difference(&documents[0], &documents[1])).await;
    let difference = compared.map_err(|_| Problem::new(Code::Internal, "the versions could not be compared"))?;
    Ok(api.read(Compared { slug, from, to, difference }))
}
