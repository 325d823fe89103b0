//! A batch of which the database refuses something: everything else proceeds.
//!
//! Each bundle is tried by itself, and the commits of one that is refused each behind a savepoint. Which commits end
//! in `dead_events` is therefore the same wherever the batches were cut.

use deadpool_postgres::{Object, Transaction};
use headwater_streams::complaints::Complaints;
use headwater_streams::journals::Journals;

use super::{Care, WriteError, apply, begin, write_whole};
use crate::batch::Batch;
use crate::fold::Changes;
use crate::parse::{ParsedBundle, ParsedCommit};
use crate::snapshots::Taker;
use crate::tables::{DeadRow, cursors, dead_events};

pub(super) async fn write_in_pieces<J: Journals>(
    connection: &mut Object,
    batch: &Batch,
    taker: &mut Taker<J>,
) -> Result<(), WriteError> {
    for (shard, entry) in batch.entries() {
        let single = batch.of_one(*shard, entry.clone());
        match write_whole(connection, &single, Care::Careful, taker).await {
            Err(WriteError::Refused { .. }) => {
                taker.forget();
                write_commits(connection, &single, taker).await?;
            }
            outcome @ (Ok(()) | Err(WriteError::CursorMoved | WriteError::Database(_) | WriteError::Journal(_))) => {
                outcome?;
            }
        }
    }
    Ok(())
}

/// Writes the commits of the one bundle in `single`, burying those that are refused.
async fn write_commits<J: Journals>(
    connection: &mut Object,
    single: &Batch,
    taker: &mut Taker<J>,
) -> Result<(), WriteError> {
    let mut transaction = begin(connection).await?;
    cursors::advance(&transaction, single).await?;
    for (shard, entry) in single.entries() {
        let bundle = single.parsed(*shard, entry);
        let mut dead = bundle.dead;
        for commit in bundle.commits {
            let (ordinal, raw) = (commit.ordinal, commit.text.clone());
            let mut changes = Changes::default();
            changes.fold(*shard, entry.sequence, only(commit));
            if let Some(reason) = refusal(&mut transaction, &changes, taker).await? {
                static BURIED: Complaints = Complaints::new();
                if let Some(count) = BURIED.due() {
                    tracing::warn!(%shard, sequence = %entry.sequence, ordinal, reason, count, "a commit is buried");
                }
                dead.push(DeadRow { shard: *shard, sequence: entry.sequence, ordinal, reason, raw });
            }
        }
        dead_events::write(&transaction, &dead).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn only(commit: ParsedCommit) -> ParsedBundle {
    ParsedBundle {
        previous: None,
        incarnation: headwater_core::Incarnation::FIRST,
        needs: 0,
        commits: vec![commit],
        dead: Vec::new(),
    }
}

/// Writes one commit, or undoes it and says why the database does not take it.
async fn refusal<J: Journals>(
    transaction: &mut Transaction<'_>,
    changes: &Changes,
    taker: &mut Taker<J>,
) -> Result<Option<String>, WriteError> {
    let savepoint = transaction.savepoint("commit").await?;
    match apply(&savepoint, changes, Care::Careful).await {
        Ok(()) => {
            savepoint.commit().await?;
            taker.follow(transaction, changes).await?;
            Ok(None)
        }
        Err(WriteError::Refused { code, source }) => {
            savepoint.rollback().await?;
            let constraint = source.as_db_error().and_then(|error| error.constraint());
            Ok(Some(match constraint {
                Some(constraint) => format!("refused by the database ({code}, {constraint})"),
                None => format!("refused by the database ({code})"),
            }))
        }
        Err(other @ (WriteError::CursorMoved | WriteError::Database(_) | WriteError::Journal(_))) => Err(other),
    }
}
