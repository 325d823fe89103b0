//! What of a run is too large for the tables: one value, or a run with those that belong to it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use headwater_core::{Json, RunId, StoredValue, ValueDigest, WorkspaceId};
use headwater_projector::queries::RunDetail;
use headwater_streams::complaints::Complaints;
use headwater_streams::values::{ValueError, ValueStore, Values as _};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::reading::Reading;
use crate::api::{Api, Problem};
use crate::codes::Code;

/// How much of an answer is handed on at once.
const CHUNK_BYTES: usize = 64 << 10;

/// `GET /runs/{runId}/values/{digest}`
pub async fn one(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let digest: ValueDigest = reading.name("digest")?;
    let workspace = reading.begin(&api).await?;
    if api.reads.run_value(&workspace, run, digest).await?.is_none() {
        let detail = format!("the run {run} of this workspace has no value {digest}");
        return Err(Problem::new(Code::ValueNotFound, detail));
    }
    let turn = api.turns.value().await;
    let value = ValueStore::new(&api.broker).get(&workspace, digest).await.map_err(lost)?;
    // It is JSON, as every value of a run.
    Ok(large([Bytes::from_static(b"{\"data\":"), value, Bytes::from_static(b"}")], turn, &api))
}

/// Answers with a run, its large input and output among it. What the store does not show now stays named.
pub async fn whole(api: &Api, workspace: &WorkspaceId, mut run: RunDetail) -> Response {
    let turn = api.turns.value().await;
    if let Some(input) = find(api, workspace, run.input_stored).await {
        (run.input, run.input_stored) = (input, None);
    }
    if let Some(output) = find(api, workspace, run.output_stored).await {
        (run.output, run.output_stored) = (Some(output), None);
    }
    let text = Json::of(&run);
    drop(run);
    let text = Bytes::copy_from_slice(text.as_str().as_bytes());
    large([Bytes::from_static(b"{\"data\":"), text, Bytes::from_static(b"}")], turn, api)
}

fn lost(error: ValueError) -> Problem {
    match error {
        ValueError::Exchange(error) => error.into(),
        lost @ (ValueError::Missing { .. } | ValueError::Damaged { .. } | ValueError::TooLarge { .. }) => {
            Problem::new(Code::ValueLost, lost.to_string())
        }
    }
}

/// Reads a value that an event names.
pub async fn read(api: &Api, workspace: &WorkspaceId, stored: StoredValue) -> Result<Json, Problem> {
    let bytes = ValueStore::new(&api.broker).get(workspace, stored.digest).await.map_err(lost)?;
    let text = String::from_utf8(bytes.into()).ok();
    text.and_then(|text| Json::from_text(text).ok())
        .ok_or_else(|| Problem::new(Code::ValueLost, format!("the value {} is no JSON", stored.digest)))
}

async fn find(api: &Api, workspace: &WorkspaceId, value: Option<StoredValue>) -> Option<Json> {
    let read = ValueStore::new(&api.broker).get(workspace, value?.digest).await;
    let unread = |error: &ValueError| {
        static UNREAD: Complaints = Complaints::new();
        if let Some(count) = UNREAD.due() {
            tracing::warn!(%workspace, %error, count, "a value of a run cannot be shown");
        }
    };
    let bytes = read.inspect_err(unread).ok()?;
    Json::from_text(String::from_utf8(bytes.into()).ok()?).ok()
}

/// Answers with what is held for it until it is sent.
fn large(parts: [Bytes; 3], turn: OwnedSemaphorePermit, api: &Api) -> Response {
    let chunks = stream::unfold((parts, turn), |(mut parts, turn)| async move {
        let part = parts.iter_mut().find(|part| !part.is_empty())?;
        let chunk = part.split_to(part.len().min(CHUNK_BYTES));
        Some((Ok::<_, Infallible>(chunk), (parts, turn)))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    api.mark_lag(&mut response);
    response
}
