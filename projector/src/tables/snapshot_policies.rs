//! `snapshot_policies`: of which definition versions' runs snapshots are kept, as each shard has adopted them.

use deadpool_postgres::Transaction;
use headwater_core::{DefinitionVersion, Json, Sequence, ShardId, Slug, WorkspaceId};

use super::{Kind, Table};
use crate::columns::{bigint, integer, smallint};
use crate::write::{WriteError, column, execute};

/// The table.
pub const TABLE: Table = Table {
    name: "snapshot_policies",
    columns: &[
        Kind::Smallint.named("shard"),
        Kind::Integer.named("version"),
        Kind::Bigint.named("sequence"),
        Kind::Integer.named("ordinal"),
        Kind::Text.named("workspace"),
        Kind::Text.named("workflow"),
        Kind::Text.named("document"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRow {
    pub shard: ShardId,
    pub workspace: WorkspaceId,
    pub workflow: Slug,
    pub version: DefinitionVersion,
    /// Of the commit with which the shard has it.
    pub sequence: Sequence,
    pub ordinal: i32,
    /// The definition, or what stands for it in the store of values.
    pub document: Json,
}

/// Writes rows that may be there: a version never changes, and the first commit counts.
pub(crate) async fn write(transaction: &Transaction<'_>, rows: &[PolicyRow]) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!("{} ON CONFLICT DO NOTHING", TABLE.insert_from_arrays());
    execute(
        transaction,
        &sql,
        &[
            &column(rows, |row| smallint(row.shard)),
            &column(rows, |row| integer(row.version.get())),
            &column(rows, |row| bigint(row.sequence.get())),
            &column(rows, |row| row.ordinal),
            &column(rows, |row| row.workspace.as_str()),
            &column(rows, |row| row.workflow.as_str()),
            &column(rows, |row| row.document.as_str()),
        ],
    )
    .await
}
