//! Run to asset and back: a node produced a version, the asset recorded it and says which number it has. Said again, the
//! answer is the same.

use serde::{Deserialize, Serialize};

use crate::{AssetId, Attempt, DefinitionVersion, Json, NodeAddress, PartitionKey, RunId, Slug, Timestamp, Version};

/// A version as a run produced it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordAsset {
    pub run: RunId,
    pub workflow: Slug,
    pub definition: DefinitionVersion,
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub partition: Option<PartitionKey>,
    pub payload: Json,
    pub schema: Option<Json>,
    pub freshness: Option<Json>,
    pub produced_at: Timestamp,
    pub run_started_at: Timestamp,
    /// The input of the producing run: what a later materialization starts with.
    pub run_input: Json,
    /// The versions of every asset the run had consumed until then.
    pub inputs: Vec<InputVersion>,
}

/// One input of a version: exactly which version of which asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputVersion {
    pub asset: AssetId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionKey>,
    pub version: Version,
}
