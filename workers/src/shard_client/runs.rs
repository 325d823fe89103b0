//! What a shard says of an active run.

use std::time::Duration;

use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::run::{RunDigest, RunsWanted};
use headwater_core::{BranchId, Json, RunId, ShardId, WorkspaceId};

use super::{ClientError, ShardClient};

/// What is seen in a branch of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedRun {
    /// A [`headwater_core::run::Context`]; absent: the branch is not open, or that is more than is told.
    pub context: Option<Json>,
    /// About how many bytes it has; 0: the branch is not open.
    pub bytes: u64,
}

/// Which active runs of a shard are asked for.
#[derive(Debug, Clone)]
pub struct ActiveRuns {
    pub workspace: WorkspaceId,
    pub wanted: RunsWanted,
    /// Only those whose ids come after this one.
    pub after: Option<RunId>,
    /// How many are named: at most [`headwater_core::protocol::RUNS_LISTED_MAX`].
    pub most: u32,
}

impl ShardClient {
    /// Asks the shard of a run what is seen in one of its branches now, as far as it is durable.
    ///
    /// # Errors
    /// See [`ClientError`]; refused where the run has ended, or is not the workspace's.
    pub async fn describe_run(
        &self,
        workspace: WorkspaceId,
        run: RunId,
        branch: BranchId,
        within: Duration,
    ) -> Result<DescribedRun, ClientError> {
        self.described(run.shard(), ShardRequest::DescribeRun { workspace, run, branch }, within).await
    }

    /// Asks the shard of a run which of its attempts somebody outside ends, as far as that is durable.
    ///
    /// # Errors
    /// As [`Self::describe_run`].
    pub async fn list_callbacks(
        &self,
        workspace: WorkspaceId,
        run: RunId,
        within: Duration,
    ) -> Result<Json, ClientError> {
        let listed = self.described(run.shard(), ShardRequest::ListCallbacks { workspace, run }, within).await?;
        Ok(listed.context.unwrap_or_default())
    }

    async fn described(
        &self,
        shard: ShardId,
        request: ShardRequest,
        within: Duration,
    ) -> Result<DescribedRun, ClientError> {
        match self.ask(shard, request, within).await? {
            ShardReply::Run { context, bytes } => Ok(DescribedRun { context, bytes }),
            ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
            ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Runs { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
        }
    }

    /// Asks the shard of a run by what it is told from another folding of it, as far as it is durable.
    ///
    /// # Errors
    /// See [`ClientError`]; refused where the run has ended, or is not the workspace's.
    pub async fn digest_run(
        &self,
        workspace: WorkspaceId,
        run: RunId,
        within: Duration,
    ) -> Result<RunDigest, ClientError> {
        let shard = run.shard();
        match self.ask(shard, ShardRequest::DigestRun { workspace, run }, within).await? {
            ShardReply::Digest { revision, digest } => Ok(RunDigest { revision, digest }),
            ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
            ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Run { .. }
            | ShardReply::Runs { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
        }
    }

    /// Asks a shard which of its active runs are these: the first after a run, by their ids, and how many there are.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_runs(
        &self,
        shard: ShardId,
        asked: ActiveRuns,
        within: Duration,
    ) -> Result<(Vec<RunId>, u64), ClientError> {
        let ActiveRuns { workspace, wanted, after, most } = asked;
        match self.ask(shard, ShardRequest::ListRuns { workspace, wanted, after, most }, within).await? {
            ShardReply::Runs { runs, total } => Ok((runs, total)),
            ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
            ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Run { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
        }
    }
}
