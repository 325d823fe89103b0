//! `dead_events`: what cannot be projected, with a reason.

use bytes::Bytes;
use deadpool_postgres::Transaction;
use headwater_core::{Sequence, ShardId};

use super::{Kind, Table};
use crate::columns::{bigint, smallint};
use crate::write::{CopyRows, WriteError, printable};

/// The table.
pub const TABLE: Table = Table {
    name: "dead_events",
    columns: &[
        Kind::Smallint.named("shard"),
        Kind::Bigint.named("sequence"),
        Kind::Integer.named("ordinal"),
        Kind::Text.named("reason"),
        Kind::Bytea.named("raw"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadRow {
    pub shard: ShardId,
    pub sequence: Sequence,
    /// Of the commit in its bundle, or [`DeadRow::WHOLE_BUNDLE`].
    pub ordinal: i32,
    pub reason: String,
    pub raw: Bytes,
}

impl DeadRow {
    /// The ordinal that stands for the bundle as a whole.
    pub const WHOLE_BUNDLE: i32 = -1;
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, dead: &[DeadRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, dead.len() * 1024);
    for event in dead {
        rows.row()
            .smallint(smallint(event.shard))
            .bigint(bigint(event.sequence.get()))
            .integer(event.ordinal)
            .text(&printable(&event.reason))
            .bytes(&event.raw);
    }
    rows.write(transaction).await
}
