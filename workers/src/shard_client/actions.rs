//! What a shard says of a reusable action.

use std::time::Duration;

use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::shard::ActionKey;
use headwater_core::{DefinitionVersion, Json, ShardId};

use super::{ClientError, ShardClient};

/// A version of an action, and which version a content is or would be.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedAction {
    /// Absent: there is no such version.
    pub found: Option<(DefinitionVersion, Json)>,
    pub of_content: DefinitionVersion,
}

impl ShardClient {
    /// Asks the shard of an action for the document of a version, the current one where none is named.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn describe_action(
        &self,
        shard: ShardId,
        key: ActionKey,
        version: Option<DefinitionVersion>,
        content_hash: Option<String>,
        within: Duration,
    ) -> Result<DescribedAction, ClientError> {
        match self.ask(shard, ShardRequest::DescribeAction { key, version, content_hash }, within).await? {
            ShardReply::Action { found, of_content } => Ok(DescribedAction { found, of_content }),
            ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
            ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Run { .. }
            | ShardReply::Runs { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
        }
    }
}
