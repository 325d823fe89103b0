//! `workflow_pins`: to which version a workflow was pinned since when. A row holds until the next of its workflow.

use deadpool_postgres::Transaction;
use headwater_core::{DefinitionVersion, Revision, Sequence, ShardId, Slug, Timestamp, WorkspaceId};

use super::{Kind, Table};
use crate::columns::{bigint, integer, smallint};
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "workflow_pins",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("slug"),
        Kind::Bigint.named("revision"),
        Kind::Integer.maybe("version"),
        Kind::Smallint.named("shard"),
        Kind::Bigint.named("sequence"),
        Kind::Time.named("pinned_at"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRow {
    pub workspace: WorkspaceId,
    pub slug: Slug,
    /// Of the commit: what it says last is what could be seen.
    pub revision: Revision,
    /// `None`: it is pinned no longer.
    pub version: Option<DefinitionVersion>,
    pub shard: ShardId,
    pub sequence: Sequence,
    pub pinned_at: Timestamp,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, pins: &[PinRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, pins.len() * 160);
    for pin in pins {
        let row = rows.row().text(pin.workspace.as_str()).text(pin.slug.as_str()).bigint(bigint(pin.revision.get()));
        let row = match pin.version {
            Some(version) => row.integer(integer(version.get())),
            None => row.null(),
        };
        row.smallint(smallint(pin.shard)).bigint(bigint(pin.sequence.get())).time(pin.pinned_at);
    }
    rows.write(transaction).await
}
