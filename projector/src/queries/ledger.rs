//! What the tables keep of a run, as they keep it: for who holds it against the journal. For what users see of it see `runs`.

use headwater_core::run::{RunEvent, RunStatus};
use headwater_core::shard::{Cause, Event};
use headwater_core::{DefinitionVersion, Json, Revision, RunId, Sequence, ShardId, WorkspaceId};

use super::{Reads, moment, moment_if, number};
use crate::columns::bigint;
use crate::database::DatabaseError;
use crate::fold::Changes;
use crate::parse::{ParsedBundle, ParsedCommit};
use crate::tables::{RunChanges, RunStart, Value};

/// What a run's row says, column by column, in one form for who writes it and who reads it.
pub type RunColumns = Vec<(&'static str, Option<String>)>;

/// The row of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    pub columns: RunColumns,
    pub latest_snapshot: Option<String>,
    /// Of the last event in `commits`.
    pub revision: u64,
}

/// A row of `commits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    pub revision: u64,
    /// `None`: there is no such shard.
    pub shard: Option<ShardId>,
    pub sequence: Sequence,
    /// In its bundle, from 0.
    pub ordinal: i32,
    pub columns: Vec<(&'static str, Option<String>)>,
    /// A JSON array.
    pub events: String,
}

/// What the columns of a run's row have to be, by its commits.
#[derive(Debug, Default)]
pub struct RunRowFold {
    runs: RunChanges,
    /// The version that it has gone over to.
    version: Option<DefinitionVersion>,
}

impl LedgerRow {
    /// Returns what the columns of a commit's row have to be but for its events; as [`Self::columns`].
    pub fn columns_of(commit: &ParsedCommit) -> Vec<(&'static str, Option<String>)> {
        let cause = |Cause { shard, sequence, index }: Cause| format!("{shard}:{sequence}:{index}");
        vec![
            ("revision", Some(commit.revision.to_string())),
            ("eventCount", Some(commit.events.len().to_string())),
            ("time", Some(commit.time.to_string())),
            ("commandId", Some(commit.command.to_string())),
            ("actor", commit.by.as_ref().map(|by| Json::of(by).as_str().to_owned())),
            ("cause", commit.cause.map(cause)),
            ("stored", commit.stored.as_ref().map(|stored| Json::of(stored).as_str().to_owned())),
        ]
    }
}

impl RunRowFold {
    /// Folds the next commit of the run.
    pub fn fold(&mut self, shard: ShardId, sequence: Sequence, mut commit: ParsedCommit) {
        if let Some(Event::Run(RunEvent::RunMigrated { version, .. })) = commit.events.first() {
            self.version = Some(*version);
            // What follows changes the same row.
            commit.events.remove(0);
        }
        let mut changes = Changes { runs: std::mem::take(&mut self.runs), ..Changes::default() };
        let incarnation = sequence.incarnation();
        let bundle = ParsedBundle { previous: None, incarnation, needs: 0, commits: vec![commit], dead: Vec::new() };
        changes.fold(shard, sequence, bundle);
        self.runs = changes.runs;
    }

    /// Returns the columns; `None`: the run has not started.
    pub fn columns(&self) -> Option<RunColumns> {
        let change = self.runs.rows().first()?;
        let (start, end) = (change.start.as_ref()?, change.end.as_ref());
        let status = end.map(|end| end.status).or(change.standing).unwrap_or(RunStatus::Running);
        let text = |json: &Json| json.as_str().to_owned();
        let output = end.and_then(|end| end.output.as_ref());
        let mut columns = of_start(start);
        if let Some(version) = self.version {
            let gone_over = |(name, text): &mut (&'static str, Option<String>)| {
                if *name == "version" {
                    *text = Some(version.to_string());
                }
            };
            columns.iter_mut().for_each(gone_over);
        }
        columns.extend([
            ("status", Some(status.as_str().to_owned())),
            ("completedAt", end.map(|end| end.completed_at.to_string())),
            ("output", output.and_then(Value::here).map(str::to_owned)),
            ("outputStored", output.and_then(Value::stored)),
            ("error", end.and_then(|end| end.error.as_ref()).map(text)),
            ("cancelledBy", change.cancelled_by.as_ref().map(text)),
            ("name", change.described.name.clone()),
        ]);
        Some(columns)
    }
}

fn of_start(start: &RunStart) -> RunColumns {
    let text = |json: &Json| json.as_str().to_owned();
    vec![
        ("workspace", Some(start.workspace.to_string())),
        ("workflow", Some(start.workflow.to_string())),
        ("version", Some(start.version.to_string())),
        ("shard", Some(start.shard.to_string())),
        ("trigger", Some(text(&Json::of(&start.trigger)))),
        ("startedAt", Some(start.started_at.to_string())),
        ("input", Some(start.input.here().unwrap_or("null").to_owned())),
        ("inputStored", start.input.stored()),
        ("startedBy", start.started_by.as_ref().map(text)),
        ("targets", start.targets.as_ref().map(text)),
        ("continuedFrom", start.continued.as_ref().map(text)),
    ]
}

/// Returns the row of a run of a workspace and the revision of its last event, both of one moment. `None`: there is none.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
pub async fn run_row(reads: &Reads, workspace: &WorkspaceId, run: RunId) -> Result<Option<RunRow>, DatabaseError> {
    let sql = "SELECT workspace, workflow, version, shard, trigger, started_at, input, input_stored, started_by, targets,
                      continued_from, status, completed_at, output, output_stored, error, cancelled_by, name, latest_snapshot,
                      coalesce((SELECT c.revision + c.event_count - 1 FROM commits c WHERE c.run_id = r.run_id
                                ORDER BY c.revision DESC LIMIT 1), 0) AS revision
               FROM workflow_runs r WHERE run_id = $1 AND workspace = $2";
    let rows = reads.rows(sql, &[&run.as_uuid(), &workspace.as_str()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let text = |column: &str| row.get::<_, Option<String>>(column);
    let columns = vec![
        ("workspace", text("workspace")),
        ("workflow", text("workflow")),
        ("version", Some(row.get::<_, i32>("version").to_string())),
        ("shard", Some(row.get::<_, i16>("shard").to_string())),
        ("trigger", text("trigger")),
        ("startedAt", Some(moment(row, "started_at").0.to_string())),
        ("input", text("input")),
        ("inputStored", text("input_stored")),
        ("startedBy", text("started_by")),
        ("targets", text("targets")),
        ("continuedFrom", text("continued_from")),
        ("status", text("status")),
        ("completedAt", moment_if(row, "completed_at").map(|at| at.0.to_string())),
        ("output", text("output")),
        ("outputStored", text("output_stored")),
        ("error", text("error")),
        ("cancelledBy", text("cancelled_by")),
        ("name", text("name")),
    ];
    let latest_snapshot = text("latest_snapshot");
    Ok(Some(RunRow { columns, latest_snapshot, revision: number(row, "revision") }))
}

/// Returns the snapshot of a run of a workspace: within, `None` where none is kept. Without: there is no such run.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
pub async fn run_snapshot(
    reads: &Reads,
    workspace: &WorkspaceId,
    run: RunId,
) -> Result<Option<Option<Json>>, DatabaseError> {
    let sql = "SELECT latest_snapshot FROM workflow_runs WHERE run_id = $1 AND workspace = $2";
    let rows = reads.rows(sql, &[&run.as_uuid(), &workspace.as_str()]).await?;
    Ok(rows.first().map(|row| super::json_if(row, "latest_snapshot")))
}

/// Returns rows of a run's commits that begin behind a revision, and whose events end at or before another, in order.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
pub async fn run_ledger(
    reads: &Reads,
    run: RunId,
    (after, until): (Revision, Revision),
    commits_max: u32,
) -> Result<Vec<LedgerRow>, DatabaseError> {
    let sql = "SELECT revision, event_count, shard, sequence, ordinal, time, command_id, actor, cause, events, stored
               FROM commits WHERE run_id = $1 AND revision > $2 AND revision <= $3 ORDER BY revision LIMIT $4";
    let (after, until) = (bigint(after.get()), bigint(until.get()));
    let rows = reads.rows(sql, &[&run.as_uuid(), &after, &until, &i64::from(commits_max.max(1))]).await?;
    let row = |row: &tokio_postgres::Row| LedgerRow {
        revision: number(row, "revision"),
        shard: u16::try_from(row.get::<_, i16>("shard")).ok().and_then(|shard| ShardId::new(shard).ok()),
        sequence: Sequence::new(number(row, "sequence")),
        ordinal: row.get("ordinal"),
        columns: vec![
            ("revision", Some(row.get::<_, i64>("revision").to_string())),
            ("eventCount", Some(row.get::<_, i32>("event_count").to_string())),
            ("time", Some(moment(row, "time").0.to_string())),
            ("commandId", Some(row.get::<_, uuid::Uuid>("command_id").to_string())),
            ("actor", row.get("actor")),
            ("cause", row.get("cause")),
            ("stored", row.get("stored")),
        ],
        events: row.get("events"),
    };
    Ok(rows.iter().map(row).collect())
}
