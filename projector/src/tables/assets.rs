//! `assets`: every asset, with the version that was recorded last, and since when there is the asset.

use deadpool_postgres::Transaction;
use headwater_core::shard::AssetKey;
use headwater_core::{AssetId, Revision, Sequence, ShardId, Timestamp, Version, WorkspaceId};
use rustc_hash::FxHashMap;
use tokio_postgres::types::ToSql;

use super::{Kind, Table};
use crate::columns::{Time, bigint, smallint};
use crate::write::{WriteError, column, execute};

/// The table.
pub const TABLE: Table = Table {
    name: "assets",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("asset_key"),
        Kind::Text.named("asset_id"),
        Kind::Bigint.maybe("latest_revision"),
        Kind::Text.maybe("latest_partition"),
        Kind::Bigint.maybe("latest_version"),
        Kind::Smallint.named("shard"),
        Kind::Bigint.named("sequence"),
        Kind::Time.named("known_at"),
    ],
};

/// A change of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetChange {
    pub workspace: WorkspaceId,
    /// The id in lower case.
    pub key: String,
    /// Kept only where the row is new.
    pub asset: AssetId,
    pub latest: Option<LatestVersion>,
    /// Kept only where the row is new.
    pub known: Known,
}

/// The commit that says that there is something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub shard: ShardId,
    pub sequence: Sequence,
    pub at: Timestamp,
}

/// The version of an asset that was recorded last.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestVersion {
    pub revision: Revision,
    /// Empty for the unpartitioned asset.
    pub partition: String,
    pub version: Version,
}

/// The changes of a batch, one for each asset, in the order of their first.
#[derive(Debug, Default)]
pub struct AssetChanges {
    rows: Vec<AssetChange>,
    index: FxHashMap<(WorkspaceId, String), usize>,
}

impl AssetChanges {
    /// Returns the changes.
    pub fn rows(&self) -> &[AssetChange] {
        &self.rows
    }

    /// Returns the change of an asset; `known` is the commit that says something of it.
    pub(crate) fn of(&mut self, key: &AssetKey, known: Known) -> &mut AssetChange {
        let lower = key_of(&key.asset);
        let at = *self.index.entry((key.workspace.clone(), lower)).or_insert_with_key(|(workspace, key_text)| {
            self.rows.push(AssetChange {
                workspace: workspace.clone(),
                key: key_text.clone(),
                asset: key.asset.clone(),
                latest: None,
                known,
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }
}

/// Returns what identifies an asset in its workspace: ids are unique ignoring case.
pub(crate) fn key_of(asset: &AssetId) -> String {
    asset.as_str().to_ascii_lowercase()
}

/// Writes changes of rows that may be there.
pub(crate) async fn write(transaction: &Transaction<'_>, changes: &[AssetChange]) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let later_wins = "ON CONFLICT (workspace, asset_key) DO UPDATE SET
                   latest_revision = coalesce(excluded.latest_revision, t.latest_revision),
                   latest_partition = coalesce(excluded.latest_partition, t.latest_partition),
                   latest_version = coalesce(excluded.latest_version, t.latest_version)";
    let sql = format!("{} {later_wins}", TABLE.insert_from_arrays());
    let workspaces = column(changes, |change| change.workspace.as_str());
    let keys = column(changes, |change| change.key.as_str());
    let ids = column(changes, |change| change.asset.as_str());
    let revisions = column(changes, |change| change.latest.as_ref().map(|latest| bigint(latest.revision.get())));
    let partitions = column(changes, |change| change.latest.as_ref().map(|latest| latest.partition.as_str()));
    let versions = column(changes, |change| change.latest.as_ref().map(|latest| bigint(latest.version.get())));
    let shards = column(changes, |change| smallint(change.known.shard));
    let sequences = column(changes, |change| bigint(change.known.sequence.get()));
    let times = column(changes, |change| Time(change.known.at));
    let latest: [&(dyn ToSql + Sync); 3] = [&revisions, &partitions, &versions];
    let known: [&(dyn ToSql + Sync); 3] = [&shards, &sequences, &times];
    let parameters: [&(dyn ToSql + Sync); 3] = [&workspaces, &keys, &ids];
    execute(transaction, &sql, &[parameters, latest, known].concat()).await
}
