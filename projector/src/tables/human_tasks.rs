//! `human_tasks`: what people are asked.

use deadpool_postgres::Transaction;
use headwater_core::run::PersonTask;
use headwater_core::{Actor, ActorName, Attempt, Json, NodeAddress, RunId, Timestamp};
use rustc_hash::FxHashMap;
use serde::Serialize;
use tokio_postgres::types::ToSql;

use super::{Kind, Table};
use crate::columns::{Time, integer};
use crate::fold::Changes;
use crate::write::{WriteError, column, execute, printable};

/// The table.
pub const TABLE: Table = Table {
    name: "human_tasks",
    columns: &[
        Kind::Uuid.named("run_id"),
        Kind::Time.named("asked_at"),
        Kind::Time.maybe("due_at"),
        Kind::Time.maybe("reminded_at"),
        Kind::Time.maybe("closed_at"),
        Kind::Integer.named("branch"),
        Kind::Integer.named("attempt"),
        Kind::Integer.named("version"),
        Kind::Integer.named("quorum"),
        Kind::Text.named("node_id"),
        Kind::Text.named("workspace"),
        Kind::Text.named("workflow"),
        Kind::Text.named("status"),
        Kind::Text.named("title"),
        Kind::Text.maybe("description"),
        Kind::Jsonb.named("assignees"),
        Kind::Jsonb.named("answers"),
    ],
};

/// A change of one row. Where it stands follows from its attempt's trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskChange {
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
    /// The row is new: since then this is asked.
    pub asked: Option<(Timestamp, PersonTask)>,
    pub assignees: Option<Vec<ActorName>>,
    pub reminded_at: Option<Timestamp>,
    /// Those that come behind what the row has.
    pub answers: Vec<TaskAnswer>,
}

/// Who answered, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskAnswer {
    by: Actor,
    at: String,
}

impl TaskAnswer {
    pub(crate) fn of(by: Actor, at: Timestamp) -> Self {
        Self { by, at: at.to_string() }
    }
}

/// The changes of a batch, one for each attempt, in the order of their first.
#[derive(Debug, Default)]
pub struct TaskChanges {
    rows: Vec<TaskChange>,
    index: FxHashMap<(RunId, NodeAddress, Attempt), usize>,
}

impl TaskChanges {
    /// Returns the changes.
    pub fn rows(&self) -> &[TaskChange] {
        &self.rows
    }

    pub(crate) fn of(&mut self, run: RunId, node: &NodeAddress, attempt: Attempt) -> &mut TaskChange {
        let at = *self.index.entry((run, node.clone(), attempt)).or_insert_with(|| {
            let (node, answers) = (node.clone(), Vec::new());
            self.rows.push(TaskChange { run, node, attempt, asked: None, assignees: None, reminded_at: None, answers });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }
}

impl TaskChange {
    fn assigned(&self) -> Option<String> {
        let first = self.asked.as_ref().map(|(_, task)| &task.assignees);
        self.assignees.as_ref().or(first).map(|names| Json::of(names).as_str().to_owned())
    }

    fn answered(&self) -> String {
        Json::of(&self.answers).as_str().to_owned()
    }
}

/// Writes what was asked and what came of it; the rows of runs stand already, and so do those of attempts.
pub(crate) async fn write(transaction: &Transaction<'_>, changes: &Changes) -> Result<(), WriteError> {
    let rows = changes.tasks.rows();
    let (asked, changed): (Vec<&TaskChange>, Vec<&TaskChange>) = rows.iter().partition(|row| row.asked.is_some());
    write_asked(transaction, &asked).await?;
    write_changed(transaction, &changed).await?;
    let closed = changes.traces.rows().filter(|row| !row.status.is_open()).map(|row| row.run.as_uuid());
    let settled = changes.settled.rows().iter().map(|row| row.run.as_uuid());
    let mut runs: Vec<uuid::Uuid> = closed.chain(settled).collect();
    runs.sort_unstable();
    runs.dedup();
    if runs.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE human_tasks h SET status = t.status, closed_at = t.finished_at FROM traces t
               WHERE h.run_id = ANY($1) AND h.status = 'waiting' AND t.status <> 'waiting'
               AND t.run_id = h.run_id AND t.node_id = h.node_id AND t.branch = h.branch AND t.attempt = h.attempt";
    execute(transaction, sql, &[&runs]).await
}

/// Makes the tasks of a run that was released stand where its attempts do.
pub(crate) async fn follow_release(transaction: &Transaction<'_>, run: RunId) -> Result<(), WriteError> {
    let run = run.as_uuid();
    let sql = "DELETE FROM human_tasks h WHERE h.run_id = $1 AND NOT EXISTS (
                   SELECT 1 FROM traces t WHERE t.run_id = h.run_id AND t.node_id = h.node_id AND t.branch = h.branch
                                            AND t.attempt = h.attempt)";
    execute(transaction, sql, &[&run]).await?;
    let sql = "UPDATE human_tasks h SET status = t.status, closed_at = t.finished_at FROM traces t
               WHERE h.run_id = $1 AND t.run_id = h.run_id AND t.node_id = h.node_id AND t.branch = h.branch
               AND t.attempt = h.attempt";
    execute(transaction, sql, &[&run]).await
}

async fn write_asked(transaction: &Transaction<'_>, rows: &[&TaskChange]) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO human_tasks (run_id, asked_at, due_at, reminded_at, branch, attempt, version, quorum, node_id,
                                        workspace, workflow, status, title, description, assignees, answers)
               SELECT u.run_id, u.asked_at, u.due_at, u.reminded_at, u.branch, u.attempt, r.version, u.quorum, u.node_id,
                      r.workspace, r.workflow, 'waiting', u.title, u.description, u.assignees::jsonb, u.answers::jsonb
               FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::int4[], $6::int4[],
                           $7::int4[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
                   AS u (run_id, asked_at, due_at, reminded_at, branch, attempt, quorum, node_id, title, description,
                         assignees, answers)
               JOIN workflow_runs r ON r.run_id = u.run_id
               ON CONFLICT (run_id, node_id, branch, attempt) DO UPDATE SET
                   asked_at = excluded.asked_at, due_at = excluded.due_at, reminded_at = excluded.reminded_at,
                   closed_at = NULL, quorum = excluded.quorum, status = excluded.status, title = excluded.title,
                   description = excluded.description, assignees = excluded.assignees, answers = excluded.answers";
    let task = |row: &&&TaskChange| row.asked.clone().map(|(_, task)| task);
    let tasks: Vec<Option<PersonTask>> = rows.iter().map(|row| task(&row)).collect();
    let of = |of: fn(&PersonTask) -> Option<Timestamp>| column(&tasks, |task| task.as_ref().and_then(of).map(Time));
    let runs = column(rows, |row| row.run.as_uuid());
    let asked_at = column(rows, |row| row.asked.as_ref().map(|(at, _)| Time(*at)));
    let due_at = of(|task| task.due_at);
    let reminded_at = column(rows, |row| row.reminded_at.map(Time));
    let branches = column(rows, |row| integer(row.node.branch().get()));
    let attempts = column(rows, |row| integer(row.attempt.get()));
    let quorums = column(&tasks, |task| task.as_ref().map(|task| integer(task.quorum)));
    let nodes = column(rows, |row| row.node.node().as_str());
    let titles = column(&tasks, |task| task.as_ref().map(|task| printable(&task.title).into_owned()));
    let description = |task: &PersonTask| task.description.as_deref().map(|text| printable(text).into_owned());
    let descriptions = column(&tasks, |task| task.as_ref().and_then(description));
    let assignees = column(rows, |row| row.assigned());
    let answers = column(rows, |row| row.answered());
    let columns: [&(dyn ToSql + Sync); 12] = [
        &runs,
        &asked_at,
        &due_at,
        &reminded_at,
        &branches,
        &attempts,
        &quorums,
        &nodes,
        &titles,
        &descriptions,
        &assignees,
        &answers,
    ];
    execute(transaction, sql, &columns).await
}

async fn write_changed(transaction: &Transaction<'_>, rows: &[&TaskChange]) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE human_tasks h
               SET reminded_at = coalesce(u.reminded_at, h.reminded_at),
                   assignees = coalesce(u.assignees::jsonb, h.assignees), answers = h.answers || u.answers::jsonb
               FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::int4[], $5::timestamptz[], $6::text[], $7::text[])
                   AS u (run_id, node_id, branch, attempt, reminded_at, assignees, answers)
               WHERE h.run_id = u.run_id AND h.node_id = u.node_id AND h.branch = u.branch AND h.attempt = u.attempt";
    let runs = column(rows, |row| row.run.as_uuid());
    let nodes = column(rows, |row| row.node.node().as_str());
    let branches = column(rows, |row| integer(row.node.branch().get()));
    let attempts = column(rows, |row| integer(row.attempt.get()));
    let reminded_at = column(rows, |row| row.reminded_at.map(Time));
    let assignees = column(rows, |row| row.assigned());
    let answers = column(rows, |row| row.answered());
    let columns: [&(dyn ToSql + Sync); 7] = [&runs, &nodes, &branches, &attempts, &reminded_at, &assignees, &answers];
    execute(transaction, sql, &columns).await
}
