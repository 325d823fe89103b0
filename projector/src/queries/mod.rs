//! Typed reads.

use headwater_core::{Sequence, ShardId};
use tokio_postgres::Row;

use crate::batch::Cursor;
use crate::columns::Time;

/// Reads a row of `projection_cursors`. `None`: the shard is not a number of one.
pub(crate) fn cursor_of(row: &Row) -> Option<Cursor> {
    let shard = u16::try_from(row.get::<_, i16>("shard")).ok().and_then(|number| ShardId::new(number).ok())?;
    Some(Cursor {
        shard,
        sequence: Sequence::new(row.get::<_, i64>("sequence").unsigned_abs()),
        time: row.get::<_, Option<Time>>("time").map(|time| time.0),
        hash: row.get("bundle_hash"),
    })
}
