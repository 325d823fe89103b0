//! Read models made anew from the journals, beside the live ones, compared, and put in their place.
//!
//! The new schema is filled while the live one is read and written as ever. Both are compared at exactly the same
//! cursors: row counts and sums of row hashes, table by table. The switch renames two schemas in one transaction that
//! holds the live cursors' lock, under which the last few bundles are made up for; a projector that waits for that
//! lock goes on in the new schema. The old one stays as [`Database::PREVIOUS`], until the next rebuild.

mod compare;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{GenericClient, Object};
use headwater_core::{Sequence, ShardId};
use headwater_streams::journals::Journals;

use crate::batch::Cursor;
use crate::database::{Database, DatabaseError};
use crate::journal::JournalError;
use crate::tables::cursors::{self, cursor_of};
use crate::tail::{LaneError, project_until};

pub use compare::TableComparison;

/// Says why nothing was rebuilt, or why it was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Conflict: another rebuild is under way.
    #[error("another rebuild is under way")]
    UnderWay,
    /// Rejection: there is nothing to go back to.
    #[error("no previous read models are kept")]
    NoPrevious,
    /// Unavailable, perhaps until its operator has mended it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Unavailable, or Corrupt where the journal no longer has what is asked for.
    #[error("a journal cannot be read")]
    Journal(#[from] JournalError),
    /// Unavailable, or Corrupt where the journal does not follow from itself.
    #[error("the journals cannot be projected")]
    Projection(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<LaneError> for RebuildError {
    fn from(error: LaneError) -> Self {
        Self::Projection(error.into())
    }
}

impl From<tokio_postgres::Error> for RebuildError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// When the new schema takes the live one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Never: a comparison. The new schema stays as [`Database::NEXT`].
    Never,
    /// If every table is the same.
    IfEqual,
    /// Whatever the comparison says: after the fold itself was mended, or where the live one is broken. The new schema
    /// then stands at the ends of the journals, and differs at least by what the live one had not reached.
    Always,
}

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    pub events: u64,
    /// How long the projection from the beginning took.
    pub projection: Duration,
    /// Table by table; both sides stood at the same cursors (but see [`Switch::Always`]).
    pub tables: Vec<TableComparison>,
    pub equal: bool,
    pub switched: bool,
}

/// Names the lock that one rebuild at a time holds.
const REBUILD_LOCK: i64 = 0x6865_6164_7265_6264;

/// A rebuild keeps two cores busy and leaves the others to the live side.
const LANES: usize = 2;

/// Builds the read models of `shards` anew and compares them with the live ones.
///
/// # Errors
/// See [`RebuildError`]. After an error the live schema is as it was; what was built stays beside it.
pub async fn rebuild<J: Journals>(
    live: &Database,
    journal: Arc<J>,
    shards: &[ShardId],
    switch: Switch,
) -> Result<RebuildReport, RebuildError> {
    // Where this future is dropped, the session's end gives the lock back: so its connection leaves the pool.
    let guard = Object::take(live.mender().await?);
    let locked = guard.query_one("SELECT pg_try_advisory_lock($1)", &[&REBUILD_LOCK]).await?;
    if !locked.get::<_, bool>(0) {
        return Err(RebuildError::UnderWay);
    }
    let report = rebuild_alone(live, journal, shards, switch).await;
    // A session ends a moment after its connection is dropped; whoever rebuilds next need not wait for that.
    guard.query_one("SELECT pg_advisory_unlock($1)", &[&REBUILD_LOCK]).await?;
    report
}

/// Does it, while nobody else does.
async fn rebuild_alone<J: Journals>(
    live: &Database,
    journal: Arc<J>,
    shards: &[ShardId],
    switch: Switch,
) -> Result<RebuildReport, RebuildError> {
    let next = live.sibling(Database::NEXT);
    live.mender().await?.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", Database::NEXT)).await?;
    next.migrate().await?;

    let began = Instant::now();
    let at = places(&live.mender().await?, &*journal, shards, switch).await?;
    let events = project(&next, &journal, &at).await?;
    let projection = began.elapsed();

    // A snapshot of the live side; what is projected there meanwhile does not disturb the comparison.
    let mut connection = live.mender().await?;
    let snapshot = connection
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let at = places(&snapshot, &*journal, shards, switch).await?;
    let live_side = compare::digest(&snapshot, live.schema()).await?;
    snapshot.commit().await?;
    project(&next, &journal, &at).await?;
    let next_side = compare::digest(&next.mender().await?, Database::NEXT).await?;
    let mut tables = compare::compare(live_side, next_side);
    let equal = tables.iter().all(|table| table.equal);

    // From here on the live cursors stand still.
    let transaction = connection.transaction().await?;
    transaction.batch_execute(&format!("LOCK TABLE {}.projection_cursors IN EXCLUSIVE MODE", live.schema())).await?;
    let at = places(&transaction, &*journal, shards, switch).await?;
    project(&next, &journal, &at).await?;
    for table in tables.iter_mut().filter(|table| !table.equal) {
        compare::sample(&transaction, table, live.schema(), Database::NEXT).await?;
    }
    let switched = match switch {
        Switch::Never => false,
        Switch::IfEqual => equal,
        Switch::Always => true,
    };
    if switched {
        let (live, next, previous) = (Database::LIVE, Database::NEXT, Database::PREVIOUS);
        let swap = format!(
            "DROP SCHEMA IF EXISTS {previous} CASCADE; ALTER SCHEMA {live} RENAME TO {previous};
             ALTER SCHEMA {next} RENAME TO {live}"
        );
        transaction.batch_execute(&swap).await?;
    }
    transaction.commit().await?;
    Ok(RebuildReport { events, projection, tables, equal, switched })
}

/// Puts back what the last switch replaced; what was live becomes [`Database::NEXT`]. Projectors go on from the
/// cursors that were left behind.
///
/// # Errors
/// See [`RebuildError`]; nothing has changed then.
pub async fn go_back(live: &Database) -> Result<(), RebuildError> {
    let mut connection = live.mender().await?;
    let sql = "SELECT FROM pg_namespace WHERE nspname = $1";
    if connection.query(sql, &[&Database::PREVIOUS]).await?.is_empty() {
        return Err(RebuildError::NoPrevious);
    }
    // A release before may have left it, and those who read do not migrate.
    live.sibling(Database::PREVIOUS).migrate().await?;
    let transaction = connection.transaction().await?;
    let (live, next, previous) = (Database::LIVE, Database::NEXT, Database::PREVIOUS);
    let swap = format!(
        "LOCK TABLE {live}.projection_cursors IN EXCLUSIVE MODE; DROP SCHEMA IF EXISTS {next} CASCADE;
         ALTER SCHEMA {live} RENAME TO {next}; ALTER SCHEMA {previous} RENAME TO {live}"
    );
    transaction.batch_execute(&swap).await?;
    transaction.commit().await?;
    Ok(())
}

async fn project<J: Journals>(
    next: &Database,
    journal: &Arc<J>,
    target: &BTreeMap<ShardId, Sequence>,
) -> Result<u64, LaneError> {
    project_until(next, journal, target, LANES).await
}

/// Returns how far the new schema has to be: where the live one stands, to be compared with it; or, where that may
/// stand nowhere sensible, at the ends of the journals.
async fn places<J: Journals>(
    live: &impl GenericClient,
    journal: &J,
    shards: &[ShardId],
    switch: Switch,
) -> Result<BTreeMap<ShardId, Sequence>, RebuildError> {
    match switch {
        Switch::Never | Switch::IfEqual => {
            let cursors: Vec<Cursor> = live.query(cursors::READ, &[]).await?.iter().filter_map(cursor_of).collect();
            let asked = cursors.iter().filter(|cursor| shards.contains(&cursor.shard));
            Ok(asked.map(|cursor| (cursor.shard, cursor.sequence)).collect())
        }
        Switch::Always => {
            let mut heads = BTreeMap::new();
            let incarnations = journal.incarnations(shards).await.map_err(JournalError::from)?;
            for (&shard, incarnation) in shards.iter().zip(incarnations) {
                let head = journal.head(shard).await.map_err(JournalError::from)?;
                heads.insert(shard, head.within(incarnation));
            }
            Ok(heads)
        }
    }
}
