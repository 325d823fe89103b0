//! `workflow_runs`: every run, from its start to its end.

use deadpool_postgres::Transaction;
use headwater_core::run::{Description, RunStatus, Trigger};
use headwater_core::{DefinitionVersion, Json, RunId, ShardId, Slug, Timestamp, WorkspaceId};
use rustc_hash::FxHashMap;
use tokio_postgres::types::ToSql;

use super::{Kind, Table, Value};
use crate::columns::{Time, integer, smallint};
use crate::write::{CopyRows, WriteError, column, execute};

/// The table.
pub const TABLE: Table = Table {
    name: "workflow_runs",
    columns: &[
        Kind::Uuid.named("run_id"),
        Kind::Time.named("started_at"),
        Kind::Time.maybe("completed_at"),
        Kind::Integer.named("version"),
        Kind::Smallint.named("shard"),
        Kind::Text.named("workspace"),
        Kind::Text.named("workflow"),
        Kind::Text.named("status"),
        Kind::Text.named("trigger"),
        Kind::Text.named("input"),
        Kind::Text.maybe("output"),
        Kind::Text.maybe("error"),
        Kind::Text.maybe("started_by"),
        Kind::Text.maybe("cancelled_by"),
        Kind::Text.maybe("input_stored"),
        Kind::Text.maybe("output_stored"),
        Kind::Text.maybe("name"),
        Kind::Jsonb.maybe("labels"),
        Kind::Jsonb.maybe("attributes"),
        Kind::Text.maybe("targets"),
        Kind::Text.maybe("continued_from"),
        Kind::Text.maybe("latest_snapshot"),
        Kind::Uuid.maybe("continued_as"),
    ],
};

/// A change of one row: at least one of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct RunChange {
    pub run: RunId,
    pub start: Option<RunStart>,
    pub end: Option<RunEnd>,
    /// Whether it is paused, as far as that is new.
    pub standing: Option<RunStatus>,
    /// An [`headwater_core::Actor`]: who asked that it ends, which it may do later.
    pub cancelled_by: Option<Json>,
    /// What it is called, as far as that is new.
    pub described: Description,
}

/// What the start of a run says; present: the row is new.
#[derive(Debug, Clone, PartialEq)]
pub struct RunStart {
    pub shard: ShardId,
    pub workspace: WorkspaceId,
    pub workflow: Slug,
    pub version: DefinitionVersion,
    pub trigger: Trigger,
    pub input: Value,
    pub started_at: Timestamp,
    /// An [`headwater_core::Actor`].
    pub started_by: Option<Json>,
    /// A list of node ids.
    pub targets: Option<Json>,
    /// A [`headwater_core::run::ContinuedFrom`].
    pub continued: Option<Json>,
}

/// What the end of a run says.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    pub status: RunStatus,
    pub completed_at: Timestamp,
    pub output: Option<Value>,
    /// A [`headwater_core::run::RunFailure`].
    pub error: Option<Json>,
    /// The run that goes on from it.
    pub successor: Option<RunId>,
}

/// The changes of a batch, one for each run, in the order of their first.
#[derive(Debug, Default)]
pub struct RunChanges {
    rows: Vec<RunChange>,
    index: FxHashMap<RunId, usize>,
}

impl RunChanges {
    /// Returns the changes.
    pub fn rows(&self) -> &[RunChange] {
        &self.rows
    }

    /// Says that a run starts. What was said of it before found no row; where that was a start, the database refuses this one.
    pub(crate) fn start(&mut self, run: RunId, start: RunStart) {
        let described = Description::default();
        let started = RunChange { run, start: Some(start), end: None, standing: None, cancelled_by: None, described };
        match self.index.get(&run).map(|&at| &mut self.rows[at]).filter(|row| row.start.is_none()) {
            Some(row) => *row = started,
            None => {
                self.index.insert(run, self.rows.len());
                self.rows.push(started);
            }
        }
    }

    /// Returns the change of a run.
    pub(crate) fn of(&mut self, run: RunId) -> &mut RunChange {
        let at = *self.index.entry(run).or_insert_with(|| {
            let described = Description::default();
            self.rows.push(RunChange { run, start: None, end: None, standing: None, cancelled_by: None, described });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }
}

/// Writes the runs that started.
pub(crate) async fn write_starts(transaction: &Transaction<'_>, changes: &[RunChange]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, changes.len() * 512);
    for change in changes {
        let Some(start) = &change.start else { continue };
        let end = change.end.as_ref();
        rows.row()
            .uuid(change.run.as_uuid())
            .time(start.started_at)
            .time_or_null(end.map(|end| end.completed_at))
            .integer(integer(start.version.get()))
            .smallint(smallint(start.shard))
            .text(start.workspace.as_str())
            .text(start.workflow.as_str())
            .text(standing(change).unwrap_or(RunStatus::Running).as_str())
            .text(Json::of(&start.trigger).as_str())
            .text(start.input.here().unwrap_or("null"))
            .text_or_null(end.and_then(|end| end.output.as_ref()).and_then(Value::here))
            .text_or_null(end.and_then(|end| end.error.as_ref()).map(|json| json.as_str()))
            .text_or_null(start.started_by.as_ref().map(|json| json.as_str()))
            .text_or_null(change.cancelled_by.as_ref().map(|json| json.as_str()))
            .text_or_null(start.input.stored().as_deref())
            .text_or_null(end.and_then(|end| end.output.as_ref()).and_then(Value::stored).as_deref())
            .text_or_null(change.described.name.as_deref())
            .jsonb_or_null(labels(change).as_ref().map(Json::as_str))
            .jsonb_or_null(attributes(change).as_ref().map(Json::as_str))
            .text_or_null(start.targets.as_ref().map(Json::as_str))
            .text_or_null(start.continued.as_ref().map(Json::as_str))
            // It follows, where one is taken.
            .null()
            .uuid_or_null(end.and_then(|end| end.successor).map(RunId::as_uuid));
    }
    rows.write(transaction).await
}

/// The ends, and what leads to them, of runs that an earlier batch saw start.
pub(crate) async fn write_ends(transaction: &Transaction<'_>, changes: &[RunChange]) -> Result<(), WriteError> {
    let ends: Vec<_> = changes.iter().filter(|change| change.start.is_none()).collect();
    if ends.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE workflow_runs r
               SET status = coalesce(u.status, r.status), completed_at = coalesce(u.completed_at, r.completed_at),
                   output = coalesce(u.output, r.output),
                   output_stored = coalesce(u.output_stored, r.output_stored),
                   continued_as = coalesce(u.continued_as, r.continued_as), error = coalesce(u.error, r.error),
                   cancelled_by = coalesce(u.cancelled_by, r.cancelled_by), name = coalesce(u.name, r.name),
                   labels = CASE WHEN u.labels IS NULL THEN r.labels
                       ELSE coalesce(r.labels, '{}') || u.labels::jsonb END,
                   attributes = CASE WHEN u.attributes IS NULL THEN r.attributes
                       ELSE coalesce(r.attributes, '{}') || u.attributes::jsonb END
               FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
                       $8::text[], $9::text[], $10::text[], $11::uuid[])
                   AS u (run_id, status, completed_at, output, error, cancelled_by, name, labels, attributes, output_stored,
                       continued_as)
               WHERE r.run_id = u.run_id";
    let runs = column(&ends, |change| change.run.as_uuid());
    let statuses = column(&ends, |change| standing(change).map(RunStatus::as_str));
    let times = column(&ends, |change| change.end.as_ref().map(|end| Time(end.completed_at)));
    let outputs = column(&ends, |change| change.end.as_ref()?.output.as_ref()?.here());
    let outputs_stored = column(&ends, |change| change.end.as_ref()?.output.as_ref()?.stored());
    let errors = column(&ends, |change| text(change.end.as_ref()?.error.as_ref()));
    let cancelled_by = column(&ends, |change| text(change.cancelled_by.as_ref()));
    let names = column(&ends, |change| change.described.name.as_deref());
    let [said_labels, said_attributes] =
        [labels, attributes].map(|said| ends.iter().map(|change| said(change)).collect::<Vec<_>>());
    let said_labels: Vec<_> = said_labels.iter().map(|said| text(said.as_ref())).collect();
    let said_attributes: Vec<_> = said_attributes.iter().map(|said| text(said.as_ref())).collect();
    let successors = column(&ends, |change| change.end.as_ref()?.successor.map(RunId::as_uuid));
    let parameters: [&(dyn ToSql + Sync); 11] = [
        &runs,
        &statuses,
        &times,
        &outputs,
        &errors,
        &cancelled_by,
        &names,
        &said_labels,
        &said_attributes,
        &outputs_stored,
        &successors,
    ];
    execute(transaction, sql, &parameters).await
}

/// Where the run stands, as far as that is new.
fn standing(change: &RunChange) -> Option<RunStatus> {
    change.end.as_ref().map(|end| end.status).or(change.standing)
}

fn labels(change: &RunChange) -> Option<Json> {
    let labels = &change.described.labels;
    (!labels.is_empty()).then(|| Json::of(labels))
}

fn attributes(change: &RunChange) -> Option<Json> {
    let attributes = &change.described.attributes;
    (!attributes.is_empty()).then(|| Json::of(attributes))
}

fn text(json: Option<&Json>) -> Option<&str> {
    json.map(Json::as_str)
}
