//! How far the projection is, and what it could not take.

use std::time::Duration;

use headwater_core::shard::Position;
use headwater_core::{Sequence, ShardId};
use serde::Serialize;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::{Moment, Reads};
use crate::batch::Cursor;
use crate::columns::{Time, smallint};
use crate::database::DatabaseError;
use crate::tail::WaitError;

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

const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(50);

impl Reads {
    /// Returns how far every shard is projected.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`], here and in every other read.
    pub async fn cursors(&self) -> Result<Vec<CursorRow>, DatabaseError> {
        let sql = "SELECT shard, sequence, time, bundle_hash FROM projection_cursors ORDER BY shard";
        let row = |cursor: Cursor| CursorRow {
            shard: cursor.shard,
            sequence: cursor.sequence,
            time: cursor.time.map(Moment),
        };
        Ok(self.rows(sql, &[]).await?.iter().filter_map(cursor_of).map(row).collect())
    }

    /// Waits until what was written at `position` can be read, by asking the database: for a process that runs no
    /// projector of its own. One that does has [`crate::Progress::wait_for`], which costs nothing.
    ///
    /// # Errors
    /// See [`WaitError`]; the outer one is [`DatabaseError::Unavailable`].
    pub async fn wait_for(
        &self,
        position: Position,
        deadline: Duration,
    ) -> Result<Result<(), WaitError>, DatabaseError> {
        let (deadline, mut poll) = (Instant::now() + deadline, POLL_MIN);
        let sql = "SELECT sequence FROM projection_cursors WHERE shard = $1";
        loop {
            let rows = self.rows(sql, &[&smallint(position.shard)]).await?;
            let reached = rows.first().map(|row| row.get::<_, i64>(0).unsigned_abs());
            if reached.is_some_and(|reached| reached >= position.sequence.get()) {
                return Ok(Ok(()));
            }
            if Instant::now() + poll > deadline {
                return Ok(Err(WaitError::DeadlinePassed));
            }
            tokio::time::sleep(poll).await;
            poll = (poll * 2).min(POLL_MAX);
        }
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

fn shard_of(row: &Row) -> Option<ShardId> {
    u16::try_from(row.get::<_, i16>("shard")).ok().and_then(|number| ShardId::new(number).ok())
}

/// Reads a row of `projection_cursors`. `None`: the shard is not a number of one.
pub(crate) fn cursor_of(row: &Row) -> Option<Cursor> {
    Some(Cursor {
        shard: shard_of(row)?,
        sequence: Sequence::new(super::number(row, "sequence")),
        time: row.get::<_, Option<Time>>("time").map(|time| time.0),
        hash: row.get("bundle_hash"),
    })
}
