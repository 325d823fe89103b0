//! What a shard says of an active run.

use std::time::Duration;

use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::{BranchId, Json, RunId, WorkspaceId};

use super::{ClientError, ShardClient};

/// What is seen in a branch of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedRun {
    /// A [`headwater_core::run::Context`]; absent: the branch is not open, or that is more than is told.
    pub context: Option<Json>,
    /// About how many bytes it has; 0: the branch is not open.
    pub bytes: u64,
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
        let shard = run.shard();
        match self.ask(shard, ShardRequest::DescribeRun { workspace, run, branch }, within).await? {
            ShardReply::Run { context, bytes } => Ok(DescribedRun { context, bytes }),
            ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
            ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
        }
    }
}
