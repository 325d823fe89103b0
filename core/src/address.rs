//! Who a command is for, and which shard that is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AssetId, DefinitionVersion, InvalidName, RunId, ShardId, Slug, WorkspaceId};

/// An asset in its workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetKey {
    pub workspace: WorkspaceId,
    pub asset: AssetId,
}

/// A workflow in its workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowKey {
    pub workspace: WorkspaceId,
    pub workflow: Slug,
}

/// Names one aggregate. Text forms: `run/<uuid>`, `asset/<workspace>/<asset>`, `workflow/<workspace>/<slug>`,
/// `definition/<workspace>/<slug>/<version>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateId {
    Run(RunId),
    Asset(AssetKey),
    Workflow(WorkflowKey),
    /// A definition version that this shard has adopted because one of its runs uses it.
    Definition(WorkflowKey, DefinitionVersion),
}

/// How many slots long-lived aggregates hash to.
pub const SLOTS: u16 = 1024;

impl AggregateId {
    /// Returns the slot of a long-lived aggregate; runs carry their shard in their id instead.
    pub fn slot(&self) -> Option<u16> {
        match self {
            Self::Run(_) | Self::Definition(..) => None,
            // Asset ids are unique ignoring case, so their slot ignores case too.
            Self::Asset(key) => Some(slot_of(&[key.workspace.as_str(), &key.asset.as_str().to_ascii_lowercase()])),
            Self::Workflow(key) => Some(slot_of(&[key.workspace.as_str(), key.workflow.as_str()])),
        }
    }
}

fn slot_of(parts: &[&str]) -> u16 {
    let hash = stable_hash(parts);
    ((hash >> 32) as u16 ^ hash as u16) % SLOTS
}

/// FNV-1a, 64 bits: stable for ever, because the slot table and checkpoints outlive every release.
pub(crate) fn stable_hash(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

impl fmt::Display for AggregateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(id) => write!(f, "run/{id}"),
            Self::Asset(key) => write!(f, "asset/{}/{}", key.workspace, key.asset),
            Self::Workflow(key) => write!(f, "workflow/{}/{}", key.workspace, key.workflow),
            Self::Definition(key, version) => write!(f, "definition/{}/{}/{version}", key.workspace, key.workflow),
        }
    }
}

impl FromStr for AggregateId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::new("aggregate id", text, "run/…, asset/…, workflow/… or definition/…");
        let (kind, rest) = text.split_once('/').ok_or_else(invalid)?;
        if kind == "run" {
            return Ok(Self::Run(rest.parse()?));
        }
        let (workspace, name) = rest.split_once('/').ok_or_else(invalid)?;
        let workspace = workspace.parse()?;
        match kind {
            "asset" => Ok(Self::Asset(AssetKey { workspace, asset: name.parse()? })),
            "workflow" => Ok(Self::Workflow(WorkflowKey { workspace, workflow: name.parse()? })),
            "definition" => {
                let (slug, version) = name.split_once('/').ok_or_else(invalid)?;
                let key = WorkflowKey { workspace, workflow: slug.parse()? };
                let version = version.parse().map_err(|_| invalid())?;
                Ok(Self::Definition(key, DefinitionVersion::new(version)))
            }
            _ => Err(invalid()),
        }
    }
}

impl Serialize for AggregateId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AggregateId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::id::deserialize_text(deserializer)
    }
}

/// Says where slots live: versioned, the same for every process. New runs spread over all shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardMap {
    /// Counts the changes of the table.
    pub version: u64,
    /// How many shards there are, 1–1,024; they are numbered from 0.
    pub shards: u16,
    /// The shard of each of the [`SLOTS`] slots.
    pub slots: Vec<ShardId>,
}

impl ShardMap {
    /// Spreads the slots evenly over `shards` shards.
    ///
    /// # Errors
    /// A count outside 1–1,024 is refused.
    pub fn even(shards: u16) -> Result<Self, InvalidName> {
        if shards == 0 || shards > ShardId::COUNT_MAX {
            return Err(InvalidName::new("shard count", &shards.to_string(), "a number from 1 to 1024"));
        }
        let slots = (0..SLOTS).map(|slot| ShardId::new(slot % shards)).collect::<Result<_, _>>()?;
        Ok(Self { version: 1, shards, slots })
    }

    /// Returns the shard that decides for `aggregate`. `None`: its run id names a shard there is not, or it is a
    /// definition, which is adopted wherever it is used.
    pub fn shard_of(&self, aggregate: &AggregateId) -> Option<ShardId> {
        match aggregate {
            AggregateId::Run(id) => Some(id.shard()).filter(|shard| shard.number() < self.shards),
            AggregateId::Definition(..) => None,
            AggregateId::Asset(_) | AggregateId::Workflow(_) => {
                aggregate.slot().and_then(|slot| self.slots.get(usize::from(slot)).copied())
            }
        }
    }

    /// Returns a shard for a new run, from the caller's randomness.
    pub fn spread(&self, randomness: u64) -> ShardId {
        ShardId::new((randomness % u64::from(self.shards.max(1))) as u16).expect("the count is at most 1,024")
    }
}
