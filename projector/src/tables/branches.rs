//! `branches`: every pass through the body of a `forEach`, or through a loop.

use deadpool_postgres::Transaction;
use headwater_core::run::{BranchKind, RunFailure};
use headwater_core::{BranchId, NodeAddress, RunId, Timestamp};
use rustc_hash::FxHashMap;
use tokio_postgres::types::ToSql;

use super::{Kind, Table, Value};
use crate::columns::{Time, integer};
use crate::write::{WriteError, column, execute, printable};

/// The table.
pub const TABLE: Table = Table {
    name: "branches",
    columns: &[
        Kind::Uuid.named("run_id"),
        Kind::Time.named("opened_at"),
        Kind::Time.maybe("ended_at"),
        Kind::Integer.named("branch"),
        Kind::Integer.named("parent_branch"),
        Kind::Integer.named("position"),
        Kind::Text.named("node_id"),
        Kind::Text.named("kind"),
        Kind::Text.named("status"),
        Kind::Boolean.maybe("again"),
        Kind::Text.maybe("output"),
        Kind::Text.maybe("error_code"),
        Kind::Text.maybe("error_message"),
        Kind::Text.maybe("output_stored"),
    ],
};

/// Where a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchStatus {
    Running,
    /// Also a turn that has ended, whichever way it led.
    Succeeded,
    Failed,
    Cancelled,
}

impl BranchStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Returns the word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A change of one row: at least one of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchChange {
    pub run: RunId,
    pub branch: BranchId,
    pub opening: Option<BranchOpening>,
    pub end: Option<BranchEnd>,
}

/// What the opening of a branch says; present: the row is new.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchOpening {
    /// Where it stands: in the branch around.
    pub opener: NodeAddress,
    pub kind: BranchKind,
    pub position: u32,
    pub opened_at: Timestamp,
}

/// What the end of a branch says.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchEnd {
    pub status: BranchStatus,
    pub again: Option<bool>,
    pub output: Option<Value>,
    pub failure: Option<RunFailure>,
    pub ended_at: Timestamp,
}

/// The changes of a batch, one for each branch, in the order of their first.
#[derive(Debug, Default)]
pub struct BranchChanges {
    rows: Vec<BranchChange>,
    index: FxHashMap<(RunId, BranchId), usize>,
}

impl BranchChanges {
    /// Returns the changes.
    pub fn rows(&self) -> &[BranchChange] {
        &self.rows
    }

    /// Says that a branch opens. What was said of it before found no row; where that was an opening, the database refuses this one.
    pub(crate) fn open(&mut self, run: RunId, branch: BranchId, opening: BranchOpening) {
        let opened = BranchChange { run, branch, opening: Some(opening), end: None };
        match self.index.get(&(run, branch)).map(|&at| &mut self.rows[at]).filter(|row| row.opening.is_none()) {
            Some(row) => *row = opened,
            None => {
                self.index.insert((run, branch), self.rows.len());
                self.rows.push(opened);
            }
        }
    }

    /// Says how a branch ends; the later end wins as a whole.
    pub(crate) fn end(&mut self, run: RunId, branch: BranchId, end: BranchEnd) {
        let at = *self.index.entry((run, branch)).or_insert_with(|| {
            self.rows.push(BranchChange { run, branch, opening: None, end: None });
            self.rows.len() - 1
        });
        self.rows[at].end = Some(end);
    }
}

/// Writes the branches that opened.
pub(crate) async fn write_openings(transaction: &Transaction<'_>, changes: &[BranchChange]) -> Result<(), WriteError> {
    let opened: Vec<_> = changes.iter().filter_map(|change| Some((change, change.opening.as_ref()?))).collect();
    if opened.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO branches (run_id, opened_at, ended_at, branch, parent_branch, position, node_id, kind, status, again,
                                     output, error_code, error_message, output_stored)
               SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::int4[], $5::int4[], $6::int4[],
                                    $7::text[], $8::text[], $9::text[], $10::bool[], $11::text[], $12::text[], $13::text[],
                                    $14::text[])";
    let rows = &opened[..];
    let opened_at = column(rows, |(_, opening)| Time(opening.opened_at));
    let parents = column(rows, |(_, opening)| integer(opening.opener.branch().get()));
    let positions = column(rows, |(_, opening)| integer(opening.position));
    let nodes = column(rows, |(_, opening)| opening.opener.node().as_str());
    let kinds = column(rows, |(_, opening)| opening.kind.as_str());
    let ends = Ends::of(rows.iter().map(|(change, _)| *change));
    let columns: [&(dyn ToSql + Sync); 14] = [
        &ends.runs,
        &opened_at,
        &ends.times,
        &ends.branches,
        &parents,
        &positions,
        &nodes,
        &kinds,
        &ends.statuses,
        &ends.again,
        &ends.outputs,
        &ends.codes,
        &ends.messages,
        &ends.outputs_stored,
    ];
    execute(transaction, sql, &columns).await
}

/// Writes the ends of branches that an earlier batch saw open.
pub(crate) async fn write_ends(transaction: &Transaction<'_>, changes: &[BranchChange]) -> Result<(), WriteError> {
    let ends = Ends::of(changes.iter().filter(|change| change.opening.is_none()));
    if ends.runs.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE branches b
               SET ended_at = u.ended_at, status = u.status, again = u.again, output = u.output,
                   error_code = u.error_code, error_message = u.error_message, output_stored = u.output_stored
               FROM unnest($1::uuid[], $2::int4[], $3::timestamptz[], $4::text[], $5::bool[], $6::text[], $7::text[],
                           $8::text[], $9::text[])
                   AS u (run_id, branch, ended_at, status, again, output, error_code, error_message, output_stored)
               WHERE b.run_id = u.run_id AND b.branch = u.branch";
    let columns: [&(dyn ToSql + Sync); 9] = [
        &ends.runs,
        &ends.branches,
        &ends.times,
        &ends.statuses,
        &ends.again,
        &ends.outputs,
        &ends.codes,
        &ends.messages,
        &ends.outputs_stored,
    ];
    execute(transaction, sql, &columns).await
}

/// The columns of ends; of branches that have not ended there is their status.
#[derive(Default)]
struct Ends<'c> {
    runs: Vec<uuid::Uuid>,
    branches: Vec<i32>,
    times: Vec<Option<Time>>,
    statuses: Vec<&'static str>,
    again: Vec<Option<bool>>,
    outputs: Vec<Option<&'c str>>,
    codes: Vec<Option<std::borrow::Cow<'c, str>>>,
    messages: Vec<Option<std::borrow::Cow<'c, str>>>,
    outputs_stored: Vec<Option<String>>,
}

impl<'c> Ends<'c> {
    fn of(changes: impl Iterator<Item = &'c BranchChange>) -> Self {
        let mut ends = Self::default();
        for change in changes {
            let end = change.end.as_ref();
            let failure = end.and_then(|end| end.failure.as_ref());
            ends.runs.push(change.run.as_uuid());
            ends.branches.push(integer(change.branch.get()));
            ends.times.push(end.map(|end| Time(end.ended_at)));
            ends.statuses.push(end.map_or(BranchStatus::Running, |end| end.status).as_str());
            ends.again.push(end.and_then(|end| end.again));
            let output = end.and_then(|end| end.output.as_ref());
            ends.outputs.push(output.and_then(Value::here));
            ends.outputs_stored.push(output.and_then(Value::stored));
            ends.codes.push(failure.map(|failure| printable(&failure.code)));
            ends.messages.push(failure.map(|failure| printable(&failure.message)));
        }
        ends
    }
}
