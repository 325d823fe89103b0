//! The branches of a run, page by page.

use headwater_core::{BranchId, Json, NodeId, RunId, StoredValue, WorkspaceId};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Moment, Reads, json_if, long_page_size, moment, moment_if, small_number, stored_if};
use crate::columns::integer;
use crate::database::DatabaseError;
use crate::tables::BranchStatus;

/// Which branches are listed.
#[derive(Debug, Clone, Default)]
pub struct BranchFilter {
    /// The node that opened them.
    pub node: Option<NodeId>,
    /// The branch that they lie in; 0 is the run itself.
    pub parent: Option<BranchId>,
    pub status: Option<BranchStatus>,
}

/// One pass through the body of a `forEach`, or through a loop.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchView {
    pub branch: u32,
    pub parent_branch: u32,
    pub node_id: String,
    /// `item` or `turn`.
    pub kind: String,
    /// Which item or turn, from 0.
    pub position: u32,
    pub status: String,
    /// Of a turn that has ended: whether another follows.
    pub again: Option<bool>,
    pub output: Option<Json>,
    /// Present: the output is so large that it stands in the store of values, and `output` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_stored: Option<StoredValue>,
    pub error: Option<BranchError>,
    pub opened_at: Moment,
    pub ended_at: Option<Moment>,
}

/// What a branch failed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchError {
    pub code: String,
    pub message: String,
}

/// A page of branches, in the order in which they were opened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchPage {
    pub branches: Vec<BranchView>,
    /// Where the next page begins: the number of the last branch; absent: there is none.
    pub next: Option<String>,
}

/// Returns a page of a run's branches. `None`: the workspace has no such run.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
pub async fn branches(
    reads: &Reads,
    workspace: &WorkspaceId,
    run: RunId,
    filter: &BranchFilter,
    after: Option<u32>,
    limit: u32,
) -> Result<Option<BranchPage>, DatabaseError> {
    let (id, workspace) = (run.as_uuid(), workspace.as_str());
    let found = "SELECT FROM workflow_runs WHERE run_id = $1 AND workspace = $2";
    if reads.rows(found, &[&id, &workspace]).await?.is_empty() {
        return Ok(None);
    }
    let (size, after) = (long_page_size(limit), integer(after.unwrap_or(0)));
    let one_more = size + 1;
    let node = filter.node.as_ref().map(NodeId::as_str);
    let parent = filter.parent.map(|parent| integer(parent.get()));
    let status = filter.status.map(BranchStatus::as_str);
    let mut sql = "SELECT * FROM branches WHERE run_id = $1 AND branch > $3".to_owned();
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&id, &one_more, &after];
    let conditions = [
        ("node_id", node.as_ref().map(|node| node as &(dyn ToSql + Sync))),
        ("parent_branch", parent.as_ref().map(|parent| parent as &(dyn ToSql + Sync))),
        ("status", status.as_ref().map(|status| status as &(dyn ToSql + Sync))),
    ];
    for (column, value) in conditions {
        let Some(value) = value else { continue };
        parameters.push(value);
        sql += &format!(" AND {column} = ${}", parameters.len());
    }
    sql += " ORDER BY branch LIMIT $2";
    let rows = reads.rows(&sql, &parameters).await?;
    let branches: Vec<_> = rows.iter().take(size.unsigned_abs() as usize).map(branch).collect();
    let next = branches.last().filter(|_| rows.len() > branches.len()).map(|last| last.branch.to_string());
    Ok(Some(BranchPage { branches, next }))
}

fn branch(row: &Row) -> BranchView {
    let code = row.get::<_, Option<String>>("error_code");
    BranchView {
        branch: small_number(row, "branch"),
        parent_branch: small_number(row, "parent_branch"),
        node_id: row.get("node_id"),
        kind: row.get("kind"),
        position: small_number(row, "position"),
        status: row.get("status"),
        again: row.get("again"),
        output: json_if(row, "output"),
        output_stored: stored_if(row, "output_stored"),
        error: code.map(|code| BranchError {
            code,
            message: row.get::<_, Option<String>>("error_message").unwrap_or_default(),
        }),
        opened_at: moment(row, "opened_at"),
        ended_at: moment_if(row, "ended_at"),
    }
}
