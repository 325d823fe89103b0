//! `projection_cursors`: how far each shard is projected.

use deadpool_postgres::{Object, Transaction};
use headwater_core::{Sequence, ShardId};
use tokio_postgres::Row;

use super::{Kind, Table};
use crate::batch::{Batch, Cursor};
use crate::columns::{Time, bigint, smallint};
use crate::database::DatabaseError;
use crate::write::WriteError;

/// The table.
pub const TABLE: Table = Table {
    name: "projection_cursors",
    columns: &[
        Kind::Smallint.named("shard"),
        Kind::Bigint.named("sequence"),
        Kind::Time.maybe("time"),
        Kind::Text.named("bundle_hash"),
    ],
};

/// Reads every cursor.
pub(crate) const READ: &str = "SELECT shard, sequence, time, bundle_hash FROM projection_cursors ORDER BY shard";

/// Reads the cursors of shards, making those that are not there yet.
pub(crate) async fn load(connection: &Object, shards: &[ShardId]) -> Result<Vec<Cursor>, DatabaseError> {
    let numbers: Vec<i16> = shards.iter().map(|shard| smallint(*shard)).collect();
    let make = "INSERT INTO projection_cursors (shard, sequence, bundle_hash)
                SELECT shard, 0, '' FROM unnest($1::int2[]) AS s (shard) ON CONFLICT DO NOTHING";
    connection.execute(make, &[&numbers]).await?;
    let read =
        "SELECT shard, sequence, time, bundle_hash FROM projection_cursors WHERE shard = ANY ($1) ORDER BY shard";
    let rows = connection.query(read, &[&numbers]).await?;
    Ok(rows.iter().filter_map(cursor_of).collect())
}

/// Moves the cursors of a batch, from exactly where it begins.
pub(crate) async fn advance(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), WriteError> {
    // The look at `tableoid`: a rebuild may have put another table under this name while the statement waited for it.
    let sql = "UPDATE projection_cursors c
               SET sequence = u.sequence, time = coalesce(u.time, c.time), bundle_hash = u.hash
               FROM unnest($1::int2[], $2::int8[], $3::int8[], $4::timestamptz[], $5::text[])
                   AS u (shard, expected, sequence, time, hash)
               WHERE c.shard = u.shard AND c.sequence = u.expected AND c.tableoid = to_regclass('projection_cursors')";
    let (mut shards, mut expected, mut sequences, mut times, mut hashes) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (shard, advance) in batch.advances() {
        let cursor = advance.cursor(*shard);
        shards.push(smallint(*shard));
        expected.push(bigint(advance.from.get()));
        sequences.push(bigint(cursor.sequence.get()));
        times.push(cursor.time.map(Time));
        hashes.push(cursor.hash);
    }
    let statement = transaction.prepare_cached(sql).await?;
    let moved = transaction.execute(&statement, &[&shards, &expected, &sequences, &times, &hashes]).await?;
    if moved == shards.len() as u64 { Ok(()) } else { Err(WriteError::CursorMoved) }
}

/// Reads a row of `projection_cursors`. `None`: the shard is not a number of one.
pub(crate) fn cursor_of(row: &Row) -> Option<Cursor> {
    Some(Cursor {
        shard: shard_of(row)?,
        sequence: Sequence::new(row.get::<_, i64>("sequence").unsigned_abs()),
        time: row.get::<_, Option<Time>>("time").map(|time| time.0),
        hash: row.get("bundle_hash"),
    })
}

/// Reads the shard of a row. `None`: it is not a number of one.
pub(crate) fn shard_of(row: &Row) -> Option<ShardId> {
    u16::try_from(row.get::<_, i16>("shard")).ok().and_then(|number| ShardId::new(number).ok())
}
