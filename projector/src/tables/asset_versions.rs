//! `asset_versions`: every version of every asset, with where it came from.

use deadpool_postgres::Transaction;
use headwater_core::{
    Attempt, DefinitionVersion, Json, NodeAddress, Revision, RunId, Sequence, ShardId, Slug, Timestamp, Version,
    WorkspaceId,
};

use super::{Kind, Table};
use crate::columns::{bigint, integer, smallint};
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "asset_versions",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("asset_key"),
        Kind::Text.named("partition"),
        Kind::Bigint.named("version"),
        Kind::Bigint.named("revision"),
        Kind::Bigint.named("sequence"),
        Kind::Time.named("produced_at"),
        Kind::Time.named("recorded_at"),
        Kind::Time.named("run_started_at"),
        Kind::Uuid.named("run_id"),
        Kind::Integer.named("attempt"),
        Kind::Integer.named("definition_version"),
        Kind::Smallint.named("shard"),
        Kind::Text.named("workflow"),
        Kind::Text.named("node_id"),
        Kind::Text.named("payload"),
        Kind::Text.maybe("schema"),
        Kind::Text.maybe("freshness"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    pub workspace: WorkspaceId,
    /// The asset's id in lower case.
    pub key: String,
    /// Empty for the unpartitioned asset.
    pub partition: String,
    pub version: Version,
    pub revision: Revision,
    pub shard: ShardId,
    pub sequence: Sequence,
    pub recorded_at: Timestamp,
    pub produced_at: Timestamp,
    pub run_started_at: Timestamp,
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub workflow: Slug,
    pub definition: DefinitionVersion,
    pub payload: Json,
    pub schema: Option<Json>,
    pub freshness: Option<Json>,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, versions: &[VersionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, versions.iter().map(|version| version.payload.len_bytes() + 400).sum());
    for version in versions {
        rows.row()
            .text(version.workspace.as_str())
            .text(&version.key)
            .text(&version.partition)
            .bigint(bigint(version.version.get()))
            .bigint(bigint(version.revision.get()))
            .bigint(bigint(version.sequence.get()))
            .time(version.produced_at)
            .time(version.recorded_at)
            .time(version.run_started_at)
            .uuid(version.run.as_uuid())
            .integer(integer(version.attempt.get()))
            .integer(integer(version.definition.get()))
            .smallint(smallint(version.shard))
            .text(version.workflow.as_str())
            .text(&version.node.text())
            .text(version.payload.as_str())
            .text_or_null(version.schema.as_ref().map(|json| json.as_str()))
            .text_or_null(version.freshness.as_ref().map(|json| json.as_str()));
    }
    rows.write(transaction).await
}
