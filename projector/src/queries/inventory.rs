//! What a workflow makes and uses: `GET /workflows/:slug/assets` and `…/:assetId/history`, as users' programs read them.

use std::collections::BTreeMap;

use headwater_core::{AssetId, Json, PartitionKey, RunId, Slug};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::{Moment, Reads, View, json, json_if, moment, moment_if, number, page_size};
use crate::database::DatabaseError;
use crate::tables::EdgeRole;
use crate::tables::assets::key_of;

/// The assets that the current version of a workflow declares, by id.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    pub assets: Vec<InventoryAsset>,
}

/// An asset as one workflow sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryAsset {
    pub asset_id: String,
    pub producers: Vec<DeclaredStep>,
    pub consumers: Vec<DeclaredStep>,
    /// Recorded last, of whatever partition and by whatever workflow.
    pub latest: Option<AssetVersion>,
    /// There is a version.
    pub available: bool,
}

/// A step that produces or consumes the asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredStep {
    pub step_id: String,
    /// Its id where it has no name.
    pub step_name: String,
    pub step_type: String,
    pub schema: Option<Json>,
    pub freshness: Option<Json>,
    pub partitioning: Option<Json>,
    pub auto_materialize: Option<Json>,
}

/// A version of an asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetVersion {
    pub version: u64,
    pub run_id: RunId,
    /// Null while the run's own journal is not projected that far, and as of a moment: runs are read as they are now.
    pub run_status: Option<String>,
    pub step_id: String,
    pub step_name: String,
    /// Null as `run_status` is.
    pub step_status: Option<String>,
    pub produced_at: Moment,
    pub partition_key: Option<String>,
    pub payload: Json,
    pub schema: Option<Json>,
    pub freshness: Option<Json>,
    pub run_started_at: Moment,
    /// Null as of a moment, too.
    pub run_completed_at: Option<Moment>,
    /// Who started the run, where they said so: `{claimed}`.
    pub run_started_by: Option<Json>,
    pub inputs: Vec<VersionInput>,
}

/// A version that a version was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInput {
    pub asset_id: String,
    pub partition_key: Option<String>,
    pub version: u64,
}

/// What a row of `asset_edges` as `e` says: which asset, in which role, and the step as [`declared`] reads it.
pub(super) const DECLARED: &str = "
    e.asset_id, e.role, e.node_id, coalesce(e.node_name, e.node_id) AS node_name, e.kind, e.schema, e.freshness,
    e.partitioning, e.auto_materialize ";

/// A version with what the run's journal and the definition say of it; to be continued with `WHERE`.
pub(super) const VERSION: &str = "
    SELECT v.version, v.run_id, place.node_id, v.produced_at, v.recorded_at, nullif(v.partition, '') AS partition,
           v.payload, v.schema, v.freshness, v.run_started_at, v.workflow, v.definition_version, v.asset_key,
           v.revision, v.shard, v.sequence,
           r.status AS run_status, r.completed_at, r.started_by, coalesce(n.name, place.node_id) AS node_name, t.status AS node_status,
           i.inputs
    FROM asset_versions v
    LEFT JOIN workflow_runs r ON r.run_id = v.run_id
    CROSS JOIN LATERAL (SELECT split_part(v.node_id, '@', 1) AS node_id,
                               coalesce(nullif(split_part(v.node_id, '@', 2), ''), '0')::bigint AS branch) place
    LEFT JOIN nodes n ON (n.workspace, n.workflow, n.version, n.node_id)
                       = (v.workspace, v.workflow, v.definition_version, place.node_id)
    LEFT JOIN LATERAL (SELECT status FROM traces
                       WHERE run_id = v.run_id AND node_id = place.node_id AND branch = place.branch
                       ORDER BY attempt DESC LIMIT 1) t ON true
    LEFT JOIN LATERAL (
        SELECT json_agg(json_build_object('assetId', input_asset_id, 'partitionKey', nullif(input_partition, ''),
                                          'version', input_version) ORDER BY ordinal)::text AS inputs
        FROM asset_inputs i
        WHERE (i.workspace, i.asset_key, i.partition, i.version)
            = (v.workspace, v.asset_key, v.partition, v.version)) i ON true ";

impl Reads {
    /// Returns what the version of a workflow that starts makes and uses. `None`: there is no such workflow.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`], here and below.
    pub async fn workflow_assets(&self, view: &View, slug: &Slug) -> Result<Option<Inventory>, DatabaseError> {
        let sql = format!(
            "SELECT e.asset_key, {DECLARED}
             FROM {} w
             LEFT JOIN asset_edges e ON (e.workspace, e.workflow, e.version) = (w.workspace, w.slug, w.started_version)
             WHERE w.workspace = $1 AND w.slug = $2 ORDER BY e.asset_key, e.ordinal",
            view.workflows(2)
        );
        let workspace = view.workspace.as_str();
        let edges = self.rows(&sql, &view.parameters(&[&workspace, &slug.as_str()])).await?;
        if edges.is_empty() {
            return Ok(None);
        }
        let mut assets: BTreeMap<String, InventoryAsset> = BTreeMap::new();
        // A workflow without edges is one row of nulls.
        for edge in edges.iter().filter(|edge| edge.get::<_, Option<&str>>("asset_key").is_some()) {
            let asset = assets.entry(edge.get("asset_key")).or_insert_with(|| InventoryAsset {
                asset_id: edge.get("asset_id"),
                producers: Vec::new(),
                consumers: Vec::new(),
                latest: None,
                available: false,
            });
            let is_producer = edge.get::<_, &str>("role") == EdgeRole::Produces.as_str();
            if is_producer { &mut asset.producers } else { &mut asset.consumers }.push(declared(edge));
        }
        let keys: Vec<&str> = assets.keys().map(String::as_str).collect();
        let sql = format!(
            "{VERSION} JOIN {} a ON (a.workspace, a.asset_key, a.latest_partition, a.latest_version)
                                  = (v.workspace, v.asset_key, v.partition, v.version)
             WHERE a.workspace = $1 AND a.asset_key = ANY ($2)",
            view.assets(2)
        );
        let latest = self.rows(&sql, &view.parameters(&[&workspace, &keys])).await?;
        for row in &latest {
            if let Some(asset) = assets.get_mut(row.get::<_, &str>("asset_key")) {
                (asset.latest, asset.available) = (Some(version(view, row)), true);
            }
        }
        Ok(Some(Inventory { assets: assets.into_values().collect() }))
    }

    /// Returns the versions of an asset that the version of a workflow that starts declares, newest first, at most 100, of one
    /// partition or of all. `None`: there is no such workflow, or it does not declare the asset.
    pub async fn asset_history(
        &self,
        view: &View,
        slug: &Slug,
        asset: &AssetId,
        partition: Option<&PartitionKey>,
        limit: u32,
    ) -> Result<Option<Vec<AssetVersion>>, DatabaseError> {
        let key = key_of(asset);
        let sql = format!(
            "SELECT FROM {} w
             JOIN asset_edges e ON (e.workspace, e.workflow, e.version) = (w.workspace, w.slug, w.started_version)
             WHERE w.workspace = $1 AND w.slug = $2 AND e.asset_key = $3 LIMIT 1",
            view.workflows(3)
        );
        let (workspace, slug) = (view.workspace.as_str(), slug.as_str());
        if self.rows(&sql, &view.parameters(&[&workspace, &slug, &key])).await?.is_empty() {
            return Ok(None);
        }
        let rows = self.versions(view, &key, partition, None, limit).await?;
        Ok(Some(rows.iter().map(|row| version(view, row)).collect()))
    }

    /// Returns up to which revision of an asset its versions are seen.
    async fn last_revision(&self, view: &View, key: &str) -> Result<i64, DatabaseError> {
        if view.as_of.is_none() {
            return Ok(i64::MAX);
        }
        let sql = format!(
            "SELECT coalesce(a.latest_revision, 0) FROM {} a WHERE a.workspace = $1 AND a.asset_key = $2",
            view.assets(2)
        );
        let rows = self.rows(&sql, &view.parameters(&[&view.workspace.as_str(), &key])).await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    /// Reads versions of an asset, newest first, from below an asset revision.
    pub(super) async fn versions(
        &self,
        view: &View,
        key: &str,
        partition: Option<&PartitionKey>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Row>, DatabaseError> {
        let last = self.last_revision(view, key).await?;
        let before = before.unwrap_or(i64::MAX).min(last.saturating_add(1));
        let (workspace, limit) = (view.workspace.as_str(), page_size(limit));
        let these = "WHERE v.workspace = $1 AND v.asset_key = $2 AND v.revision < $4";
        match partition {
            None => {
                let sql = format!("{VERSION} {these} ORDER BY v.revision DESC LIMIT $3");
                self.rows(&sql, &[&workspace, &key, &limit, &before]).await
            }
            // By version, not revision: the same order, and the primary key leads straight to it.
            Some(partition) => {
                let sql = format!("{VERSION} {these} AND v.partition = $5 ORDER BY v.version DESC LIMIT $3");
                self.rows(&sql, &[&workspace, &key, &limit, &before, &partition.as_str()]).await
            }
        }
    }
}

pub(super) fn declared(row: &Row) -> DeclaredStep {
    DeclaredStep {
        step_id: row.get("node_id"),
        step_name: row.get("node_name"),
        step_type: row.get("kind"),
        schema: json_if(row, "schema"),
        freshness: json_if(row, "freshness"),
        partitioning: json_if(row, "partitioning"),
        auto_materialize: json_if(row, "auto_materialize"),
    }
}

pub(super) fn version(view: &View, row: &Row) -> AssetVersion {
    let is_now = view.as_of.is_none();
    let inputs = row.get::<_, Option<&str>>("inputs").and_then(|text| serde_json::from_str(text).ok());
    AssetVersion {
        version: number(row, "version"),
        run_id: RunId::from_uuid(row.get("run_id")),
        run_status: row.get::<_, Option<String>>("run_status").filter(|_| is_now),
        step_id: row.get("node_id"),
        step_name: row.get("node_name"),
        step_status: row.get::<_, Option<String>>("node_status").filter(|_| is_now),
        produced_at: moment(row, "produced_at"),
        partition_key: row.get("partition"),
        payload: json(row, "payload"),
        schema: json_if(row, "schema"),
        freshness: json_if(row, "freshness"),
        run_started_at: moment(row, "run_started_at"),
        run_completed_at: moment_if(row, "completed_at").filter(|_| is_now),
        run_started_by: json_if(row, "started_by"),
        inputs: inputs.unwrap_or_default(),
    }
}
