//! Typed reads of the live schema, in the words and shapes that users see.
//!
//! Nothing here decides anything, and nothing here is current: a read is as old as the projection, which
//! [`crate::Progress::wait_for`] is for. Lists are paged by key, so a page is the same however much came before it.
//! What is read of the catalogue is read through a [`View`]: now, or as of a moment.

mod actions;
mod as_of;
mod assets;
mod branches;
mod following;
mod inventory;
mod ledger;
mod nodes;
mod projection;
mod replies;
mod run_list;
mod runs;
mod tasks;
mod traces;
mod values;
mod workflows;

use deadpool_postgres::Object;
use headwater_core::{Json, StoredValue, Timestamp};
use serde::{Serialize, Serializer};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::columns::Time;
use crate::database::{Database, DatabaseError};

pub use actions::{ActionReads, ActionSummary, ActionUser, ActionVersion, ActionView};
pub use as_of::{AsOf, View};
pub use assets::{AssetDetail, AssetPage, AssetSummary, EdgeSummary, RecordedVersion};
pub use branches::{BranchError, BranchFilter, BranchPage, BranchView, branches};
pub use inventory::{AssetVersion, DeclaredStep, Inventory, InventoryAsset, VersionInput};
pub use ledger::{LedgerRow, RunColumns, RunRow, RunRowFold, run_ledger, run_row, run_snapshot};
pub use nodes::{BranchCounts, NodeView};
pub use projection::{CursorRow, DeadEvent, WriteObstacles};
pub use replies::reply;
pub use run_list::{RunFilter, RunPage, RunsAfter, STEPS_MAX};
pub use runs::{RecordedEvent, RunDetail, RunSummary};
pub use tasks::{TaskDetail, TaskFilter, TaskId, TaskPage, TaskView, TasksAfter, task, tasks};
pub use traces::{TRACES_MAX, TraceFilter, TracePage, TraceView, TracesAfter};
pub use workflows::{DefinitionSummary, DefinitionView, WorkflowSummary};

pub(crate) use following::{ALL_BYTES_MAX, Behind, SMALL_BYTES_MAX};

/// A time as users see it: RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Reads the live schema. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Reads {
    database: Database,
}

/// The most items a page has.
pub const PAGE_MAX: u32 = 100;
/// The same of what a wide run has many of: its attempts and its branches.
pub const LONG_PAGE_MAX: u32 = 1_000;

impl Reads {
    /// Reads from `database`.
    pub fn of(database: Database) -> Self {
        Self { database }
    }

    async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DatabaseError> {
        let connection = self.database.reader().await?;
        let rows = async {
            let statement = connection.prepare_cached(sql).await?;
            connection.query(&statement, parameters).await
        };
        let rows = rows.await.map_err(DatabaseError::from);
        if let Err(error) = &rows
            && error.unfit().is_some()
        {
            // Once it is mended a session may still be as it was.
            drop(Object::take(connection));
            self.database.renew();
        }
        rows
    }
}

fn moment(row: &Row, column: &str) -> Moment {
    Moment(row.get::<_, Time>(column).0)
}

fn moment_if(row: &Row, column: &str) -> Option<Moment> {
    row.get::<_, Option<Time>>(column).map(|time| Moment(time.0))
}

/// Payloads are the journal's own JSON; what is not JSON was put there by hand and reads as null.
fn json(row: &Row, column: &str) -> Json {
    json_if(row, column).unwrap_or_default()
}

fn json_if(row: &Row, column: &str) -> Option<Json> {
    row.get::<_, Option<String>>(column).and_then(|text| Json::from_text(text).ok())
}

/// Returns what a value goes by in the store of values.
fn stored_if(row: &Row, column: &str) -> Option<StoredValue> {
    serde_json::from_str(row.get::<_, Option<&str>>(column)?).ok()
}

fn number(row: &Row, column: &str) -> u64 {
    row.get::<_, i64>(column).unsigned_abs()
}

fn small_number(row: &Row, column: &str) -> u32 {
    row.get::<_, i32>(column).unsigned_abs()
}

fn page_size(limit: u32) -> i64 {
    i64::from(limit.clamp(1, PAGE_MAX))
}

fn long_page_size(limit: u32) -> i64 {
    i64::from(limit.clamp(1, LONG_PAGE_MAX))
}
