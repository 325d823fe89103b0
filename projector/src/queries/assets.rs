//! The workspace's catalogue of assets.

use headwater_core::{AssetId, PartitionKey};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::inventory::{DECLARED, VERSION, declared, version};
use super::{AssetVersion, DeclaredStep, Moment, Reads, View, moment, moment_if, number, page_size, small_number};
use crate::columns::bigint;
use crate::database::DatabaseError;
use crate::tables::EdgeRole;
use crate::tables::assets::key_of;

/// An asset in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetSummary {
    pub asset_id: String,
    /// Recorded last; absent, like what belongs to it, while there is none.
    pub latest_version: Option<u64>,
    pub latest_partition_key: Option<String>,
    pub latest_produced_at: Option<Moment>,
    pub latest_workflow: Option<String>,
    pub available: bool,
}

/// A page of assets, by id ignoring case.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetPage {
    pub assets: Vec<AssetSummary>,
    /// The id the next page begins behind; absent: there is none.
    pub next: Option<String>,
}

/// An asset with everybody who makes and uses it, by the current version of their workflows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetDetail {
    pub asset_id: String,
    pub producers: Vec<EdgeSummary>,
    pub consumers: Vec<EdgeSummary>,
    pub latest: Option<RecordedVersion>,
    pub available: bool,
    /// The latest version of each partition, by key; the unpartitioned asset is one without a key.
    pub partitions: Vec<RecordedVersion>,
}

/// A step of some workflow that makes or uses the asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeSummary {
    pub workflow: String,
    pub workflow_version: u32,
    #[serde(flatten)]
    pub step: DeclaredStep,
    pub primary: bool,
}

/// A version with where it came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedVersion {
    #[serde(flatten)]
    pub version: AssetVersion,
    pub workflow: String,
    pub workflow_version: u32,
    pub recorded_at: Moment,
    /// Of the asset; orders the versions of all partitions.
    pub revision: u64,
    /// Where the journal records it: `shard:sequence`.
    pub position: String,
}

impl Reads {
    /// Returns a page of a view's assets whose id begins with `prefix`, ignoring case, behind `after`.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`], here and below.
    pub async fn assets(
        &self,
        view: &View,
        prefix: &str,
        after: Option<&AssetId>,
        limit: u32,
    ) -> Result<AssetPage, DatabaseError> {
        let page = format!(
            "(SELECT * FROM assets a
              WHERE a.workspace = $1 AND a.asset_key > $2 AND starts_with(a.asset_key, $3) AND {}
              ORDER BY a.asset_key LIMIT $4)",
            view.asset_is_there(4)
        );
        let sql = format!(
            "SELECT a.asset_id, a.latest_version, nullif(a.latest_partition, '') AS latest_partition,
                    v.produced_at, v.workflow
             FROM {} a
             LEFT JOIN asset_versions v ON (v.workspace, v.asset_key, v.partition, v.version)
                                         = (a.workspace, a.asset_key, a.latest_partition, a.latest_version)
             ORDER BY a.asset_key",
            view.latest_of(4, &page)
        );
        let (size, prefix) = (page_size(limit), prefix.to_ascii_lowercase());
        let after = after.map(key_of).unwrap_or_default();
        let (workspace, more) = (view.workspace.as_str(), size + 1);
        let rows = self.rows(&sql, &view.parameters(&[&workspace, &after, &prefix, &more])).await?;
        let assets: Vec<_> = rows.iter().take(size.unsigned_abs() as usize).map(summary).collect();
        let next = assets.last().filter(|_| rows.len() > assets.len()).map(|last| last.asset_id.clone());
        Ok(AssetPage { assets, next })
    }

    /// Returns an asset of a view. `None`: it was neither declared nor recorded.
    pub async fn asset(&self, view: &View, asset: &AssetId) -> Result<Option<AssetDetail>, DatabaseError> {
        let (key, workspace) = (key_of(asset), view.workspace.as_str());
        let edges = format!(
            "SELECT e.workflow, e.version, e.is_primary, {DECLARED}
             FROM asset_edges e
             JOIN {} w ON (w.workspace, w.slug, w.started_version) = (e.workspace, e.workflow, e.version)
             WHERE e.workspace = $1 AND e.asset_key = $2 ORDER BY e.workflow, e.ordinal",
            view.workflows(2)
        );
        let edges = self.rows(&edges, &view.parameters(&[&workspace, &key])).await?;
        let known = format!(
            "SELECT a.asset_id, a.latest_revision FROM {} a WHERE a.workspace = $1 AND a.asset_key = $2",
            view.assets(2)
        );
        let known = self.rows(&known, &view.parameters(&[&workspace, &key])).await?;
        let last: Option<i64> = known.first().and_then(|row| row.get("latest_revision"));
        let Some(spelling) = known.first().or(edges.first()) else { return Ok(None) };
        let mut own: Vec<&(dyn ToSql + Sync)> = vec![&workspace, &key];
        let until = if view.as_of.is_some() { "AND revision <= $3" } else { "" };
        own.extend(view.as_of.iter().map(|_| &last as &(dyn ToSql + Sync)));
        let partitions = format!(
            "{VERSION} JOIN (SELECT partition, max(version) AS version FROM asset_versions
                             WHERE workspace = $1 AND asset_key = $2 {until} GROUP BY partition) m
                       ON (m.partition, m.version) = (v.partition, v.version)
             WHERE v.workspace = $1 AND v.asset_key = $2 ORDER BY v.partition"
        );
        let rows = self.rows(&partitions, &own).await?;
        let partitions: Vec<_> = rows.iter().map(|row| recorded(view, row)).collect();
        let latest = partitions.iter().max_by_key(|version| version.revision).cloned();
        let of = |role: EdgeRole| {
            edges.iter().filter(move |edge| edge.get::<_, &str>("role") == role.as_str()).map(edge).collect()
        };
        Ok(Some(AssetDetail {
            asset_id: spelling.get("asset_id"),
            producers: of(EdgeRole::Produces),
            consumers: of(EdgeRole::Consumes),
            available: latest.is_some(),
            latest,
            partitions,
        }))
    }

    /// Returns versions of an asset, newest first, at most 100, of one partition or of all, from below an asset
    /// revision.
    pub async fn versions_of(
        &self,
        view: &View,
        asset: &AssetId,
        partition: Option<&PartitionKey>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RecordedVersion>, DatabaseError> {
        let rows = self.versions(view, &key_of(asset), partition, before.map(bigint), limit).await?;
        Ok(rows.iter().map(|row| recorded(view, row)).collect())
    }
}

fn summary(row: &Row) -> AssetSummary {
    let latest_version = row.get::<_, Option<i64>>("latest_version").map(i64::unsigned_abs);
    AssetSummary {
        asset_id: row.get("asset_id"),
        latest_version,
        latest_partition_key: row.get("latest_partition"),
        latest_produced_at: moment_if(row, "produced_at"),
        latest_workflow: row.get("workflow"),
        available: latest_version.is_some(),
    }
}

fn edge(row: &Row) -> EdgeSummary {
    EdgeSummary {
        workflow: row.get("workflow"),
        workflow_version: small_number(row, "version"),
        step: declared(row),
        primary: row.get("is_primary"),
    }
}

fn recorded(view: &View, row: &Row) -> RecordedVersion {
    RecordedVersion {
        version: version(view, row),
        workflow: row.get("workflow"),
        workflow_version: small_number(row, "definition_version"),
        recorded_at: moment(row, "recorded_at"),
        revision: number(row, "revision"),
        position: format!("{}:{}", row.get::<_, i16>("shard"), row.get::<_, i64>("sequence")),
    }
}
