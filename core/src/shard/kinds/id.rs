//! What an aggregate is called, and which shard decides for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::{ActionKey, AssetKey, ShardMap, WorkflowKey, slot_of};
use crate::memo::MemoKey;
use crate::{DefinitionVersion, InvalidName, RunId, ShardId};

/// Names one aggregate. Text forms: `run/<uuid>`, `asset/<workspace>/<asset>`, `workflow/<workspace>/<slug>`,
/// `action/<workspace>/<slug>`, `memo/<number>`, `definition/<workspace>/<slug>/<version>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateId {
    Run(RunId),
    Asset(AssetKey),
    Workflow(WorkflowKey),
    Action(ActionKey),
    Memo(MemoKey),
    /// A definition version that this shard has adopted because one of its runs uses it.
    Definition(WorkflowKey, DefinitionVersion),
}

impl AggregateId {
    /// Returns the slot of a long-lived aggregate; runs carry their shard in their id instead.
    pub fn slot(&self) -> Option<u16> {
        match self {
            Self::Run(_) | Self::Definition(..) => None,
            // Asset ids are unique ignoring case, so their slot ignores case too.
            Self::Asset(key) => Some(slot_of(&[key.workspace.as_str(), &key.asset.as_str().to_ascii_lowercase()])),
            Self::Workflow(key) => Some(slot_of(&[key.workspace.as_str(), key.workflow.as_str()])),
            Self::Memo(memo) => Some(slot_of(&["memo", &memo.to_string()])),
            Self::Action(key) => Some(slot_of(&["action", key.workspace.as_str(), key.action.as_str()])),
        }
    }
}

impl ShardMap {
    /// Returns the shard that decides for `aggregate`. `None`: its run id names a shard there is not, or it is a
    /// definition, which is adopted wherever it is used.
    pub fn shard_of(&self, aggregate: &AggregateId) -> Option<ShardId> {
        match aggregate {
            AggregateId::Run(id) => Some(id.shard()).filter(|shard| shard.number() < self.shards),
            AggregateId::Definition(..) => None,
            AggregateId::Asset(_) | AggregateId::Workflow(_) | AggregateId::Action(_) | AggregateId::Memo(_) => {
                aggregate.slot().and_then(|slot| self.slots.get(usize::from(slot)).copied())
            }
        }
    }
}

impl fmt::Display for AggregateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(id) => write!(f, "run/{id}"),
            Self::Asset(key) => write!(f, "asset/{}/{}", key.workspace, key.asset),
            Self::Workflow(key) => write!(f, "workflow/{}/{}", key.workspace, key.workflow),
            Self::Memo(memo) => write!(f, "memo/{memo}"),
            Self::Action(key) => write!(f, "action/{}/{}", key.workspace, key.action),
            Self::Definition(key, version) => write!(f, "definition/{}/{}/{version}", key.workspace, key.workflow),
        }
    }
}

impl FromStr for AggregateId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid =
            || InvalidName::new("aggregate id", text, "run/…, asset/…, workflow/…, action/…, memo/… or definition/…");
        let (kind, rest) = text.split_once('/').ok_or_else(invalid)?;
        if kind == "run" {
            return Ok(Self::Run(rest.parse()?));
        }
        if kind == "memo" {
            let number = rest.parse().ok().filter(|number: &u16| number.to_string() == rest);
            return number.and_then(MemoKey::numbered).map(Self::Memo).ok_or_else(invalid);
        }
        let (workspace, name) = rest.split_once('/').ok_or_else(invalid)?;
        let workspace = workspace.parse()?;
        match kind {
            "asset" => Ok(Self::Asset(AssetKey { workspace, asset: name.parse()? })),
            "workflow" => Ok(Self::Workflow(WorkflowKey { workspace, workflow: name.parse()? })),
            "action" => Ok(Self::Action(ActionKey { workspace, action: name.parse()? })),
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
