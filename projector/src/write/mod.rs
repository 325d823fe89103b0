//! A batch's changes and its cursors, in one transaction.
//!
//! * The cursor moves first, from exactly where the batch begins, and under its row lock everything else: of two
//!   projectors only one applies a batch (`PRJ-1`), and after a restart nothing is applied twice.
//! * `synchronous_commit` is off for these transactions only. The cursor moves with the rows, so a crash that loses
//!   the last few hundred milliseconds loses both, and the same bundles are projected again from the journal, which is
//!   the truth.
//! * What is only ever inserted goes through `COPY`; what an earlier batch may have written, through `UNNEST` upserts.

mod append;
mod copy;
mod isolate;
mod replace;
mod upsert;

pub(crate) use replace::start_over;

use deadpool_postgres::{Object, Transaction};
use headwater_streams::complaints::Complaints;
use tokio_postgres::error::SqlState;

use crate::batch::{Batch, Cursor};
use crate::columns::{Time, bigint, smallint};
use crate::fold::Changes;
use headwater_core::ShardId;

/// Says why a batch is not (or perhaps not) in the tables.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Conflict: a cursor is not where the batch begins. Read the cursors again.
    #[error("another projector moved a cursor")]
    CursorMoved,
    /// Malformed: the database does not take these rows, now or ever.
    #[error("the database refuses a row ({code})")]
    Refused { code: String, source: tokio_postgres::Error },
    /// Indeterminate or Unavailable: the cursors, read again, tell.
    #[error("the database is out of reach")]
    Unavailable(#[source] tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for WriteError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code().filter(|code| blames_the_data(code)) {
            Some(code) => Self::Refused { code: code.code().to_owned(), source: error },
            None => Self::Unavailable(error),
        }
    }
}

/// Cardinality, data, integrity and program-limit errors: the same rows will always fail.
fn blames_the_data(code: &SqlState) -> bool {
    ["21", "22", "23", "54"].iter().any(|class| code.code().starts_with(class))
}

/// How much is taken for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// A row the rules say is new is new.
    Swift,
    /// It may be there already.
    Careful,
}

/// Writes a batch. What the database refuses goes to `dead_events`, commit by commit; everything else proceeds.
pub(crate) async fn write(connection: &mut Object, batch: &Batch) -> Result<(), WriteError> {
    match write_whole(connection, batch, Care::Swift).await {
        Err(WriteError::Refused { code, source }) => {
            static REFUSED: Complaints = Complaints::new();
            if let Some(count) = REFUSED.due() {
                tracing::warn!(code, error = %source, count, "a batch is refused: writing it piece by piece");
            }
            isolate::write_in_pieces(connection, batch).await
        }
        outcome @ (Ok(()) | Err(WriteError::CursorMoved | WriteError::Unavailable(_))) => outcome,
    }
}

async fn write_whole(connection: &mut Object, batch: &Batch, care: Care) -> Result<(), WriteError> {
    let transaction = begin(connection).await?;
    move_cursors(&transaction, batch).await?;
    apply(&transaction, batch.changes(), care).await?;
    transaction.commit().await?;
    Ok(())
}

async fn begin(connection: &mut Object) -> Result<Transaction<'_>, WriteError> {
    let transaction = connection.transaction().await?;
    transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
    Ok(transaction)
}

/// Writes rows inside a transaction or savepoint.
async fn apply(transaction: &Transaction<'_>, changes: &Changes, care: Care) -> Result<(), WriteError> {
    // First of all: it speaks of the traces as they were before this batch.
    upsert::settled(transaction, &changes.settled).await?;
    append::commits(transaction, &changes.commits).await?;
    append::runs(transaction, changes.runs.rows()).await?;
    upsert::run_ends(transaction, changes.runs.rows()).await?;
    match care {
        Care::Swift => {
            append::traces(transaction, changes.traces.rows().filter(|row| row.is_new)).await?;
            upsert::traces(transaction, changes.traces.rows().filter(|row| !row.is_new).collect()).await?;
        }
        Care::Careful => upsert::traces(transaction, changes.traces.rows().collect()).await?,
    }
    upsert::assets(transaction, changes.assets.rows()).await?;
    append::versions(transaction, &changes.versions).await?;
    append::inputs(transaction, &changes.inputs).await?;
    upsert::workflows(transaction, changes.workflows.rows()).await?;
    append::definitions(transaction, &changes.definitions).await?;
    append::dead(transaction, &changes.dead).await
}

/// Reads the cursors of shards, making those that are not there yet.
pub(crate) async fn load_cursors(connection: &Object, shards: &[ShardId]) -> Result<Vec<Cursor>, WriteError> {
    let numbers: Vec<i16> = shards.iter().map(|shard| smallint(*shard)).collect();
    let make = "INSERT INTO projection_cursors (shard, sequence, bundle_hash)
                SELECT shard, 0, '' FROM unnest($1::int2[]) AS s (shard) ON CONFLICT DO NOTHING";
    connection.execute(make, &[&numbers]).await?;
    let read =
        "SELECT shard, sequence, time, bundle_hash FROM projection_cursors WHERE shard = ANY ($1) ORDER BY shard";
    let rows = connection.query(read, &[&numbers]).await?;
    Ok(rows.iter().filter_map(crate::queries::cursor_of).collect())
}

async fn move_cursors(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), WriteError> {
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
