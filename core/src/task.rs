//! What is given to a worker.

use serde::{Deserialize, Serialize};

use crate::definition::BuiltIn;
use crate::expr::ConsumedAsset;
use crate::{Attempt, JobSlug, Json, LeaseToken, NodeAddress, QueueName, RunId, Slug, Timestamp, WorkspaceId};

/// One attempt of one node, as a worker gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    pub workspace: WorkspaceId,
    pub workflow: Slug,
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub lease: LeaseToken,
    pub queue: QueueName,
    pub work: Work,
    pub input: Json,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<ConsumedAsset>,
    /// Under whose key it makes its effects: it was tried there before. Absent: under its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects_key: Option<String>,
    /// When the attempt times out, by the shard's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How long its handler may give no sign of life, from when it begins, in milliseconds. The worker sees to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout_ms: Option<u64>,
}

impl Task {
    /// Returns the key under which a handler may make its own effects idempotent: the same for every attempt, and
    /// for those of the run before that this one is a retry of.
    pub fn idempotency_key(&self) -> String {
        self.effects_key.clone().unwrap_or_else(|| format!("{}/{}", self.run, self.node))
    }
}

/// Who executes the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Work {
    /// A handler of a worker program.
    Job(JobSlug),
    /// The engine's own task worker.
    BuiltIn(BuiltIn),
}
