//! Workflow to asset: how a version of the workflow produces and consumes it. Nothing is answered. Said again it changes
//! nothing, and a version that no longer touches the asset says an empty one.

use serde::{Deserialize, Serialize};

use crate::definition::{Automation, Declared, Freshness, Partitioning};
use crate::{DefinitionVersion, Json, NodeId, Slug};

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
    /// Nothing starts the workflow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
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
    pub freshness: Option<Declared<Freshness>>,
    pub partitioning: Option<Declared<Partitioning>>,
    pub auto_materialize: Option<Declared<Automation>>,
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
    pub freshness: Option<Declared<Freshness>>,
    pub partitioning: Option<Declared<Partitioning>>,
    pub auto_materialize: Option<Declared<Automation>>,
}
