//! What the events of a run are made of.

use serde::{Deserialize, Serialize};

use crate::definition::{OnMiss, Require};
use crate::failure::RunFailure;
use crate::{AssetId, Json, NodeId, PartitionKey};

/// Why the branches of a `forEach` are withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum JoinClosing {
    /// It has what it waits for, or proceeds with what it has.
    Enough {},
    Failed {
        failure: RunFailure,
    },
}

/// What a branch is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BranchKind {
    /// An item of a `forEach`.
    Item,
    /// A turn of a loop.
    Turn,
    /// A try of a group.
    Try,
    /// Something that had succeeded is undone. They are numbered in the order of its success, and begin with the last.
    Undo,
}

impl BranchKind {
    /// Returns the word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Turn => "turn",
            Self::Try => "try",
            Self::Undo => "undo",
        }
    }
}

/// How a branch ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum BranchOutcome {
    Succeeded {
        output: Json,
        /// Under which the output is merged, where that goes by keys.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// The same, with the output of this node of the branch, whose [`RunEvent::NodeSucceeded`] is the event before.
    SucceededAs {
        node: NodeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    Failed {
        failure: RunFailure,
    },
    /// It was withdrawn.
    Cancelled {},
    /// The turn of a loop is over.
    Turned {
        /// Whether another follows. Then the ways out that were taken in this one are dropped.
        again: bool,
    },
}

/// One asset that a node needs, with everything about the need rendered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetNeed {
    pub asset: AssetId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionKey>,
    pub require: Require,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_miss: Option<OnMiss>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer_input: Option<Json>,
}
