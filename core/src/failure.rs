//! Why something failed.

use serde::{Deserialize, Serialize};

use crate::{Attempt, NodeAddress};

/// Why an attempt, a node or a run failed: `error` in expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunFailure {
    /// Stable, for programs: the handler's own, or one of the engine's (`timeout`, `worker_lost`, `asset_schema`, …).
    pub code: String,
    /// For people.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

impl RunFailure {
    /// Makes a failure that is not yet tied to a node.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), node_id: None, attempt: None }
    }

    /// Ties it to an attempt of a node.
    #[must_use]
    pub fn at(mut self, node: &NodeAddress, attempt: Option<Attempt>) -> Self {
        self.node_id = Some(node.clone());
        self.attempt = attempt;
        self
    }
}
