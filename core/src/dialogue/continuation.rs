//! How a run goes on from another, which has ended or goes its own way.

use serde::{Deserialize, Serialize};

use super::InputVersion;
use crate::{Json, NodeAddress, NodeId, Revision, RunId};

/// The run that a run goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContinuedFrom {
    pub run: RunId,
    /// The last of its revisions that counts.
    pub revision: Revision,
    pub how: Continuation,
}

/// In which way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Continuation {
    /// What had not succeeded there is done again, under the keys that it had there.
    Retry {},
    /// This node is done again, and whatever stands behind it.
    Restart { node: NodeId },
    /// What is the same here as there is not done again. In a sandbox nothing of it is published.
    Fork {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sandbox: bool,
    },
    /// That run ended so that this one goes on.
    Successor {},
}

/// What a node came to in that run, for the node in the same place of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recalled {
    /// The nodes around it, from the outermost, each with the index of the item, the turn or the try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<(NodeId, u32)>,
    /// Where it stood there.
    pub address: NodeAddress,
    /// Absent: it had not succeeded, and only its key is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RecalledResult>,
}

/// What it had made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecalledResult {
    pub output: Json,
    /// As they are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<InputVersion>,
    /// Of what it was made: it is made again where that differs. Absent: it is taken whatever it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<String>,
}
