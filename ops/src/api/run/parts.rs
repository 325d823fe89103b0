//! What a run has many of: its attempts and its branches, page by page.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::run::NodeStatus;
use headwater_core::{BranchId, RunId};
use headwater_projector::queries::{self, BranchFilter, LONG_PAGE_MAX, TraceFilter, TracesAfter};
use headwater_projector::tables::BranchStatus;

use super::{not_found, word};
use crate::api::asked::Asked;
use crate::api::reading::Reading;
use crate::api::{Api, Problem};

const BRANCHES: u32 = 100;

/// Those that an attempt can have.
const STATUSES: [NodeStatus; 7] = [
    NodeStatus::Queued,
    NodeStatus::Running,
    NodeStatus::Waiting,
    NodeStatus::Succeeded,
    NodeStatus::Failed,
    NodeStatus::Skipped,
    NodeStatus::Cancelled,
];

/// `GET /runs/{runId}/traces`
pub async fn traces(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let filter = TraceFilter {
        node: reading.parameter("nodeId")?,
        branch: branch(&mut reading, "branch")?,
        status: word(&mut reading, &STATUSES.map(|status| (status.as_str(), status)))?,
    };
    let limit = reading.limit_within(LONG_PAGE_MAX, LONG_PAGE_MAX)?;
    let after = reading.cursor::<TracesAfter>("after")?;
    let workspace = reading.begin(&api).await?;
    let page = api.reads.traces(&workspace, run, &filter, after, limit).await?;
    Ok(api.read(page.ok_or_else(|| not_found(run))?))
}

/// `GET /runs/{runId}/branches`
pub async fn branches(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let filter = BranchFilter {
        node: reading.parameter("node")?,
        parent: branch(&mut reading, "parent")?,
        status: word(&mut reading, &BranchStatus::ALL.map(|status| (status.as_str(), status)))?,
    };
    let limit = reading.limit_within(BRANCHES, LONG_PAGE_MAX)?;
    let after = reading.cursor::<u32>("after")?;
    let workspace = reading.begin(&api).await?;
    let page = queries::branches(&api.reads, &workspace, run, &filter, after, limit).await?;
    Ok(api.read(page.ok_or_else(|| not_found(run))?))
}

fn branch(asked: &mut Asked, name: &str) -> Result<Option<BranchId>, Problem> {
    Ok(asked.parameter::<u32>(name)?.map(BranchId::new))
}
