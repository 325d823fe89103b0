//! `workflow_selections`: which version of a workflow was current since when. A row holds until the next of its workflow.

use deadpool_postgres::Transaction;
use headwater_core::{DefinitionVersion, Revision, Sequence, ShardId, Slug, Timestamp, WorkspaceId};

use super::{Kind, Table};
use crate::columns::{bigint, integer, smallint};
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "workflow_selections",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("slug"),
        Kind::Bigint.named("revision"),
        Kind::Integer.named("version"),
        Kind::Smallint.named("shard"),
        Kind::Bigint.named("sequence"),
        Kind::Time.named("selected_at"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionRow {
    pub workspace: WorkspaceId,
    pub slug: Slug,
    /// Of the commit: what it selects last is what could be seen.
    pub revision: Revision,
    pub version: DefinitionVersion,
    pub shard: ShardId,
    pub sequence: Sequence,
    pub selected_at: Timestamp,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, selections: &[SelectionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, selections.len() * 160);
    for selection in selections {
        rows.row()
            .text(selection.workspace.as_str())
            .text(selection.slug.as_str())
            .bigint(bigint(selection.revision.get()))
            .integer(integer(selection.version.get()))
            .smallint(smallint(selection.shard))
            .bigint(bigint(selection.sequence.get()))
            .time(selection.selected_at);
    }
    rows.write(transaction).await
}
