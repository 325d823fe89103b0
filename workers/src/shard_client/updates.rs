//! What updates are answered with.

use std::time::Duration;

use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::run::Reply;
use headwater_core::shard::Position;
use headwater_core::{CommandId, RunId, WorkspaceId};

use super::replies::is_passing;
use super::{ClientError, ShardClient};

impl ShardClient {
    /// Waits until an update is answered, `within`. Returns with what, and where that can be read.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::Indeterminate`] when it is not answered by then. Refused where the run has ended, is
    /// not the workspace's, has received no such update, or does not know the reply any more.
    pub async fn await_reply(
        &self,
        workspace: WorkspaceId,
        run: RunId,
        update: CommandId,
        within: Duration,
    ) -> Result<(Reply, Position), ClientError> {
        let request = ShardRequest::AwaitReply { workspace, run, update };
        self.ask_until_answered(run.shard(), &[request], within, replied).await
    }
}

/// Reads a reply; `None` when the question must be asked again.
fn replied(replies: Vec<ShardReply>) -> Result<Option<(Reply, Position)>, ClientError> {
    match replies.into_iter().next() {
        Some(ShardReply::Replied { reply, position }) => Ok(Some((reply, position))),
        Some(ShardReply::Refused { rejection }) if !is_passing(&rejection) => Err(ClientError::Refused(rejection)),
        Some(
            ShardReply::Refused { .. }
            | ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Run { .. }
            | ShardReply::Runs { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Driven { .. },
        )
        | None => Ok(None),
    }
}
