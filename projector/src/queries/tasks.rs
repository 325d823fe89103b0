//! What people are asked, page by page, those that have waited longest first.

use std::fmt;
use std::str::FromStr;

use headwater_core::definition::form_of;
use headwater_core::{ActorName, Attempt, InvalidName, Json, NodeAddress, RunId, Slug, Timestamp, WorkspaceId};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Moment, Reads, json, moment, moment_if, page_size, small_number};
use crate::columns::{Time, integer};
use crate::database::DatabaseError;

/// What people are asked by one attempt. Text form: run id, dot, node, dot, attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskId {
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.run, self.node, self.attempt)
    }
}

fn invalid(text: &str, rule: &'static str) -> InvalidName {
    InvalidName { kind: "task", text: text.chars().take(80).collect(), rule }
}

impl FromStr for TaskId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let wrong = || invalid(text, "a run id, a node and an attempt with dots between");
        let (run, rest) = text.split_once('.').ok_or_else(wrong)?;
        let (node, attempt) = rest.split_once('.').ok_or_else(wrong)?;
        let attempt =
            attempt.parse().ok().filter(|attempt| (1..=i32::MAX as u32).contains(attempt)).ok_or_else(wrong)?;
        Ok(Self { run: run.parse()?, node: node.parse().map_err(|_| wrong())?, attempt: Attempt::new(attempt) })
    }
}

/// Where a page of tasks ended. Text form: microseconds, dot, task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TasksAfter {
    pub asked_at: Timestamp,
    pub task: TaskId,
}

impl fmt::Display for TasksAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.asked_at.as_micros(), self.task)
    }
}

impl FromStr for TasksAfter {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let wrong = || invalid(text, "microseconds, a dot, and a task");
        let (micros, task) = text.split_once('.').ok_or_else(wrong)?;
        let micros = micros.parse().map_err(|_| wrong())?;
        let asked_at = Timestamp::try_from_micros(micros).map_err(|_| wrong())?;
        Ok(Self { asked_at, task: task.parse()? })
    }
}

/// Which tasks are listed, of those that are open.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Who may answer them: they are assigned to this name, or to nobody.
    pub assignee: Option<ActorName>,
    pub workflow: Option<Slug>,
    pub run: Option<RunId>,
}

/// What people are asked by one attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    pub task_id: String,
    pub run_id: RunId,
    /// With its branch.
    pub node: String,
    pub attempt: u32,
    pub workflow: String,
    pub version: u32,
    /// `waiting` while it is open, else how its attempt ended.
    pub status: String,
    pub title: String,
    pub description: Option<String>,
    /// None: anybody may answer.
    pub assignees: Json,
    pub quorum: u32,
    /// Who has answered, and when: `{by, at}`.
    pub answers: Json,
    pub asked_at: Moment,
    pub due_at: Option<Moment>,
    pub reminded_at: Option<Moment>,
    pub closed_at: Option<Moment>,
}

/// One of them, with what an answer has to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDetail {
    #[serde(flatten)]
    pub task: TaskView,
    /// A JSON Schema; `null` where the definition is not there.
    pub form: Option<Json>,
}

/// A page of tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPage {
    pub tasks: Vec<TaskView>,
    /// Where the next page begins; absent: there is none.
    pub next: Option<String>,
}

const COLUMNS: &str = "h.run_id, h.node_id, h.branch, h.attempt, h.workflow, h.version, h.status, h.title, h.description,
    h.assignees::text AS assignees, h.quorum, h.answers::text AS answers, h.asked_at, h.due_at, h.reminded_at, h.closed_at";

/// Returns a page of a workspace's open tasks.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
pub async fn tasks(
    reads: &Reads,
    workspace: &WorkspaceId,
    filter: &TaskFilter,
    after: Option<&TasksAfter>,
    limit: u32,
) -> Result<TaskPage, DatabaseError> {
    let (workspace, size) = (workspace.as_str(), page_size(limit));
    let one_more = size + 1;
    let mut sql = format!("SELECT {COLUMNS} FROM human_tasks h WHERE h.workspace = $1 AND h.status = 'waiting'");
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&workspace, &one_more];
    let assignee = filter.assignee.as_ref().map(|name| Json::of(&[name]).as_str().to_owned());
    let workflow = filter.workflow.as_ref().map(Slug::as_str);
    let run = filter.run.map(|run| run.as_uuid());
    if let Some(assignee) = &assignee {
        parameters.push(assignee);
        let number = parameters.len();
        sql += &format!(" AND (assignees = '[]'::jsonb OR assignees @> (${number}::text)::jsonb)");
    }
    if let Some(workflow) = &workflow {
        parameters.push(workflow);
        sql += &format!(" AND workflow = ${}", parameters.len());
    }
    if let Some(run) = &run {
        parameters.push(run);
        sql += &format!(" AND run_id = ${}", parameters.len());
    }
    let after = after.map(|TasksAfter { asked_at, task: TaskId { run, node, attempt } }| {
        let (branch, attempt) = (integer(node.branch().get()), integer(attempt.get()));
        (Time(*asked_at), run.as_uuid(), node.node().as_str(), branch, attempt)
    });
    if let Some((time, run, node, branch, attempt)) = &after {
        let first = parameters.len() + 1;
        parameters.extend([time as &(dyn ToSql + Sync), run, node, branch, attempt]);
        let places: Vec<String> = (first..first + 5).map(|number| format!("${number}")).collect();
        sql += &format!(" AND (asked_at, run_id, node_id, branch, attempt) > ({})", places.join(", "));
    }
    sql += " ORDER BY asked_at, run_id, node_id, branch, attempt LIMIT $2";
    let rows = reads.rows(&sql, &parameters).await?;
    let seen: Vec<(TaskView, TaskId)> = rows.iter().take(size.unsigned_abs() as usize).filter_map(view).collect();
    let last = seen.last().filter(|_| rows.len() > seen.len());
    let next = last.map(|(view, task)| TasksAfter { asked_at: view.asked_at.0, task: task.clone() }.to_string());
    Ok(TaskPage { tasks: seen.into_iter().map(|(view, _)| view).collect(), next })
}

/// Returns a task of a workspace, open or not. `None`: there is none of that id.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
pub async fn task(
    reads: &Reads,
    workspace: &WorkspaceId,
    TaskId { run, node, attempt }: &TaskId,
) -> Result<Option<TaskDetail>, DatabaseError> {
    let sql = format!(
        "SELECT {COLUMNS}, d.document::text AS document FROM human_tasks h
               LEFT JOIN workflow_defs d ON (d.workspace, d.slug, d.version) = (h.workspace, h.workflow, h.version)
               WHERE h.workspace = $1 AND h.run_id = $2 AND h.node_id = $3 AND h.branch = $4 AND h.attempt = $5"
    );
    let (branch, attempt) = (integer(node.branch().get()), integer(attempt.get()));
    let node = node.node().as_str();
    let rows = reads.rows(&sql, &[&workspace.as_str(), &run.as_uuid(), &node, &branch, &attempt]).await?;
    Ok(rows.first().and_then(|row| {
        let document = row.get::<_, Option<String>>("document").and_then(|text| Json::from_text(text).ok());
        let form = document.and_then(|document| form_of(&document, node));
        view(row).map(|(task, _)| TaskDetail { task, form })
    }))
}

/// `None` where the row names what is no node.
fn view(row: &Row) -> Option<(TaskView, TaskId)> {
    let node: &str = row.get("node_id");
    let branch = headwater_core::BranchId::new(small_number(row, "branch"));
    let task = TaskId {
        run: RunId::from_uuid(row.get("run_id")),
        node: NodeAddress::new(node.parse().ok()?, branch),
        attempt: Attempt::new(small_number(row, "attempt").max(1)),
    };
    let view = TaskView {
        task_id: task.to_string(),
        run_id: task.run,
        node: task.node.to_string(),
        attempt: task.attempt.get(),
        workflow: row.get("workflow"),
        version: small_number(row, "version"),
        status: row.get("status"),
        title: row.get("title"),
        description: row.get("description"),
        assignees: json(row, "assignees"),
        quorum: small_number(row, "quorum"),
        answers: json(row, "answers"),
        asked_at: moment(row, "asked_at"),
        due_at: moment_if(row, "due_at"),
        reminded_at: moment_if(row, "reminded_at"),
        closed_at: moment_if(row, "closed_at"),
    };
    Some((view, task))
}
