//! Where the nodes of a run stand, each in one word however often it happens.
//!
//! A node that happens in branches stands where they stand together. Of a loop only the last turn counts, and what lies in it. Of
//! the items of a `forEach` all count: a node of its body is open as long as one of them has not come past it, and then what the
//! worst of them is.

use std::collections::BTreeMap;

use headwater_core::RunId;
use serde::Serialize;
use tokio_postgres::Row;

use super::traces::TRIED;
use super::{Reads, number};
use crate::database::DatabaseError;

/// Where a node of a run stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    pub node_id: String,
    pub name: Option<String>,
    pub kind: String,
    /// The node with the `forEach` whose body it is in.
    pub body_of: Option<String>,
    pub status: String,
    /// How often it was tried, so far, in all its branches.
    pub attempts: u64,
    /// It has failed, and the definition lets the run go on.
    pub tolerated: bool,
    /// `run_ended`: the run ended before it came to this node. Absent where it did, and where the items it is for are none.
    pub reason: Option<&'static str>,
    /// Absent: it opens none.
    pub branches: Option<BranchCounts>,
}

/// How the branches stand that a node opened: of its items where it has any, else the turns of the loop that begins with it.
/// What lies in a turn that is not the last is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchCounts {
    /// `item`, `turn`, `try` or `undo`.
    pub kind: String,
    /// How many items there are, or how much there is to undo, opened or not; how many turns there were so far.
    pub total: u64,
    pub open: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// What is asked of a set of branches in a list of columns stays a table of hashes; as a join it may become a loop in a loop.
fn sql() -> String {
    format!(
        "WITH RECURSIVE counted (branch) AS (
             SELECT 0
             UNION ALL
             SELECT b.branch FROM counted c
             JOIN branches b ON b.run_id = $1 AND b.parent_branch = c.branch AND b.again IS NOT TRUE),
         last AS MATERIALIZED (
             SELECT DISTINCT ON (t.node_id, t.branch)
                    t.node_id, t.status, {TRIED} AS tried, t.tolerated IS TRUE AS is_tolerated, t.branch IN (SELECT branch FROM counted) AS is_counted
             FROM traces t
             -- Where it stands for a loop, its turns say how it is.
             WHERE t.run_id = $1 AND (t.branch, t.node_id) NOT IN (
                 SELECT parent_branch, node_id FROM branches WHERE run_id = $1 AND kind = 'turn')
             ORDER BY t.node_id, t.branch, t.attempt DESC),
         stands AS MATERIALIZED (
             SELECT node_id, sum(tried)::int8 AS tried,
                    count(*) FILTER (WHERE is_counted) AS times,
                    count(*) FILTER (WHERE is_counted AND status = 'running') AS running,
                    count(*) FILTER (WHERE is_counted AND status = 'queued') AS queued,
                    count(*) FILTER (WHERE is_counted AND status = 'waiting') AS waiting,
                    count(*) FILTER (WHERE is_counted AND status = 'succeeded') AS succeeded,
                    count(*) FILTER (WHERE is_counted AND status = 'failed') AS failed,
                    count(*) FILTER (WHERE is_counted AND status = 'failed' AND is_tolerated) AS tolerated,
                    count(*) FILTER (WHERE is_counted AND status = 'cancelled') AS cancelled
             FROM last GROUP BY node_id),
         opened AS MATERIALIZED (
             SELECT node_id, kind, count(*) AS total,
                    count(*) FILTER (WHERE status = 'running') AS open,
                    count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
                    count(*) FILTER (WHERE status = 'failed') AS failed,
                    count(*) FILTER (WHERE status = 'cancelled') AS cancelled
             FROM (SELECT *, parent_branch IN (SELECT branch FROM counted) AS is_counted
                   FROM branches WHERE run_id = $1 OFFSET 0) b
             WHERE is_counted GROUP BY node_id, kind),
         listed AS MATERIALIZED (
             SELECT node_id, sum(CASE WHEN json_typeof(input::json) = 'array' THEN json_array_length(input::json) END)::int8
                    AS total
             FROM (SELECT t.node_id, t.input, t.branch IN (SELECT branch FROM counted) AS is_counted
                   FROM workflow_runs r
                   JOIN nodes n USING (workspace, workflow, version)
                   JOIN traces t ON t.run_id = r.run_id AND t.node_id = n.node_id AND t.attempt = 1
                   WHERE r.run_id = $1 AND n.kind IN ('forEach', 'compensation') OFFSET 0) e
             WHERE is_counted GROUP BY node_id)
         SELECT n.node_id, n.name, n.kind, n.body_of, r.completed_at IS NOT NULL AS run_ended, s.times IS NOT NULL AS is_there,
                s.tried, s.times, s.running, s.queued, s.waiting, s.succeeded, s.failed, s.tolerated, s.cancelled,
                o.kind AS branch_kind, o.total AS branches, o.open AS branches_open,
                o.succeeded AS branches_succeeded, o.failed AS branches_failed, o.cancelled AS branches_cancelled,
                l.total AS items
         FROM workflow_runs r
         JOIN nodes n USING (workspace, workflow, version)
         LEFT JOIN stands s ON s.node_id = n.node_id
         LEFT JOIN listed l ON l.node_id = n.node_id
         LEFT JOIN LATERAL (SELECT * FROM opened o WHERE o.node_id = n.node_id ORDER BY kind LIMIT 1) o ON true
         WHERE r.run_id = $1 ORDER BY n.ordinal"
    )
}

/// Returns every node of a run's definition, in document order, the nodes of a body behind their `forEach`.
pub(super) async fn nodes_of(reads: &Reads, run: RunId) -> Result<Vec<NodeView>, DatabaseError> {
    let rows = reads.rows(&sql(), &[&run.as_uuid()]).await?;
    let (mut nodes, mut places) = (Vec::<NodeView>::with_capacity(rows.len()), BTreeMap::new());
    for row in &rows {
        let around = row.get::<_, Option<String>>("body_of").and_then(|each| places.get(&each).map(|at| &nodes[*at]));
        let view = node(row, around);
        places.insert(view.node_id.clone(), nodes.len());
        nodes.push(view);
    }
    Ok(nodes)
}

fn node(row: &Row, around: Option<&NodeView>) -> NodeView {
    let is_there: bool = row.get("is_there");
    let run_ended: bool = row.get("run_ended");
    let times = if is_there { Times::of(row) } else { Times::default() };
    // What is still to come of its branches.
    let goes_on = !run_ended && around.is_none_or(|each| !is_ended(&each.status));
    let of_items = around.and_then(|each| each.branches.as_ref()).filter(|branches| branches.kind != "undo");
    let items = of_items.map_or(0, |branches| branches.total);
    let (status, reason) = match times.stands() {
        _ if goes_on && times.all > 0 && times.open() == 0 && times.all < items => ("running", None),
        Some(status) => (status, None),
        None if goes_on => ("pending", None),
        // A run that has ended comes to no further node.
        None => ("skipped", run_ended.then_some("run_ended")),
    };
    NodeView {
        node_id: row.get("node_id"),
        name: row.get("name"),
        kind: row.get("kind"),
        body_of: row.get("body_of"),
        status: status.to_owned(),
        attempts: if is_there { number(row, "tried") } else { 0 },
        tolerated: is_there && times.failed > 0 && number(row, "tolerated") == times.failed,
        reason,
        branches: branches(row),
    }
}

fn is_ended(status: &str) -> bool {
    matches!(status, "succeeded" | "failed" | "skipped" | "cancelled")
}

fn branches(row: &Row) -> Option<BranchCounts> {
    let count = |column: &str| row.get::<_, Option<i64>>(column).map(i64::unsigned_abs);
    let (opened, items) = (count("branches"), count("items"));
    let listed_as = if row.get::<_, &str>("kind") == "compensation" { "undo" } else { "item" };
    let kind = row.get::<_, Option<String>>("branch_kind").or_else(|| items.map(|_| listed_as.to_owned()))?;
    let listed = items.filter(|_| kind == "item" || kind == "undo");
    Some(BranchCounts {
        kind,
        total: opened.max(listed).unwrap_or(0),
        open: count("branches_open").unwrap_or(0),
        succeeded: count("branches_succeeded").unwrap_or(0),
        failed: count("branches_failed").unwrap_or(0),
        cancelled: count("branches_cancelled").unwrap_or(0),
    })
}

/// How often a node stands where, in the branches that count.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    all: u64,
    running: u64,
    queued: u64,
    waiting: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
}

impl Times {
    fn of(row: &Row) -> Self {
        let times = |column: &str| number(row, column);
        Self {
            all: times("times"),
            running: times("running"),
            queued: times("queued"),
            waiting: times("waiting"),
            succeeded: times("succeeded"),
            failed: times("failed"),
            cancelled: times("cancelled"),
        }
    }

    fn open(&self) -> u64 {
        self.running + self.queued + self.waiting
    }

    /// Says where it stands, all in all; `None`: nothing has come to it.
    fn stands(&self) -> Option<&'static str> {
        let first = |among: &[(u64, &'static str)]| among.iter().find(|(times, _)| *times > 0).map(|(_, word)| *word);
        let open = self.open();
        if self.all == 0 {
            None
        } else if open > 0 && open < self.all {
            Some("running")
        } else if open > 0 {
            first(&[(self.running, "running"), (self.queued, "queued"), (self.waiting, "waiting")])
        } else {
            first(&[(self.failed, "failed"), (self.cancelled, "cancelled"), (self.succeeded, "succeeded")])
                .or(Some("skipped"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn a_node_stands_where_its_branches_stand_together() {
        let times = Times { all: 4, ..Times::default() };
        for (times, stands) in [
            (Times { all: 0, ..times }, None),
            (Times { queued: 4, ..times }, Some("queued")),
            (Times { queued: 3, waiting: 1, ..times }, Some("queued")),
            (Times { queued: 3, running: 1, ..times }, Some("running")),
            (Times { waiting: 3, failed: 1, ..times }, Some("running")),
            (Times { all: 1, waiting: 1, ..times }, Some("waiting")),
            (Times { succeeded: 3, failed: 1, ..times }, Some("failed")),
            (Times { succeeded: 3, cancelled: 1, ..times }, Some("cancelled")),
            (Times { succeeded: 1, ..times }, Some("succeeded")),
            (times, Some("skipped")),
        ] {
            assert_eq!(times.stands(), stands, "{times:?}");
        }
    }
}
