//! What can be asked of an asset, and why it may be refused.

use serde::{Deserialize, Serialize};

use super::{InputVersion, Waiter};
use crate::definition::{OnMiss, Require};
use crate::run::RunFailure;
use crate::{Attempt, DefinitionVersion, Json, NodeId, PartitionKey, RunId, Slug, Timestamp};

/// A wish addressed to one asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AssetCommand {
    /// A workflow version was applied: this is how it now produces and consumes the asset (perhaps no longer).
    DeclareAsset(Declaration),
    /// A node produced a version.
    RecordAsset(RecordAsset),
    /// A node needs a version.
    ResolveConsumption(ResolveConsumption),
    /// A run that was started to produce the asset has ended.
    EndProducer { run: RunId, end: ProducerEnd },
    /// A run that waited has ended without it.
    ForgetWaiter { waiter: Waiter },
}

/// How one workflow version touches one asset. Replaces what any earlier version of that workflow declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Declaration {
    pub workflow: Slug,
    pub version: DefinitionVersion,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub producers: Vec<ProducerDeclaration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<ConsumerDeclaration>,
}

/// A node that produces the asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerDeclaration {
    pub node: NodeId,
    pub name: Option<String>,
    /// The action's kind, as in the document (`job`, `transform`, …).
    pub kind: String,
    pub schema: Option<Json>,
    pub freshness: Option<Json>,
    pub partitioning: Option<Json>,
    pub auto_materialize: Option<Json>,
    pub primary: bool,
    /// The workflow's defaults, an object.
    pub defaults: Json,
    /// The keys its input schema requires.
    pub required: Vec<String>,
}

/// A node that consumes the asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerDeclaration {
    pub node: NodeId,
    pub name: Option<String>,
    /// The action's kind, as in the document.
    pub kind: String,
    pub schema: Option<Json>,
    pub freshness: Option<Json>,
    pub partitioning: Option<Json>,
    pub auto_materialize: Option<Json>,
}

/// A version as a run produced it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordAsset {
    pub run: RunId,
    pub workflow: Slug,
    pub definition: DefinitionVersion,
    pub node: NodeId,
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

/// A consumer's need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolveConsumption {
    pub waiter: Waiter,
    pub partition: Option<PartitionKey>,
    pub require: Require,
    pub on_miss: Option<OnMiss>,
    /// The consumer's own mapping for a producer that has to be started.
    pub producer_input: Option<Json>,
}

/// How a run that was started to produce an asset ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProducerEnd {
    /// It succeeded; everything it produced was recorded before.
    Succeeded,
    /// It failed, was cancelled, or could not even be started.
    Failed { failure: RunFailure },
}
