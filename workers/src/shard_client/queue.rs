//! How full a queue is: every shard knows its part.

use std::time::Duration;

use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::{QueueName, ShardId, WorkspaceId};

use super::{ClientError, ShardClient};

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Attempts that wait for a worker.
    pub waiting: u64,
    /// Attempts that workers were granted and have not ended.
    pub held: u64,
}

impl ShardClient {
    /// Asks every shard how many attempts wait for a queue and how many workers hold. For advice only.
    ///
    /// # Errors
    /// See [`ClientError`]: one shard that does not answer is enough.
    pub async fn describe_queue(
        &self,
        workspace: &WorkspaceId,
        queue: &QueueName,
        within: Duration,
    ) -> Result<QueueDepth, ClientError> {
        let mut asked = Vec::with_capacity(self.lanes.len());
        for number in 0..self.lanes.len() {
            let number = u16::try_from(number).expect("a shard map has at most 1,024 shards");
            let shard = ShardId::new(number).expect("a shard map has at most 1,024 shards");
            let (workspace, queue) = (workspace.clone(), queue.clone());
            asked.push(async move {
                match self.ask(shard, ShardRequest::DescribeQueue { workspace, queue }, within).await? {
                    ShardReply::Queue { waiting, held } => Ok(QueueDepth { waiting, held }),
                    ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
                    ShardReply::Done { .. }
                    | ShardReply::Ended { .. }
                    | ShardReply::Replied { .. }
                    | ShardReply::Asset { .. }
                    | ShardReply::Action { .. }
                    | ShardReply::Run { .. }
                    | ShardReply::Runs { .. }
                    | ShardReply::Quarantine { .. }
                    | ShardReply::Heard { .. }
                    | ShardReply::Digest { .. }
                    | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
                }
            });
        }
        let depths: Vec<QueueDepth> = futures_util::future::try_join_all(asked).await?;
        let sum = |of: fn(&QueueDepth) -> u64| depths.iter().map(of).sum();
        Ok(QueueDepth { waiting: sum(|depth| depth.waiting), held: sum(|depth| depth.held) })
    }
}
