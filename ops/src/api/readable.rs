//! When what was written can be read: an answer can wait for that, and always says whether it did.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use headwater_core::shard::{AggregateId, AssetKey, Position, WorkflowKey};
use headwater_core::{AssetId, DefinitionVersion, Json, ShardId, WorkspaceId};
use serde_json::Value;

use super::asked::Asked;
use super::token::Token;
use super::{Api, Problem};

/// How long an answer may wait until what was written can be read.
const READABLE_MAX: Duration = Duration::from_secs(10);
/// How long it does where the run's end was waited for and nobody says otherwise.
const AFTER_WAIT: Duration = Duration::from_secs(2);
/// How many versions are remembered with the shards of their assets.
const VERSIONS_MAX: usize = 4_096;

/// On which shards the assets of versions live. A version never changes, so what is here stays true.
#[derive(Debug, Default)]
pub struct AssetShards(RwLock<HashMap<VersionKey, Arc<[ShardId]>>>);

type VersionKey = (WorkflowKey, DefinitionVersion);

/// Takes `readable`: how long the answer may wait until reads see what was written.
///
/// # Errors
/// [`super::Code::InvalidParameter`].
pub fn asked(asked: &mut Asked, waits: bool) -> Result<Duration, Problem> {
    let usual = if waits { AFTER_WAIT } else { Duration::ZERO };
    Ok(asked.span("readable", READABLE_MAX)?.unwrap_or(usual))
}

impl Api {
    /// Waits until reads see what the token stands for, and says whether they do. Without time to wait it says no,
    /// and asks nobody.
    pub async fn is_readable(&self, token: &Token, within: Duration) -> bool {
        if within.is_zero() {
            return false;
        }
        tokio::select! {
            () = self.stopping.cancelled() => false,
            seen = self.see(token, within) => seen.is_ok(),
        }
    }

    /// Returns the ends of the journals that hold the assets of a version: what is recorded of them stands before.
    /// `None`: the broker does not say.
    pub async fn asset_ends(&self, key: &WorkflowKey, version: DefinitionVersion) -> Option<Vec<Position>> {
        let shards = match self.workflows.asset_shards.of(key, version) {
            Some(shards) => shards,
            None => {
                let document = self.workflows.definitions.get(key, version).await.ok()??;
                let shards = self.shards_of(&key.workspace, declared(&document));
                self.workflows.asset_shards.learn(key, version, shards.into_iter().collect())
            }
        };
        self.shards.ends_of(shards.iter()).await
    }

    /// Returns the shards of these assets.
    pub fn shards_of(&self, workspace: &WorkspaceId, assets: impl IntoIterator<Item = AssetId>) -> BTreeSet<ShardId> {
        let key = |asset| AggregateId::Asset(AssetKey { workspace: workspace.clone(), asset });
        assets.into_iter().filter_map(|asset| self.shards.of(&key(asset))).collect()
    }
}

impl AssetShards {
    fn of(&self, key: &WorkflowKey, version: DefinitionVersion) -> Option<Arc<[ShardId]>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(key.clone(), version)).cloned()
    }

    fn learn(&self, key: &WorkflowKey, version: DefinitionVersion, shards: Arc<[ShardId]>) -> Arc<[ShardId]> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= VERSIONS_MAX {
            known.clear();
        }
        known.insert((key.clone(), version), Arc::clone(&shards));
        shards
    }
}

/// Lists the assets that an applied document names.
fn declared(document: &Json) -> BTreeSet<AssetId> {
    let document = document.to_value();
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let nodes = ["steps", "nodes"].into_iter().flat_map(|form| list(&document, form));
    let contracts = nodes.flat_map(|node| ["produces", "consumes"].map(|side| list(&node, side)));
    contracts.flatten().filter_map(|contract| contract["assetId"].as_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assets_of_a_document_are_those_its_nodes_make_and_use() {
        let document = serde_json::json!({"slug": "w", "nodes": [
            {"id": "a", "produces": [{"assetId": "made.one"}, {"assetId": "made.two"}]},
            {"id": "b", "consumes": [{"assetId": "used"}]},
            {"id": "c"},
        ]});
        let named: Vec<_> = declared(&Json::of(&document)).into_iter().map(|asset| asset.to_string()).collect();
        assert_eq!(named, ["made.one", "made.two", "used"]);
    }
}
