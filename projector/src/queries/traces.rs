//! The attempts of a run: all of a narrow one at once, page by page of a wide one.

use std::fmt;
use std::str::FromStr;

use headwater_core::run::NodeStatus;
use headwater_core::{BranchId, InvalidName, Json, NodeId, RunId, StoredValue, WorkspaceId};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Moment, Reads, json, json_if, long_page_size, moment_if, small_number, stored_if};
use crate::columns::integer;
use crate::database::DatabaseError;

/// One attempt of a node; attempt 0 says how a node ended that was never tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceView {
    pub node_id: String,
    /// Where the node happens: 0 is the run itself.
    pub branch: u32,
    pub attempt: u32,
    pub status: String,
    pub worker: Option<String>,
    pub scheduled_at: Option<Moment>,
    pub started_at: Option<Moment>,
    pub finished_at: Option<Moment>,
    /// When a sleep or the wait for a retry ends.
    pub wakes_at: Option<Moment>,
    pub input: Option<Json>,
    /// Present: the input is so large that it stands in the store of values, and `input` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_stored: Option<StoredValue>,
    pub output: Option<Json>,
    /// The same of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_stored: Option<StoredValue>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// What the failure says for programs: an object.
    pub error_details: Option<Json>,
    /// The node has failed with it, and the definition lets the run go on.
    pub tolerated: bool,
    /// The run that it calls, where it calls one.
    pub child_run_id: Option<RunId>,
    /// Who had made the output before: `{run, node}`, where the node did not make it itself.
    pub reused: Option<Json>,
}

/// Which attempts are listed.
#[derive(Debug, Clone, Default)]
pub struct TraceFilter {
    pub node: Option<NodeId>,
    pub branch: Option<BranchId>,
    pub status: Option<NodeStatus>,
}

/// A page of attempts, by node, branch and attempt: an order that nothing that happens changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracePage {
    pub traces: Vec<TraceView>,
    /// Where the next page begins; absent: there is none.
    pub next: Option<String>,
}

/// Where a page of attempts ended. Text form: the row's number of an attempt, branch, node id, with dots between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesAfter {
    pub attempt: u32,
    pub branch: BranchId,
    pub node: NodeId,
}

impl fmt::Display for TracesAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.attempt, self.branch.get(), self.node)
    }
}

impl FromStr for TracesAfter {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = "the number of an attempt, a dot, that of a branch, a dot, and a node id";
        let invalid = || InvalidName { kind: "page", text: text.chars().take(80).collect(), rule };
        let mut parts = text.splitn(3, '.');
        let mut number = || parts.next()?.parse::<u32>().ok();
        let (attempt, branch) = (number().ok_or_else(invalid)?, number().ok_or_else(invalid)?);
        let node = parts.next().ok_or_else(invalid)?.parse()?;
        Ok(Self { attempt, branch: BranchId::new(branch), node })
    }
}

/// The most attempts in the answer that has everything about a run.
pub const TRACES_MAX: u32 = 1_000;

/// How often a node was tried by the time of a row of `traces` as `t`. What waits for assets, or ended so, has the row of its
/// first attempt before that begins: it was never tried.
pub(super) const TRIED: &str = "CASE WHEN t.attempt = 1 AND t.scheduled_at IS NULL AND t.started_at IS NULL
                                      AND t.status IN ('waiting', 'failed', 'cancelled') THEN 0 ELSE t.attempt END";

impl Reads {
    /// Returns a page of a run's attempts. `None`: the workspace has no such run.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
    pub async fn traces(
        &self,
        workspace: &WorkspaceId,
        run: RunId,
        filter: &TraceFilter,
        after: Option<TracesAfter>,
        limit: u32,
    ) -> Result<Option<TracePage>, DatabaseError> {
        let (id, workspace) = (run.as_uuid(), workspace.as_str());
        let found = "SELECT input, input_stored FROM workflow_runs WHERE run_id = $1 AND workspace = $2";
        let found = self.rows(found, &[&id, &workspace]).await?;
        let Some(input) = found.first().map(RunInput::of) else { return Ok(None) };
        let size = long_page_size(limit);
        let one_more = size + 1;
        let node = filter.node.as_ref().map(NodeId::as_str);
        let branch = filter.branch.map(|branch| integer(branch.get()));
        let status = filter.status.map(NodeStatus::as_str);
        let after = after.map(|after| (after.node.to_string(), integer(after.branch.get()), integer(after.attempt)));
        let mut sql = format!("SELECT t.*, {TRIED} AS tried FROM traces t WHERE run_id = $1");
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&id, &one_more];
        let conditions = [
            ("node_id", node.as_ref().map(|node| node as &(dyn ToSql + Sync))),
            ("branch", branch.as_ref().map(|branch| branch as &(dyn ToSql + Sync))),
            ("status", status.as_ref().map(|status| status as &(dyn ToSql + Sync))),
        ];
        for (column, value) in conditions {
            let Some(value) = value else { continue };
            parameters.push(value);
            sql += &format!(" AND {column} = ${}", parameters.len());
        }
        if let Some((node, branch, attempt)) = &after {
            let first = parameters.len() + 1;
            parameters.extend([node as &(dyn ToSql + Sync), branch, attempt]);
            sql += &format!(" AND (node_id, branch, attempt) > (${first}, ${}, ${})", first + 1, first + 2);
        }
        sql += " ORDER BY node_id, branch, attempt LIMIT $2";
        let rows = self.rows(&sql, &parameters).await?;
        let shown = &rows[..rows.len().min(size.unsigned_abs() as usize)];
        let next = shown.last().filter(|_| rows.len() > shown.len()).and_then(place);
        Ok(Some(TracePage { traces: shown.iter().map(|row| trace(row, &input)).collect(), next }))
    }
}

/// Returns the attempts of a run that came to be first, in that order, and whether there are more.
pub(super) async fn first_traces(
    reads: &Reads,
    run: RunId,
    input: &RunInput,
) -> Result<(Vec<TraceView>, bool), DatabaseError> {
    let sql = format!(
        "SELECT t.*, {TRIED} AS tried FROM traces t WHERE run_id = $1
             ORDER BY coalesce(scheduled_at, started_at, wakes_at, finished_at), branch, node_id, attempt LIMIT $2"
    );
    let rows = reads.rows(&sql, &[&run.as_uuid(), &(i64::from(TRACES_MAX) + 1)]).await?;
    let traces = rows.iter().take(TRACES_MAX as usize).map(|row| trace(row, input)).collect();
    Ok((traces, rows.len() > TRACES_MAX as usize))
}

/// Returns the page mark of a row.
fn place(row: &Row) -> Option<String> {
    let node = row.get::<_, &str>("node_id").parse().ok()?;
    let branch = BranchId::new(small_number(row, "branch"));
    Some(TracesAfter { attempt: small_number(row, "attempt"), branch, node }.to_string())
}

/// The input of a run: here, or what it goes by in the store of values.
pub(super) struct RunInput {
    pub input: Json,
    pub input_stored: Option<StoredValue>,
}

impl RunInput {
    pub fn of(row: &Row) -> Self {
        Self { input: json(row, "input"), input_stored: stored_if(row, "input_stored") }
    }
}

fn trace(row: &Row, run: &RunInput) -> TraceView {
    let scheduled_at = moment_if(row, "scheduled_at");
    // Scheduled without an input of its own, a node gets the run's.
    let (input, input_stored) = match (json_if(row, "input"), stored_if(row, "input_stored")) {
        (None, None) if scheduled_at.is_some() && run.input_stored.is_some() => (None, run.input_stored),
        (None, None) => (scheduled_at.map(|_| run.input.clone()), None),
        own => own,
    };
    TraceView {
        node_id: row.get("node_id"),
        branch: small_number(row, "branch"),
        attempt: small_number(row, "tried"),
        status: row.get("status"),
        worker: row.get("worker"),
        scheduled_at,
        started_at: moment_if(row, "started_at"),
        finished_at: moment_if(row, "finished_at"),
        wakes_at: moment_if(row, "wakes_at"),
        input,
        input_stored,
        output: json_if(row, "output"),
        output_stored: stored_if(row, "output_stored"),
        error_code: row.get("error_code"),
        error_message: row.get("error_message"),
        error_details: json_if(row, "error_details"),
        tolerated: row.get::<_, Option<bool>>("tolerated").unwrap_or(false),
        child_run_id: row.get::<_, Option<uuid::Uuid>>("child_run_id").map(RunId::from_uuid),
        reused: json_if(row, "reused"),
    }
}
