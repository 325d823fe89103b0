//! A batch's changes and its cursors, in one transaction.
//!
//! * The cursor moves first, from exactly where the batch begins, and under its row lock everything else: of two
//!   projectors only one applies a batch (`PRJ-1`), and after a restart nothing is applied twice.
//! * `synchronous_commit` is off for these transactions only. The cursor moves with the rows, so a crash that loses
//!   the last few hundred milliseconds loses both, and the same bundles are projected again from the journal, which is
//!   the truth.
//! * What is only ever inserted goes through `COPY`; what an earlier batch may have written, through `UNNEST` upserts.

mod arrays;
mod copy;
mod isolate;
mod migration;
mod release;
mod replace;

pub(crate) use replace::start_over;

use deadpool_postgres::{Object, Transaction};
use headwater_streams::complaints::Complaints;
use headwater_streams::journals::Journals;

use crate::batch::Batch;
use crate::database::DatabaseError;
use crate::fault::Fault;
use crate::fold::{Changes, Parting};
use crate::journal::JournalError;
use crate::snapshots::Taker;
use crate::tables::{
    action_defs, actions, asset_edges, asset_inputs, asset_versions, assets, branches, commits, cursors, dead_events,
    human_tasks, nodes, run_terms, snapshot_policies, traces, transitions, workflow_defs, workflow_pins, workflow_runs,
    workflow_selections, workflows,
};

pub(crate) use arrays::{column, execute, printable};
pub(crate) use copy::CopyRows;

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
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Unavailable: what a snapshot takes of the store of values. The caller tries again.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<tokio_postgres::Error> for WriteError {
    fn from(error: tokio_postgres::Error) -> Self {
        match (Fault::of(&error), error.code()) {
            (Fault::Data, Some(code)) => Self::Refused { code: code.code().to_owned(), source: error },
            (Fault::Data | Fault::Passing | Fault::Unfit, _) => Self::Database(error.into()),
        }
    }
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
pub(crate) async fn write<J: Journals>(
    connection: &mut Object,
    batch: &Batch,
    taker: &mut Taker<J>,
) -> Result<(), WriteError> {
    match write_whole(connection, batch, Care::Swift, taker).await {
        Err(WriteError::Refused { code, source }) => {
            static REFUSED: Complaints = Complaints::new();
            if let Some(count) = REFUSED.due() {
                tracing::warn!(code, error = %source, count, "a batch is refused: writing it piece by piece");
            }
            taker.forget();
            isolate::write_in_pieces(connection, batch, taker).await
        }
        outcome @ (Ok(()) | Err(WriteError::CursorMoved | WriteError::Database(_) | WriteError::Journal(_))) => outcome,
    }
}

async fn write_whole<J: Journals>(
    connection: &mut Object,
    batch: &Batch,
    care: Care,
    taker: &mut Taker<J>,
) -> Result<(), WriteError> {
    let transaction = begin(connection).await?;
    cursors::advance(&transaction, batch).await?;
    apply(&transaction, batch.changes(), care).await?;
    taker.follow(&transaction, batch.changes()).await?;
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
    write_part(transaction, changes, care).await?;
    for (parting, then) in &changes.parts {
        match parting {
            Parting::Released(row) => {
                release::write(transaction, row).await?;
                if let headwater_core::shard::AggregateId::Run(run) = &row.aggregate {
                    human_tasks::follow_release(transaction, *run).await?;
                }
            }
            Parting::Migrated(row) => migration::write(transaction, row).await?,
        }
        write_part(transaction, then, care).await?;
    }
    Ok(())
}

/// Writes what stands before a release, or behind it.
async fn write_part(transaction: &Transaction<'_>, changes: &Changes, care: Care) -> Result<(), WriteError> {
    // First of all: it speaks of the traces as they were before this batch.
    traces::write_settled(transaction, changes.settled.rows()).await?;
    commits::write(transaction, &changes.commits).await?;
    workflow_runs::write_starts(transaction, changes.runs.rows()).await?;
    run_terms::write_starts(transaction, changes.runs.rows()).await?;
    run_terms::write_news(transaction, changes.runs.rows()).await?;
    workflow_runs::write_ends(transaction, changes.runs.rows()).await?;
    match care {
        Care::Swift => {
            traces::write_new(transaction, changes.traces.rows().filter(|row| row.is_new)).await?;
            traces::write_changed(transaction, changes.traces.rows().filter(|row| !row.is_new).collect()).await?;
        }
        Care::Careful => traces::write_changed(transaction, changes.traces.rows().collect()).await?,
    }
    human_tasks::write(transaction, changes).await?;
    branches::write_openings(transaction, changes.branches.rows()).await?;
    branches::write_ends(transaction, changes.branches.rows()).await?;
    assets::write(transaction, changes.assets.rows()).await?;
    asset_versions::write(transaction, &changes.versions).await?;
    asset_inputs::write(transaction, &changes.inputs).await?;
    workflows::write(transaction, changes.workflows.rows()).await?;
    workflow_selections::write(transaction, &changes.selections).await?;
    workflow_pins::write(transaction, &changes.pins).await?;
    snapshot_policies::write(transaction, &changes.policies).await?;
    workflow_defs::write(transaction, &changes.definitions).await?;
    nodes::write(transaction, &changes.definitions).await?;
    transitions::write(transaction, &changes.definitions).await?;
    asset_edges::write(transaction, &changes.definitions).await?;
    actions::write(transaction, changes.actions.rows()).await?;
    action_defs::write(transaction, &changes.action_defs).await?;
    dead_events::write(transaction, &changes.dead).await
}
