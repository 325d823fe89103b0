//! How what somebody wishes of a run reaches its shard, and what he is told of one that has ended.

use std::time::Duration;

use headwater_core::run::{RunRejection, RunStatus};
use headwater_core::shard::{Rejection, Submission};
use headwater_core::{RunId, WorkspaceId};
use headwater_workers::shard_client::ClientError;

use super::not_found;
use crate::api::token::Token;
use crate::api::{Api, COMMAND_WAIT, Problem};
use crate::codes::Code;

/// How long the read models may take to say whose run it is that has ended.
const ENDED_WAIT: Duration = Duration::from_secs(1);

/// Gives a wish to the shard of a run; returns what a read has to wait for to see what came of it.
pub async fn submit(api: &Api, workspace: &WorkspaceId, run: RunId, submission: Submission) -> Result<Token, Problem> {
    if !api.shards.has(run.shard()) {
        return Err(not_found(run));
    }
    match api.shards.client.submit(run.shard(), submission, COMMAND_WAIT).await {
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunNotFound))) => {
            Err(long_ended(api, workspace, run).await)
        }
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunClosed { status, successor }))) => {
            let problem = ended(api, workspace, run, status).await;
            // Only whoever may know of the run learns which goes on from it.
            let is_told = problem.code() == Code::RunClosed;
            let successor = successor.filter(|_| is_told).into_iter();
            Err(successor.fold(problem, |problem, run| problem.with("continuedAs", run.to_string())))
        }
        submitted => Ok(Token::of([submitted?.0])),
    }
}

/// Says why nothing can be asked of a run that its shard does not have: it may have ended so long ago that it was forgotten.
async fn long_ended(api: &Api, workspace: &WorkspaceId, run: RunId) -> Problem {
    match api.reads.run(workspace, run).await {
        Ok(Some(found)) => {
            let (closed, successor) = (closed(&found.summary.status), found.summary.continued_as);
            successor.into_iter().fold(closed, |closed, run| closed.with("continuedAs", run.to_string()))
        }
        Ok(None) | Err(_) => not_found(run),
    }
}

/// Says that a run has ended, to its own workspace only: of one that has ended its shard no longer knows whose it is.
/// Where the read models cannot say so either, it is said to whoever knows the id.
async fn ended(api: &Api, workspace: &WorkspaceId, run: RunId, status: RunStatus) -> Problem {
    let Some(ends) = api.shards.ends_of([&run.shard()]).await else { return closed(status.as_str()) };
    if !api.is_readable(&Token::of(ends), ENDED_WAIT).await {
        return closed(status.as_str());
    }
    match api.reads.run(workspace, run).await {
        Ok(None) => not_found(run),
        Ok(Some(_)) | Err(_) => closed(status.as_str()),
    }
}

fn closed(status: &str) -> Problem {
    Problem::new(Code::RunClosed, format!("the run has ended: {status}")).with("runStatus", status)
}
