//! What follows from a commit outside the journal. Effects leave only after their bundle is acknowledged.

use super::{AggregateId, Submission};
use crate::protocol::Task;
use crate::{AssetId, DefinitionVersion, Json, NodeId, PartitionKey, Revision, RunId, Timestamp, Version, WorkspaceId};

/// Makes an effect idempotent: the same fact always has the same effects under the same ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EffectId {
    pub aggregate: AggregateId,
    /// Of the event it follows from.
    pub revision: Revision,
    /// Among the effects of that event.
    pub index: u16,
}

/// One thing to do outside.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
pub struct AssetNotice {
    pub workspace: WorkspaceId,
    pub asset: AssetId,
    pub partition: Option<PartitionKey>,
    pub version: Version,
    pub time: Timestamp,
    /// The CloudEvent's `data`.
    pub data: Json,
}
