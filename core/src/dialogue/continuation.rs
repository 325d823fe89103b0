//! How a run goes on from another, which has ended or goes its own way.

use serde::{Deserialize, Serialize};

use super::InputVersion;
use crate::{CommandId, Json, NodeAddress, NodeId, Revision, RunId, SignalKey, SignalName};

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
    Successor {
        /// The first run of the chain, which whoever waits for its end knows.
        first: RunId,
        /// How many runs of the chain were before it.
        number: u32,
        /// Versions that whoever called the first waits for, recorded before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        recorded: Vec<InputVersion>,
        /// How many signals it inherits, which follow.
        #[serde(default, skip_serializing_if = "is_none")]
        signals: u32,
        /// How many bytes they have.
        #[serde(default, skip_serializing_if = "has_none")]
        signal_bytes: u64,
    },
}

/// A signal that a run had received and that nobody had taken: whoever goes on from it has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inherited {
    pub signal: CommandId,
    pub name: SignalName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SignalKey>,
    pub payload: Json,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

fn has_none(count: &u64) -> bool {
    *count == 0
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
