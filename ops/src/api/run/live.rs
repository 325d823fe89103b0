//! What is seen of an active run now: its shard says so, whether or not the read models can be read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::run::LIVE_BYTES_MAX;
use headwater_core::{BranchId, Json, RunId};
use headwater_workers::shard_client::DescribedRun;
use serde::Serialize;

use super::not_found;
use crate::api::asked::Asked;
use crate::api::{Api, Problem, answer};
use crate::codes::Code;

/// How long the shard may take to say what it knows.
const LIVE_WAIT: Duration = Duration::from_secs(5);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Live {
    run_id: RunId,
    context: Json,
}

/// `GET /runs/{runId}/live`
pub async fn live(State(api): State<Arc<Api>>, mut asked: Asked) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let branch = asked.parameter::<u32>("branch")?.map_or(BranchId::ROOT, BranchId::new);
    let workspace = asked.finish()?;
    if !api.shards.has(run.shard()) {
        return Err(not_found(run));
    }
    let _turn = api.turns.live().await;
    let DescribedRun { context, bytes } = api.shards.client.describe_run(workspace, run, branch, LIVE_WAIT).await?;
    match context {
        Some(context) => Ok(answer::data(StatusCode::OK, Live { run_id: run, context })),
        None if bytes > 0 => {
            let detail = format!(
                "more is seen of the run {run} than the {LIVE_BYTES_MAX} bytes or 2,000 nodes that its shard tells of"
            );
            Err(Problem::new(Code::ContextTooLarge, detail))
        }
        None => {
            let detail = format!("the branch {} of the run {run} is not open", branch.get());
            Err(Problem::new(Code::MomentNotFound, detail))
        }
    }
}
