//! What follows from a commit outside the journal. Effects leave only after their bundle is acknowledged, and each
//! carries what makes sending it again harmless: a submission its derived id, a task its attempt, a notice its version.

use serde::{Deserialize, Serialize};

use super::{AggregateId, Command, Submission};
use crate::protocol::Task;
use crate::{
    AssetId, CommandId, DefinitionVersion, Json, NodeId, PartitionKey, Revision, RunId, Timestamp, Version, WorkspaceId,
};

/// One thing to do outside. Checkpoints hold those that may not have been delivered: a change is a new
/// [`super::CHECKPOINT_FORMAT`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// Put a task on its queue.
    OfferTask(Task),
    /// Tell the worker that holds an attempt of this run to stop (best effort; its heartbeat tells it too).
    CancelTasks { workspace: WorkspaceId, run: RunId, node: NodeId },
    /// Give a command to an aggregate, perhaps on another shard.
    Submit(Submission),
    /// Publish a change of an asset on the feed.
    PublishAsset(AssetNotice),
    /// Make a definition version known to every process.
    PublishDefinition { workspace: WorkspaceId, workflow: crate::Slug, version: DefinitionVersion, document: Json },
}

/// `asset.produced`: one CloudEvent on the asset feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetNotice {
    pub workspace: WorkspaceId,
    pub asset: AssetId,
    pub partition: Option<PartitionKey>,
    pub version: Version,
    pub time: Timestamp,
    /// The CloudEvent's `data`.
    pub data: Json,
}

impl Submission {
    /// Addresses a command that follows from an event: the same event always sends it under the same id.
    pub fn following(aggregate: &AggregateId, revision: Revision, index: u64, command: Command) -> Self {
        let name = aggregate.to_string();
        let id = CommandId::derived(&[name.as_bytes(), &revision.get().to_be_bytes(), &index.to_be_bytes()]);
        Self { id, command }
    }
}
