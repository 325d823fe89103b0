//! What long-lived aggregates are called, and where they live.

use serde::{Deserialize, Serialize};

use crate::{AssetId, InvalidName, ShardId, Slug, WorkspaceId};

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

/// A reusable action in its workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionKey {
    pub workspace: WorkspaceId,
    pub action: Slug,
}

/// How many slots long-lived aggregates hash to.
pub const SLOTS: u16 = 1024;

/// Returns the slot that a name hashes to.
pub(crate) fn slot_of(parts: &[&str]) -> u16 {
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

    /// Returns a shard for a new run, from the caller's randomness.
    pub fn spread(&self, randomness: u64) -> ShardId {
        ShardId::new((randomness % u64::from(self.shards.max(1))) as u16).expect("the count is at most 1,024")
    }
}
