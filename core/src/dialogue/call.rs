//! Run to run and back: a node calls another workflow, whose run says how it ended. Where the definition names no version, the
//! called workflow is asked first which one is current, and answers without keeping anything.
//!
//! Exactly one answer counts for each attempt, the first: that its child ended, or that it was refused. The child of an attempt is
//! always the same run, so whatever is said again is about the same one, and what is said of an attempt that is over changes
//! nothing. An attempt that is over before its child is has the child cancelled.

use serde::{Deserialize, Serialize};

use super::recording::InputVersion;
use crate::failure::RunFailure;
use crate::{Attempt, DefinitionVersion, Json, NodeAddress, RunId};

/// How many calls may stand within each other.
pub const CALL_DEPTH_MAX: u32 = 16;

/// The attempt of a node that calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
}

/// How a run that was called came to its end, or where nobody waits for that, that it has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ChildEnd {
    /// It goes on by itself.
    Started {},
    /// It goes on; every asset that is waited for has been recorded, in these versions.
    Recorded {
        recorded: Vec<InputVersion>,
    },
    Succeeded {
        output: Json,
        /// The newest version of each asset that its caller asked for, as far as it has been recorded.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        recorded: Vec<InputVersion>,
    },
    Failed {
        failure: RunFailure,
    },
    Cancelled {
        reason: String,
    },
}

/// What a caller hears of its call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Answer {
    /// This version of the workflow is current.
    Current { version: DefinitionVersion },
    /// The run it called is over.
    Ended { child: RunId, end: ChildEnd },
    /// There is no such workflow, or its run cannot start.
    Refused {
        failure: RunFailure,
        /// It would be refused again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        permanent: bool,
    },
}
