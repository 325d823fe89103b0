//! Run to memo and back: a node with `reuse` asks whether somebody has done the same before, and is given that result, or is told
//! to do it itself (it *flies*), or waits until whoever flies has landed.
//!
//! Exactly one answer counts for each asker, the first: an asker asks once, and one that has an answer takes no notice of another.
//! Asked again, one that flies is told so again, and one that waits goes on waiting. Whoever asked says so when it is over, also where it
//! was given a result: with its own, or that there is none; then the next that waits flies. A miss is always right, so a memo may forget what it likes.

use serde::{Deserialize, Serialize};

use super::InputVersion;
use crate::{Json, NodeAddress, RunId};

/// The largest result that is kept, in bytes of JSON, its assets with it. A larger one is as good as none.
pub const RESULT_BYTES_MAX: usize = 64 * 1024;

/// About how many bytes the versions of assets take that go with a result.
pub(crate) fn bytes_of(assets: &[InputVersion]) -> usize {
    const VERSION_BYTES: usize = 128;
    let names = |it: &InputVersion| it.asset.as_str().len() + it.partition.as_ref().map_or(0, |key| key.as_str().len());
    assets.iter().map(|it| VERSION_BYTES + names(it)).sum()
}

/// Returns whether a result is small enough to be kept.
pub(crate) fn is_kept(output: &Json, assets: &[InputVersion]) -> bool {
    output.len_bytes() + bytes_of(assets) <= RESULT_BYTES_MAX
}

/// A node of a run that asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asker {
    pub run: RunId,
    pub node: NodeAddress,
}

/// What a memo is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MemoCommand {
    /// Has somebody done this?
    Ask {
        /// Of workspace, scope and key: 64 hex digits.
        digest: String,
        asker: Asker,
        /// Results that were kept longer ago are none. Absent: any will do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_age_ms: Option<u64>,
    },
    /// The asker has done it. Absent: there is no result, or none that can be kept; or it does not wait any more.
    Land {
        digest: String,
        asker: Asker,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
        output: Option<Json>,
        /// What it has produced, in the versions under which that was recorded.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        assets: Vec<InputVersion>,
    },
}

/// What an asker is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MemoAnswer {
    /// Take this, which that node has made.
    Hit {
        output: Json,
        made_by: Asker,
        /// What was produced with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        assets: Vec<InputVersion>,
    },
    /// Do it yourself.
    Fly {},
}
