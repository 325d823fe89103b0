//! How far the projection is, and what it could not take.

use headwater_core::shard::Position;
use headwater_core::{Sequence, ShardId};
use serde::Serialize;
use tokio_postgres::Row;

use super::{Moment, Reads};
use crate::batch::Cursor;
use crate::columns::smallint;
use crate::database::{Database, DatabaseError};
use crate::tables::ALL;
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

/// What keeps whoever connects as this user from writing the read models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteObstacles {
    /// The server stands by, or the session only reads.
    pub only_reads: bool,
    /// Tables that are not there.
    pub missing: Vec<String>,
    /// Tables that are there, and that the user may not write.
    pub denied: Vec<String>,
}

impl Reads {
    /// Returns whether the read models can be read: the schema has everything that this program asks for. Some migrations take long,
    /// and each shows as it is done.
    ///
    /// # Errors
    /// As every other read.
    pub async fn are_ready(&self) -> Result<bool, DatabaseError> {
        self.cursors().await?;
        let sql = "SELECT coalesce(max(version), 0)::int4 FROM refinery_schema_history";
        let rows = self.rows(sql, &[]).await?;
        if rows.first().is_none_or(|row| row.get::<_, i32>(0) < Database::newest_migration()) {
            return Ok(false);
        }
        let rows = self.rows(Database::IS_FILLED, &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Returns what a projector that connects as this one would find in its way. Nothing is written.
    ///
    /// # Errors
    /// As every other read.
    pub async fn write_obstacles(&self) -> Result<WriteObstacles, DatabaseError> {
        let sql = "SELECT name, pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS only_reads,
                          to_regclass(name) IS NULL AS missing,
                          bool_and(has_table_privilege(to_regclass(name), right_of)) AS allowed
                   FROM unnest($1::text[]) AS n (name), unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r (right_of)
                   GROUP BY name ORDER BY name";
        let names: Vec<&str> = ALL.iter().map(|table| table.name).collect();
        let mut found = WriteObstacles::default();
        for row in self.rows(sql, &[&names]).await? {
            found.only_reads |= row.get::<_, bool>("only_reads");
            let name = row.get::<_, String>("name");
            match row.get::<_, Option<bool>>("allowed") {
                _ if row.get("missing") => found.missing.push(name),
                Some(true) => {}
                Some(false) | None => found.denied.push(name),
            }
        }
        Ok(found)
    }

    /// Returns how far every shard is projected.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`], here and in every other read.
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
