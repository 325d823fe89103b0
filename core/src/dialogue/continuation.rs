//! How a run goes on from another, which has ended or goes its own way.

use serde::{Deserialize, Serialize};

use super::{Asker, InputVersion};
use crate::expr::ConsumedAsset;
use crate::{CommandId, Json, NodeId, Revision, RunId, SignalKey, SignalName};

/// The run that a run goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContinuedFrom {
    pub run: RunId,
    /// The last of its revisions that counts.
    pub revision: Revision,
    pub how: Continuation,
    /// Why somebody wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In how many pieces it is told what nodes came to there. It does nothing before it has them all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pieces: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recalled {
    /// The nodes around it, from the outermost, each with the index of the item, the turn or the try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<(NodeId, u32)>,
    /// Who has made it, or has tried to: under that key it is tried again.
    pub from: Asker,
    /// Absent: it had not succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RecalledResult>,
}

/// What it had made, and of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecalledResult {
    pub output: Json,
    /// What it was given, where whatever undoes it is told that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<ConsumedAsset>,
    /// As they are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<InputVersion>,
    /// A digest of what it was given and has consumed: it is made again where that differs. Absent: it is taken whatever it was
    /// made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<String>,
}
