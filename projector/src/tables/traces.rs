//! `traces`: every attempt of every node, and how nodes ended that were never tried.

use deadpool_postgres::Transaction;
use headwater_core::dialogue::Asker;
use headwater_core::run::RunFailure;
use headwater_core::{Json, NodeAddress, RunId, Timestamp, WorkerId};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio_postgres::types::ToSql;

use super::{Kind, Table, Value};
use crate::columns::{Time, integer};
use crate::write::{CopyRows, WriteError, column, execute, printable};

/// The table.
pub const TABLE: Table = Table {
    name: "traces",
    columns: &[
        Kind::Uuid.named("run_id"),
        Kind::Time.maybe("scheduled_at"),
        Kind::Time.maybe("started_at"),
        Kind::Time.maybe("finished_at"),
        Kind::Time.maybe("wakes_at"),
        Kind::Integer.named("attempt"),
        Kind::Integer.named("branch"),
        Kind::Text.named("node_id"),
        Kind::Text.named("status"),
        Kind::Text.maybe("worker"),
        Kind::Text.maybe("input"),
        Kind::Text.maybe("output"),
        Kind::Text.maybe("error_code"),
        Kind::Text.maybe("error_message"),
        Kind::Text.maybe("error_details"),
        Kind::Boolean.maybe("tolerated"),
        Kind::Uuid.maybe("child_run_id"),
        Kind::Text.maybe("input_stored"),
        Kind::Text.maybe("output_stored"),
        Kind::Text.maybe("reused"),
    ],
};

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceStatus {
    /// It is to come: assets, a retry or the end of a sleep are awaited.
    Waiting,
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    Succeeded,
    Failed,
    /// The node was never tried: all ways to it are dead.
    Skipped,
    Cancelled,
}

impl TraceStatus {
    /// Returns the word of `NodeStatus` that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether something is still to be learned of the attempt.
    pub fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Queued | Self::Running => true,
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled => false,
        }
    }
}

/// A change of one row. Of two changes of the same row the later one wins wherever it says something.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceChange {
    pub run: RunId,
    pub node: NodeAddress,
    /// [`TraceChange::UNTRIED`] or the number of an [`headwater_core::Attempt`].
    pub attempt: u32,
    /// No earlier batch can have written the row, as far as the rules go.
    pub is_new: bool,
    pub status: TraceStatus,
    pub worker: Option<WorkerId>,
    pub scheduled_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// When the wait of a sleep or for a retry ends.
    pub wakes_at: Option<Timestamp>,
    pub input: Option<Value>,
    pub output: Option<Value>,
    pub failure: Option<RunFailure>,
    /// Whether the run goes on after it, where that is known.
    pub tolerated: Option<bool>,
    /// The run that it calls.
    pub child: Option<RunId>,
    /// Who had made its output before.
    pub reused: Option<Asker>,
}

impl TraceChange {
    /// Stands where the number of an attempt would, for a node without one.
    pub const UNTRIED: u32 = 0;
}

/// The end of a node whose current attempt the batch does not name: closes the row of its highest attempt where that
/// is open, else becomes its row [`TraceChange::UNTRIED`]. Written before the batch's other traces.
#[derive(Debug, Clone, PartialEq)]
pub struct SettledNode {
    pub run: RunId,
    pub node: NodeAddress,
    pub status: TraceStatus,
    pub finished_at: Timestamp,
    pub failure: Option<RunFailure>,
    pub tolerated: Option<bool>,
}

/// The nodes of a batch that are settled so, each once.
#[derive(Debug, Default)]
pub struct SettledNodes {
    rows: Vec<SettledNode>,
    known: FxHashSet<(RunId, NodeAddress)>,
}

impl SettledNodes {
    /// Takes a node; gives back one that is known.
    pub(crate) fn insert(&mut self, node: SettledNode) -> Option<SettledNode> {
        if !self.known.insert((node.run, node.node.clone())) {
            return Some(node);
        }
        self.rows.push(node);
        None
    }

    /// Returns them in journal order.
    pub fn rows(&self) -> &[SettledNode] {
        &self.rows
    }
}

/// The changes of a batch, one for each attempt, in the order of their first.
#[derive(Debug, Default)]
pub struct TraceChanges {
    rows: Vec<Linked>,
    /// Of each node the row of its highest attempt; the lower ones hang behind it.
    highest: FxHashMap<(RunId, NodeAddress), usize>,
}

#[derive(Debug)]
struct Linked {
    row: TraceChange,
    lower: Option<usize>,
}

impl TraceChanges {
    /// Returns the changes.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &TraceChange> {
        self.rows.iter().map(|linked| &linked.row)
    }

    /// Returns the change of the highest attempt of a node that the batch knows.
    pub(crate) fn highest(&mut self, run: RunId, node: &NodeAddress) -> Option<&mut TraceChange> {
        let at = *self.highest.get(&(run, node.clone()))?;
        Some(&mut self.rows[at].row)
    }

    /// Returns the change of an attempt, a new one with `status` where the batch has none.
    pub(crate) fn of(&mut self, run: RunId, node: &NodeAddress, attempt: u32, status: TraceStatus) -> &mut TraceChange {
        let next = self.rows.len();
        let slot = self.highest.entry((run, node.clone())).or_insert(next);
        let (mut above, mut at) = (None, (*slot < next).then_some(*slot));
        while let Some(here) = at.filter(|&here| self.rows[here].row.attempt > attempt) {
            (above, at) = (Some(here), self.rows[here].lower);
        }
        if let Some(here) = at.filter(|&here| self.rows[here].row.attempt == attempt) {
            let row = &mut self.rows[here].row;
            row.status = status;
            return row;
        }
        match above {
            None => *slot = next,
            Some(above) => self.rows[above].lower = Some(next),
        }
        let row = TraceChange {
            run,
            node: node.clone(),
            attempt,
            is_new: false,
            status,
            worker: None,
            scheduled_at: None,
            started_at: None,
            finished_at: None,
            wakes_at: None,
            input: None,
            output: None,
            failure: None,
            tolerated: None,
            child: None,
            reused: None,
        };
        self.rows.push(Linked { row, lower: at });
        &mut self.rows[next].row
    }

    /// As [`Self::of`], for an event that makes the row.
    pub(crate) fn opened(
        &mut self,
        run: RunId,
        node: &NodeAddress,
        attempt: u32,
        status: TraceStatus,
    ) -> &mut TraceChange {
        let before = self.rows.len();
        self.of(run, node, attempt, status);
        if self.rows.len() > before {
            self.rows[before].row.is_new = true;
            return &mut self.rows[before].row;
        }
        self.of(run, node, attempt, status)
    }
}

fn details(failure: &RunFailure) -> Option<&str> {
    failure.details.as_ref().map(Json::as_str)
}

/// Writes rows that are new.
pub(crate) async fn write_new<'a>(
    transaction: &Transaction<'_>,
    changes: impl Iterator<Item = &'a TraceChange>,
) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, 64 * 1024);
    for change in changes {
        let failure = change.failure.as_ref();
        rows.row()
            .uuid(change.run.as_uuid())
            .time_or_null(change.scheduled_at)
            .time_or_null(change.started_at)
            .time_or_null(change.finished_at)
            .time_or_null(change.wakes_at)
            .integer(integer(change.attempt))
            .integer(integer(change.node.branch().get()))
            .text(change.node.node().as_str())
            .text(change.status.as_str())
            .text_or_null(change.worker.as_ref().map(|worker| worker.as_str()))
            .text_or_null(change.input.as_ref().and_then(Value::here))
            .text_or_null(change.output.as_ref().and_then(Value::here))
            .text_or_null(failure.map(|failure| printable(&failure.code)).as_deref())
            .text_or_null(failure.map(|failure| printable(&failure.message)).as_deref())
            .text_or_null(failure.and_then(details))
            .boolean_or_null(change.tolerated)
            .uuid_or_null(change.child.map(RunId::as_uuid))
            .text_or_null(change.input.as_ref().and_then(Value::stored).as_deref())
            .text_or_null(change.output.as_ref().and_then(Value::stored).as_deref())
            .text_or_null(change.reused.as_ref().map(Json::of).as_ref().map(|json| json.as_str()));
    }
    rows.write(transaction).await
}

/// What a later change of an attempt says wins; what it leaves open stays.
macro_rules! later_wins {
    () => {
        "ON CONFLICT (run_id, node_id, branch, attempt) DO UPDATE SET
             status = excluded.status,
             worker = coalesce(excluded.worker, t.worker),
             scheduled_at = coalesce(excluded.scheduled_at, t.scheduled_at),
             started_at = coalesce(excluded.started_at, t.started_at),
             finished_at = coalesce(excluded.finished_at, t.finished_at),
             wakes_at = coalesce(excluded.wakes_at, t.wakes_at),
             input = coalesce(excluded.input, t.input),
             output = coalesce(excluded.output, t.output),
             error_code = coalesce(excluded.error_code, t.error_code),
             error_message = coalesce(excluded.error_message, t.error_message),
             error_details = coalesce(excluded.error_details, t.error_details),
             tolerated = coalesce(excluded.tolerated, t.tolerated),
             child_run_id = coalesce(excluded.child_run_id, t.child_run_id),
             input_stored = coalesce(excluded.input_stored, t.input_stored),
             output_stored = coalesce(excluded.output_stored, t.output_stored),
             reused = coalesce(excluded.reused, t.reused)"
    };
}

/// Closes attempts that the batch does not know.
pub(crate) async fn write_settled(transaction: &Transaction<'_>, nodes: &[SettledNode]) -> Result<(), WriteError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let sql = concat!(
        "INSERT INTO traces AS t (run_id, node_id, branch, attempt, status, finished_at, error_code, error_message,
                                  error_details, tolerated)
         SELECT u.run_id, u.node_id, u.branch,
                coalesce((SELECT CASE WHEN h.status IN ('waiting', 'queued', 'running') THEN h.attempt END
                          FROM traces h WHERE h.run_id = u.run_id AND h.node_id = u.node_id AND h.branch = u.branch
                          ORDER BY h.attempt DESC LIMIT 1), 0),
                u.status, u.finished_at, u.error_code, u.error_message, u.error_details, u.tolerated
         FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
                     $9::bool[])
             AS u (run_id, node_id, branch, status, finished_at, error_code, error_message, error_details, tolerated) ",
        later_wins!()
    );
    let runs = column(nodes, |node| node.run.as_uuid());
    let ids = column(nodes, |node| node.node.node().as_str());
    let branches = column(nodes, |node| integer(node.node.branch().get()));
    let statuses = column(nodes, |node| node.status.as_str());
    let times = column(nodes, |node| Time(node.finished_at));
    let codes = column(nodes, |node| node.failure.as_ref().map(|failure| printable(&failure.code)));
    let messages = column(nodes, |node| node.failure.as_ref().map(|failure| printable(&failure.message)));
    let details = column(nodes, |node| node.failure.as_ref().and_then(details));
    let tolerated = column(nodes, |node| node.tolerated);
    execute(transaction, sql, &[&runs, &ids, &branches, &statuses, &times, &codes, &messages, &details, &tolerated])
        .await
}

/// Writes changes of rows that may be there.
pub(crate) async fn write_changed(transaction: &Transaction<'_>, changes: Vec<&TraceChange>) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = format!("{} {}", TABLE.insert_from_arrays(), later_wins!());
    let rows = &changes[..];
    let runs = column(rows, |row| row.run.as_uuid());
    let nodes = column(rows, |row| row.node.node().as_str());
    let branches = column(rows, |row| integer(row.node.branch().get()));
    let attempts = column(rows, |row| integer(row.attempt));
    let statuses = column(rows, |row| row.status.as_str());
    let workers = column(rows, |row| row.worker.as_ref().map(|worker| worker.as_str()));
    let scheduled = column(rows, |row| row.scheduled_at.map(Time));
    let started = column(rows, |row| row.started_at.map(Time));
    let finished = column(rows, |row| row.finished_at.map(Time));
    let wakes = column(rows, |row| row.wakes_at.map(Time));
    let inputs = column(rows, |row| row.input.as_ref().and_then(Value::here));
    let outputs = column(rows, |row| row.output.as_ref().and_then(Value::here));
    let codes = column(rows, |row| row.failure.as_ref().map(|failure| printable(&failure.code)));
    let messages = column(rows, |row| row.failure.as_ref().map(|failure| printable(&failure.message)));
    let details = column(rows, |row| row.failure.as_ref().and_then(details));
    let tolerated = column(rows, |row| row.tolerated);
    let children = column(rows, |row| row.child.map(RunId::as_uuid));
    let inputs_stored = column(rows, |row| row.input.as_ref().and_then(Value::stored));
    let outputs_stored = column(rows, |row| row.output.as_ref().and_then(Value::stored));
    let reused: Vec<_> = rows.iter().map(|row| row.reused.as_ref().map(Json::of)).collect();
    let reused = column(&reused, |json| json.as_ref().map(|json| json.as_str()));
    let columns: [&(dyn ToSql + Sync); 20] = [
        &runs,
        &scheduled,
        &started,
        &finished,
        &wakes,
        &attempts,
        &branches,
        &nodes,
        &statuses,
        &workers,
        &inputs,
        &outputs,
        &codes,
        &messages,
        &details,
        &tolerated,
        &children,
        &inputs_stored,
        &outputs_stored,
        &reused,
    ];
    execute(transaction, &sql, &columns).await
}
