//! How far the projection is, and what it could not take.

use headwater_core::shard::Position;
use headwater_core::{Sequence, ShardId};
use serde::Serialize;
use tokio_postgres::Row;

use super::{Moment, Reads};
use crate::batch::Cursor;
use crate::columns::smallint;
use crate::database::DatabaseError;
use crate::tables::cursors::{self, cursor_of, shard_of};

/// How far a shard is projected.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CursorRow {
    pub shard: ShardId,
    pub sequence: Sequence,
    /// Of the last commit.
    pub time: Option<Moment>,
}

/// A message, or a commit of one, that could not be projected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadEvent {
    pub shard: ShardId,
    pub sequence: Sequence,
    /// In its bundle; absent: the whole of it.
    pub ordinal: Option<u32>,
    pub reason: String,
    /// As it came, where it is text at all.
    pub raw: String,
}

impl Reads {
    /// Returns how far every shard is projected.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`], here and in every other read.
    pub async fn cursors(&self) -> Result<Vec<CursorRow>, DatabaseError> {
        let row = |cursor: Cursor| CursorRow {
            shard: cursor.shard,
            sequence: cursor.sequence,
            time: cursor.time.map(Moment),
        };
        Ok(self.cursor_rows().await?.into_iter().map(row).collect())
    }

    pub(crate) async fn cursor_rows(&self) -> Result<Vec<Cursor>, DatabaseError> {
        Ok(self.rows(cursors::READ, &[]).await?.iter().filter_map(cursor_of).collect())
    }

    /// Returns how many messages and commits could not be projected.
    pub async fn dead_event_count(&self) -> Result<u64, DatabaseError> {
        let rows = self.rows("SELECT count(*) FROM dead_events", &[]).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    /// Returns what could not be projected, behind a place, in journal order.
    pub async fn dead_events(
        &self,
        after: Option<(Position, i32)>,
        limit: u32,
    ) -> Result<Vec<DeadEvent>, DatabaseError> {
        let sql = "SELECT shard, sequence, ordinal, reason, raw FROM dead_events
                   WHERE (shard, sequence, ordinal) > ($1::int2, $2::int8, $3::int4)
                   ORDER BY shard, sequence, ordinal LIMIT $4";
        let (shard, sequence, ordinal) = match after {
            Some((position, ordinal)) => {
                (smallint(position.shard), crate::columns::bigint(position.sequence.get()), ordinal)
            }
            None => (-1, 0, 0),
        };
        let rows = self.rows(sql, &[&shard, &sequence, &ordinal, &super::page_size(limit)]).await?;
        Ok(rows.iter().filter_map(dead_event).collect())
    }
}

fn dead_event(row: &Row) -> Option<DeadEvent> {
    Some(DeadEvent {
        shard: shard_of(row)?,
        sequence: Sequence::new(super::number(row, "sequence")),
        ordinal: u32::try_from(row.get::<_, i32>("ordinal")).ok(),
        reason: row.get("reason"),
        raw: String::from_utf8_lossy(row.get("raw")).into_owned(),
    })
}
