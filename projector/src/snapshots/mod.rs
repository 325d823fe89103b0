//! Snapshots of runs whose definition has a policy: folded commit by commit, and written with the commits they are of.
//!
//! | file | question |
//! |---|---|
//! | here | of which runs of a batch, and what is written |
//! | `kept` | which runs are at hand, folded |
//! | `told` | what a row of `commits` tells a fold |
//!
//! What is at hand saves time and decides nothing: a run that is not is folded again from the rows of its commits, those of this
//! batch among them. Where nothing has a policy a batch costs one look at a flag.

mod kept;
mod told;

use std::sync::Arc;

use deadpool_postgres::Transaction;
use headwater_core::definition::{Definition, StoredDocument, compile};
use headwater_core::run::{Snapshot, Snapshots};
use headwater_core::shard::AggregateId;
use headwater_core::{Json, Revision, RunId, Sequence, ShardId};
use headwater_streams::journals::Journals;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio_postgres::Row;
use uuid::Uuid;

use self::kept::Runs;
pub use self::kept::SnapshotLimits;
use self::told::{Told, Unclear};
use crate::columns::smallint;
use crate::fold::Changes;
use crate::tables::CommitRow;
use crate::write::{WriteError, execute};

/// How many runs are known to be folded by nobody, before all are asked for again.
const UNMARKED_MAX: usize = 100_000;
/// How many definitions are kept compiled; one that is not small is kept alone.
const DEFINITIONS_MAX: usize = 64;
const SMALL_BYTES: usize = 256 << 10;
/// How many commits are folded at once.
const COMMITS: i64 = 16;

/// The runs of these whose definition had a policy when they started, whatever version they have gone over to since. Of the names before the
/// version none can hold its name; whatever stands behind it the database need not be able to read.
const MARKED: &str = "SELECT r.run_id, r.shard, r.workspace, r.workflow, p.version
    FROM workflow_runs r
    JOIN commits c ON c.run_id = r.run_id AND c.revision = 1
    JOIN snapshot_policies p ON p.shard = r.shard AND p.workspace = r.workspace AND p.workflow = r.workflow
        AND p.version = substring(c.events FROM '\"version\":([0-9]{1,10})')::bigint AND c.shard = p.shard
    WHERE r.run_id = ANY($1) AND (p.sequence, p.ordinal) < (c.sequence, c.ordinal)";
const POLICIES: &str = "SELECT EXISTS (SELECT FROM snapshot_policies WHERE shard = ANY($1))";
const DOCUMENT: &str = "SELECT document FROM snapshot_policies
    WHERE shard = $1 AND workspace = $2 AND workflow = $3 AND version = $4";
const BEFORE: &str = "SELECT revision, time, sequence, events, stored FROM commits
    WHERE run_id = $1 AND revision > $2 AND revision < $3 ORDER BY revision LIMIT $4";
const WRITE: &str = "UPDATE workflow_runs r SET latest_snapshot = u.snapshot
    FROM unnest($1::uuid[], $2::text[]) AS u (run_id, snapshot) WHERE r.run_id = u.run_id";

/// A definition version in a shard.
type Version = (i16, String, String, i32);

/// Whoever takes the snapshots of the runs of some shards.
#[derive(Debug)]
pub(crate) struct Taker<J> {
    journals: Arc<J>,
    shards: Vec<ShardId>,
    /// Whether any definition of the shards has a policy; not asked yet.
    has_policies: Option<bool>,
    runs: Runs,
    /// Runs that are not folded: without a policy, or what happened in them cannot be.
    unmarked: FxHashSet<RunId>,
    definitions: FxHashMap<Version, Option<Arc<Definition>>>,
}

impl<J: Journals> Taker<J> {
    pub(crate) fn new(journals: Arc<J>, shards: Vec<ShardId>, limits: SnapshotLimits) -> Self {
        Self {
            journals,
            shards,
            has_policies: None,
            runs: Runs::new(limits),
            unmarked: FxHashSet::default(),
            definitions: FxHashMap::default(),
        }
    }

    /// Forgets what is at hand: what was told may not have been written.
    pub(crate) fn forget(&mut self) {
        (self.runs, self.has_policies) = (Runs::new(self.runs.limits()), None);
        self.unmarked.clear();
    }

    /// Folds the commits of a batch, whose rows are written in this transaction, and writes what is taken.
    ///
    /// # Errors
    /// [`WriteError::Database`], or [`WriteError::Journal`] where a value cannot be fetched now. What is at hand is to be forgotten
    /// unless the transaction is committed.
    pub(crate) async fn follow(&mut self, transaction: &Transaction<'_>, changes: &Changes) -> Result<(), WriteError> {
        if !self.has_any(transaction, changes).await? {
            return Ok(());
        }
        let batch = by_run(changes);
        let marked = self.marked(transaction, &batch).await?;
        let mut taken: Vec<(Uuid, Json)> = Vec::new();
        for (run, rows) in batch {
            if let Some(snapshot) = self.follow_run(transaction, run, marked.get(&run), &rows).await? {
                taken.push((run.as_uuid(), snapshot.to_json()));
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let runs: Vec<Uuid> = taken.iter().map(|(run, _)| *run).collect();
        let texts: Vec<&str> = taken.iter().map(|(_, snapshot)| snapshot.as_str()).collect();
        execute(transaction, WRITE, &[&runs, &texts]).await
    }

    async fn has_any(&mut self, transaction: &Transaction<'_>, changes: &Changes) -> Result<bool, WriteError> {
        if changes.has_policies() {
            self.has_policies = Some(true);
        }
        if self.has_policies.is_none() {
            let shards: Vec<i16> = self.shards.iter().map(|shard| smallint(*shard)).collect();
            let statement = transaction.prepare_cached(POLICIES).await?;
            self.has_policies = Some(transaction.query_one(&statement, &[&shards]).await?.get(0));
        }
        Ok(self.has_policies == Some(true))
    }

    /// Returns the definition versions of those runs that are not at hand and have a policy.
    async fn marked(
        &mut self,
        transaction: &Transaction<'_>,
        batch: &[(RunId, Vec<&CommitRow>)],
    ) -> Result<FxHashMap<RunId, Version>, WriteError> {
        if self.unmarked.len() > UNMARKED_MAX {
            self.unmarked.clear();
        }
        let is_unknown = |run: &RunId| !self.runs.has(*run) && !self.unmarked.contains(run);
        let unknown: Vec<RunId> = batch.iter().map(|(run, _)| *run).filter(is_unknown).collect();
        if unknown.is_empty() {
            return Ok(FxHashMap::default());
        }
        let ids: Vec<Uuid> = unknown.iter().map(|run| run.as_uuid()).collect();
        let marked = self.versions(transaction, &ids).await?;
        self.unmarked.extend(unknown.into_iter().filter(|run| !marked.contains_key(run)));
        Ok(marked)
    }

    /// Returns the definition versions of those of these runs that have a policy.
    async fn versions(
        &self,
        transaction: &Transaction<'_>,
        runs: &[Uuid],
    ) -> Result<FxHashMap<RunId, Version>, WriteError> {
        let statement = transaction.prepare_cached(MARKED).await?;
        let rows = transaction.query(&statement, &[&runs]).await?;
        let version = |row: &Row| (RunId::from_uuid(row.get(0)), (row.get(1), row.get(2), row.get(3), row.get(4)));
        Ok(rows.iter().map(version).collect())
    }

    /// Folds the commits of one run; `version`: it is not at hand. Returns the last snapshot that is taken.
    async fn follow_run(
        &mut self,
        transaction: &Transaction<'_>,
        run: RunId,
        version: Option<&Version>,
        rows: &[&CommitRow],
    ) -> Result<Option<Snapshot>, WriteError> {
        let Some(first) = rows.first().map(|row| row.revision) else { return Ok(None) };
        let (mut folded, mut bytes) = match (self.runs.take(run), version) {
            (Some(kept), _) => kept,
            (None, None) => return Ok(None),
            (None, Some(version)) => match self.fold_again(transaction, run, version, first).await? {
                Some(kept) => kept,
                None => {
                    self.unmarked.insert(run);
                    return Ok(None);
                }
            },
        };
        let last = rows.last().map(|row| (end_of(row), row.time));
        let (mut taken, mut left) = (None, None);
        for row in rows {
            let told = match told::read(&*self.journals, &row.events, row.stored.as_ref()).await? {
                Ok((events, size)) => {
                    bytes += size;
                    Told { revision: row.revision, time: row.time, events }.learned_by(&mut folded)
                }
                Err(unclear) => Err(unclear),
            };
            match told {
                // Another comes in this batch.
                Ok(true) if last.is_some_and(|(end, time)| folded.is_followed(end, time)) => {
                    (taken, left) = (None, Some((end_of(row).next(), row.sequence)));
                }
                Ok(true) => (taken, left) = (folded.take(row.sequence), None),
                Ok(false) => {}
                Err(Unclear) => {
                    self.unmarked.insert(run);
                    return match left {
                        Some((before, at)) => self.catch_up(transaction, run, before, at).await,
                        None => Ok(taken),
                    };
                }
            }
        }
        if !folded.is_over() {
            self.runs.put(run, folded, bytes);
        }
        Ok(taken)
    }

    /// Takes the snapshot that was left, because another was to come that cannot be: that at the end of what was before a commit.
    async fn catch_up(
        &mut self,
        transaction: &Transaction<'_>,
        run: RunId,
        before: Revision,
        at: Sequence,
    ) -> Result<Option<Snapshot>, WriteError> {
        let Some(version) = self.versions(transaction, &[run.as_uuid()]).await?.remove(&run) else { return Ok(None) };
        let folded = self.fold_again(transaction, run, &version, before).await?;
        Ok(folded.and_then(|(folded, _)| folded.take(at)))
    }

    /// Folds what happened before a commit of a run, and says how many bytes that was; `None`: that cannot be folded.
    async fn fold_again(
        &mut self,
        transaction: &Transaction<'_>,
        run: RunId,
        version: &Version,
        before: Revision,
    ) -> Result<Option<(Snapshots, usize)>, WriteError> {
        let definition = self.definition(transaction, version).await?;
        let Some(definition) = definition else { return Ok(None) };
        // A run keeps its definition, and has a state for each node of it.
        let (mut bytes, mut after) = (definition.source.len_bytes(), 0_i64);
        let Some(mut folded) = Snapshots::of(run, definition) else { return Ok(None) };
        let before = i64::try_from(before.get()).unwrap_or(i64::MAX);
        let statement = transaction.prepare_cached(BEFORE).await?;
        loop {
            let page = transaction.query(&statement, &[&run.as_uuid(), &after, &before, &COMMITS]).await?;
            for row in &page {
                let text: &str = row.get("events");
                let stored = row.get::<_, Option<String>>("stored").and_then(|text| Json::from_text(text).ok());
                let Ok((events, size)) = told::read(&*self.journals, text.as_bytes(), stored.as_ref()).await? else {
                    return Ok(None);
                };
                if Told::of_row(row, events).learned_by(&mut folded).is_err() {
                    return Ok(None);
                }
                (bytes, after) = (bytes + size, row.get("revision"));
            }
            if page.len() < usize::try_from(COMMITS).unwrap_or_default() {
                return Ok(Some((folded, bytes)));
            }
        }
    }

    /// Returns a definition that has a policy; `None`: it does not compile, or the store has lost it.
    async fn definition(
        &mut self,
        transaction: &Transaction<'_>,
        version: &Version,
    ) -> Result<Option<Arc<Definition>>, WriteError> {
        if let Some(known) = self.definitions.get(version) {
            return Ok(known.clone());
        }
        let (shard, workspace, workflow, number) = version;
        let statement = transaction.prepare_cached(DOCUMENT).await?;
        let row = transaction.query_opt(&statement, &[shard, workspace, workflow, number]).await?;
        let mut document = row.and_then(|row| Json::from_text(row.get(0)).ok());
        if let Some(stored) = document.as_ref().and_then(StoredDocument::of) {
            document = self.journals.document(&stored).await.map_err(crate::JournalError::from)?;
        }
        let compiled = tokio::task::spawn_blocking(move || compile(&document?.to_value()).ok()).await;
        let definition = compiled.ok().flatten().map(|(definition, _)| Arc::new(definition));
        let is_small = definition.as_ref().is_none_or(|definition| definition.source.len_bytes() <= SMALL_BYTES);
        if self.definitions.len() >= DEFINITIONS_MAX || !is_small {
            self.definitions.clear();
        }
        self.definitions.insert(version.clone(), definition.clone());
        Ok(definition)
    }
}

/// The revision of the last event of a commit.
fn end_of(row: &CommitRow) -> Revision {
    let events = u64::from(row.event_count.unsigned_abs());
    Revision::new((row.revision.get() + events).saturating_sub(1))
}

/// The commits of a batch, run by run, each run's in order.
fn by_run(changes: &Changes) -> Vec<(RunId, Vec<&CommitRow>)> {
    let mut runs: Vec<(RunId, Vec<&CommitRow>)> = Vec::new();
    let mut places: FxHashMap<RunId, usize> = FxHashMap::default();
    for row in changes.all_commits() {
        let AggregateId::Run(run) = row.aggregate else { continue };
        let place = *places.entry(run).or_insert_with(|| {
            runs.push((run, Vec::new()));
            runs.len() - 1
        });
        runs[place].1.push(row);
    }
    runs
}
