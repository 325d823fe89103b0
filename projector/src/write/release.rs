//! Makes the tables say of a released aggregate what its record says. What they say already stays as it is.

use deadpool_postgres::Transaction;
use headwater_core::action::Action;
use headwater_core::asset::{Asset, VERSIONS_KEPT_MAX};
use headwater_core::run::{NodeStanding, NodeStatus, RunFailure, RunStatus, Standing};
use headwater_core::shard::{ActionKey, AggregateId, AssetKey, Shown, WorkflowKey};
use headwater_core::workflow::Workflow;
use headwater_core::{Json, RunId};

use super::{WriteError, column, execute};
use crate::columns::{Time, bigint, integer, smallint};
use crate::fold::ReleasedRow;
use crate::tables::Known;
use crate::tables::assets::key_of;

/// Writes what a release says.
pub(super) async fn write(transaction: &Transaction<'_>, row: &ReleasedRow) -> Result<(), WriteError> {
    match (&row.aggregate, &row.shown) {
        (AggregateId::Run(run), Shown::Run(standing)) => goes_on(transaction, *run, standing, Time(row.known.at)).await,
        (AggregateId::Run(run), Shown::Ended(status)) => has_ended(transaction, *run, *status, row).await,
        (AggregateId::Asset(key), Shown::Asset(asset)) => keeps(transaction, key, asset).await,
        (AggregateId::Workflow(key), Shown::Workflow(workflow)) => has(transaction, key, workflow, row).await,
        (AggregateId::Action(key), Shown::Action(action)) => offers(transaction, key, action, row).await,
        // The fold lets no others through; none of these has rows.
        (
            AggregateId::Run(_)
            | AggregateId::Asset(_)
            | AggregateId::Workflow(_)
            | AggregateId::Action(_)
            | AggregateId::Memo(_)
            | AggregateId::Definition(..),
            Shown::Run(_) | Shown::Ended(_) | Shown::Asset(_) | Shown::Workflow(_) | Shown::Action(_) | Shown::Nothing,
        ) => Ok(()),
    }
}

/// A run that has ended, in a way that the tables may not have been told.
async fn has_ended(
    transaction: &Transaction<'_>,
    run: RunId,
    status: RunStatus,
    row: &ReleasedRow,
) -> Result<(), WriteError> {
    let (run, time) = (run.as_uuid(), Time(row.known.at));
    let unknown =
        RunFailure::new("quarantined", "its history could not be gone on from, and does not show why it ended");
    // Of two ends the row holds the later status, and what either said: that of the one that counts is taken up again.
    let sql = "UPDATE workflow_runs SET status = $2,
                      completed_at = CASE WHEN status = $2 THEN coalesce(completed_at, $3) ELSE $3 END,
                      output = CASE WHEN $2 = 'succeeded' THEN output END,
                      output_stored = CASE WHEN $2 = 'succeeded' THEN output_stored END,
                      error = CASE WHEN $2 = 'succeeded' THEN NULL
                                   WHEN status IN ($2, 'succeeded') THEN coalesce(error, $4) ELSE $4 END,
                      cancelled_by = CASE WHEN status = $2 THEN cancelled_by ELSE coalesce($5, cancelled_by) END
               WHERE run_id = $1";
    let by = row.ended_by.as_ref().map(Json::as_str);
    execute(transaction, sql, &[&run, &status.as_str(), &time, &Json::of(&unknown).as_str(), &by]).await?;
    let sql = "UPDATE traces SET status = 'cancelled', finished_at = $2
               WHERE run_id = $1 AND status IN ('waiting', 'queued', 'running')";
    execute(transaction, sql, &[&run, &time]).await?;
    let sql = "UPDATE branches SET status = 'cancelled', ended_at = $2 WHERE run_id = $1 AND status = 'running'";
    execute(transaction, sql, &[&run, &time]).await
}

/// A run that goes on from where its record stands.
async fn goes_on(transaction: &Transaction<'_>, run: RunId, standing: &Standing, time: Time) -> Result<(), WriteError> {
    let run = run.as_uuid();
    let sql = "UPDATE workflow_runs SET status = $3, completed_at = NULL, output = NULL, output_stored = NULL,
                      error = NULL,
                      cancelled_by = CASE WHEN $2 THEN cancelled_by END
               WHERE run_id = $1";
    let status = if standing.is_paused { RunStatus::Paused } else { RunStatus::Running };
    execute(transaction, sql, &[&run, &standing.is_cancelled, &status.as_str()]).await?;

    write_branches(transaction, run, standing, time).await?;
    let nodes = &standing.nodes[..];
    let names = column(nodes, |node| node.node.node().as_str());
    let branches = column(nodes, branch_of);
    let highest = column(nodes, |node| integer(node.attempts_max));
    // Of a branch that has ended the record holds no nodes: they stay as they are. (`NOT IN` makes a table of hashes, which a run of
    // many items needs; joins here are loops.)
    let sql = "DELETE FROM traces t WHERE run_id = $1
               AND branch NOT IN (SELECT b.branch FROM branches b WHERE b.run_id = $1 AND b.status <> 'running')
               AND (node_id, branch) NOT IN (
                   SELECT u.node_id, u.branch FROM unnest($2::text[], $3::int4[]) AS u (node_id, branch))";
    execute(transaction, sql, &[&run, &names, &branches]).await?;
    let sql = "DELETE FROM traces t USING unnest($2::text[], $3::int4[], $4::int4[]) AS u (node_id, branch, highest)
               WHERE t.run_id = $1 AND t.node_id = u.node_id AND t.branch = u.branch AND t.attempt > u.highest";
    execute(transaction, sql, &[&run, &names, &branches, &highest]).await?;
    write_nodes(transaction, run, nodes, time).await?;
    // A node is at one attempt, and at none where its branch has ended.
    let sql = "UPDATE traces t SET status = 'cancelled', finished_at = $2
               WHERE run_id = $1 AND status IN ('waiting', 'queued', 'running')
               AND (EXISTS (SELECT 1 FROM traces h WHERE h.run_id = t.run_id AND h.node_id = t.node_id
                                                     AND h.branch = t.branch AND h.attempt > t.attempt)
                    OR EXISTS (SELECT 1 FROM branches b WHERE b.run_id = t.run_id AND b.branch = t.branch
                                                          AND b.status <> 'running'))";
    execute(transaction, sql, &[&run, &time]).await
}

fn branch_of(node: &NodeStanding) -> i32 {
    integer(node.node.branch().get())
}

/// The branches that are open, and no others; those that have ended stay as they are.
async fn write_branches(
    transaction: &Transaction<'_>,
    run: uuid::Uuid,
    standing: &Standing,
    time: Time,
) -> Result<(), WriteError> {
    let open = &standing.branches[..];
    let numbers = column(open, |branch| integer(branch.branch.get()));
    let next = integer(standing.next_branch.get());
    execute(transaction, "DELETE FROM branches WHERE run_id = $1 AND branch >= $2", &[&run, &next]).await?;
    let sql = "UPDATE branches SET status = 'cancelled', ended_at = $3
               WHERE run_id = $1 AND status = 'running' AND branch NOT IN (SELECT unnest($2::int4[]))";
    execute(transaction, sql, &[&run, &numbers, &time]).await?;
    let sql = "INSERT INTO branches AS b (run_id, opened_at, branch, parent_branch, position, node_id, kind, status)
               SELECT $1::uuid, $2::timestamptz, u.branch, u.parent_branch, u.position, u.node_id,
                      u.kind, 'running'
               FROM unnest($3::int4[], $4::int4[], $5::int4[], $6::text[], $7::text[])
                   AS u (branch, parent_branch, position, node_id, kind)
               ON CONFLICT (run_id, branch) DO UPDATE SET
                   parent_branch = excluded.parent_branch, position = excluded.position, node_id = excluded.node_id,
                   kind = excluded.kind, status = excluded.status, ended_at = NULL, again = NULL, output = NULL,
                   output_stored = NULL,
                   error_code = NULL, error_message = NULL";
    let parents = column(open, |branch| integer(branch.opener.branch().get()));
    let positions = column(open, |branch| integer(branch.position));
    let openers = column(open, |branch| branch.opener.node().as_str());
    let kinds = column(open, |branch| branch.kind.as_str());
    execute(transaction, sql, &[&run, &time, &numbers, &parents, &positions, &openers, &kinds]).await
}

/// The attempt that each node is at or ended with.
async fn write_nodes(
    transaction: &Transaction<'_>,
    run: uuid::Uuid,
    nodes: &[NodeStanding],
    time: Time,
) -> Result<(), WriteError> {
    // What has ended in the last turn of a loop stands in the branch around it too, and has its row where it happened: in a branch
    // that another node, or the same in another way, has opened.
    let sql = "WITH homes AS MATERIALIZED (
                   SELECT DISTINCT h.node_id, o.opener, o.kind FROM traces h
                   CROSS JOIN LATERAL (SELECT node_id AS opener, kind FROM branches
                                       WHERE run_id = $1 AND branch = h.branch OFFSET 0) o
                   WHERE h.run_id = $1)
               INSERT INTO traces AS t (run_id, node_id, branch, attempt, status, worker, scheduled_at, wakes_at, finished_at,
                                        input, output, tolerated, child_run_id)
               SELECT $1::uuid, u.node_id, u.branch,
                      coalesce(CASE WHEN u.is_over THEN (SELECT max(h.attempt) FROM traces h
                                                         WHERE h.run_id = $1 AND h.node_id = u.node_id
                                                               AND h.branch = u.branch) END, u.attempt),
                      u.status, u.worker, u.scheduled_at, u.wakes_at, CASE WHEN u.is_over THEN $10::timestamptz END,
                      u.input, u.output, u.tolerated, u.child_run_id
               FROM unnest($2::text[], $3::int4[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
                           $8::text[], $9::text[], $11::bool[], $12::int4[], $13::bool[], $14::uuid[])
                   AS u (node_id, attempt, status, worker, scheduled_at, wakes_at, input, output, is_over, branch, tolerated,
                         child_run_id)
               LEFT JOIN branches b ON b.run_id = $1 AND b.branch = u.branch
               WHERE NOT u.is_over
                  OR EXISTS (SELECT FROM traces h WHERE h.run_id = $1 AND h.node_id = u.node_id AND h.branch = u.branch)
                  OR NOT EXISTS (SELECT FROM homes h WHERE h.node_id = u.node_id
                                                       AND (h.opener, h.kind) IS DISTINCT FROM (b.node_id, b.kind))
               ON CONFLICT (run_id, node_id, branch, attempt) DO UPDATE SET
                   status = excluded.status,
                   worker = coalesce(excluded.worker, CASE WHEN excluded.status IN ('waiting', 'queued') THEN NULL
                                                           ELSE t.worker END),
                   started_at = CASE WHEN excluded.status IN ('waiting', 'queued') THEN NULL ELSE t.started_at END,
                   scheduled_at = coalesce(t.scheduled_at, excluded.scheduled_at),
                   wakes_at = coalesce(excluded.wakes_at, t.wakes_at),
                   finished_at = excluded.finished_at,
                   input = CASE WHEN t.input_stored IS NULL THEN coalesce(t.input, excluded.input) END,
                   output = excluded.output,
                   output_stored = NULL,
                   error_code = CASE WHEN excluded.status = 'failed' THEN t.error_code END,
                   error_message = CASE WHEN excluded.status = 'failed' THEN t.error_message END,
                   error_details = CASE WHEN excluded.status = 'failed' THEN t.error_details END,
                   tolerated = excluded.tolerated,
                   child_run_id = coalesce(excluded.child_run_id, t.child_run_id)
               WHERE t.status <> excluded.status OR t.tolerated IS DISTINCT FROM excluded.tolerated OR t.output IS DISTINCT FROM excluded.output
                  OR excluded.worker IS NOT NULL AND t.worker IS DISTINCT FROM excluded.worker
                  OR excluded.wakes_at IS NOT NULL AND t.wakes_at IS DISTINCT FROM excluded.wakes_at";
    let over = |node: &NodeStanding| match node.status {
        NodeStatus::Succeeded | NodeStatus::Failed | NodeStatus::Skipped | NodeStatus::Cancelled => true,
        NodeStatus::Pending | NodeStatus::Queued | NodeStatus::Running | NodeStatus::Waiting => false,
    };
    let names = column(nodes, |node| node.node.node().as_str());
    let branches = column(nodes, branch_of);
    let attempts = column(nodes, |node| integer(node.attempt));
    let statuses = column(nodes, |node| node.status.as_str());
    let workers = column(nodes, |node| node.worker.as_ref().map(|worker| worker.as_str()));
    let scheduled = column(nodes, |node| node.scheduled_at.map(Time));
    let wakes = column(nodes, |node| node.wakes_at.map(Time));
    let inputs = column(nodes, |node| node.input.as_ref().map(Json::as_str));
    let outputs = column(nodes, |node| node.output.as_ref().map(Json::as_str));
    let over = column(nodes, over);
    let tolerated = column(nodes, |node| node.tolerated.then_some(true));
    let children = column(nodes, |node| node.child.map(RunId::as_uuid));
    execute(
        transaction,
        sql,
        &[
            &run, &names, &attempts, &statuses, &workers, &scheduled, &wakes, &inputs, &outputs, &time, &over,
            &branches, &tolerated, &children,
        ],
    )
    .await
}

/// An asset: which versions there are of those that its record can speak of. Older ones are not argued with.
async fn keeps(transaction: &Transaction<'_>, key: &AssetKey, asset: &Asset) -> Result<(), WriteError> {
    let (workspace, name) = (key.workspace.as_str(), key_of(&key.asset));
    let (mut partitions, mut versions) = (Vec::new(), Vec::new());
    let (mut full, mut oldest) = (Vec::new(), Vec::new());
    for (partition, kept) in asset.kept() {
        let partition = partition.as_ref().map(ToString::to_string).unwrap_or_default();
        if let Some(first) = kept.first().filter(|_| kept.len() == VERSIONS_KEPT_MAX) {
            full.push(partition.clone());
            oldest.push(bigint(first.get()));
        }
        for version in kept {
            partitions.push(partition.clone());
            versions.push(bigint(version.get()));
        }
    }
    for table in ["asset_inputs", "asset_versions"] {
        let sql = format!(
            "DELETE FROM {table} t WHERE workspace = $1 AND asset_key = $2
             AND NOT EXISTS (SELECT 1 FROM unnest($3::text[], $4::int8[]) AS u (partition, version)
                             WHERE u.partition = t.partition AND u.version = t.version)
             AND NOT EXISTS (SELECT 1 FROM unnest($5::text[], $6::int8[]) AS u (partition, oldest)
                             WHERE u.partition = t.partition AND t.version < u.oldest)"
        );
        execute(transaction, &sql, &[&workspace, &name, &partitions, &versions, &full, &oldest]).await?;
    }
    let sql = "UPDATE assets a SET (latest_revision, latest_partition, latest_version) =
                   (SELECT revision, partition, version FROM asset_versions v
                    WHERE v.workspace = a.workspace AND v.asset_key = a.asset_key ORDER BY revision DESC LIMIT 1)
               WHERE workspace = $1 AND asset_key = $2";
    execute(transaction, sql, &[&workspace, &name]).await
}

/// A workflow: which versions there are, which is current, and which is pinned.
async fn has(
    transaction: &Transaction<'_>,
    key: &WorkflowKey,
    workflow: &Workflow,
    row: &ReleasedRow,
) -> Result<(), WriteError> {
    let (workspace, slug, newest) = (key.workspace.as_str(), key.workflow.as_str(), integer(workflow.newest()));
    let tables = [
        ("asset_edges", "workflow"),
        ("transitions", "workflow"),
        ("nodes", "workflow"),
        ("workflow_defs", "slug"),
        // Their numbers are given again: what was never there is not seen as of a moment either.
        ("workflow_selections", "slug"),
        ("workflow_pins", "slug"),
    ];
    for (table, named) in tables {
        let sql = format!("DELETE FROM {table} WHERE workspace = $1 AND {named} = $2 AND version > $3");
        execute(transaction, &sql, &[&workspace, &slug, &newest]).await?;
    }
    match workflow.current() {
        None => {
            let sql = "DELETE FROM workflows WHERE workspace = $1 AND slug = $2";
            execute(transaction, sql, &[&workspace, &slug]).await
        }
        Some(current) => {
            let Known { shard, sequence, at } = row.known;
            let (current, time) = (integer(current.get()), Time(at));
            let (revision, shard, sequence) = (bigint(row.revision.get()), smallint(shard), bigint(sequence.get()));
            let sql = "INSERT INTO workflow_selections
                              (workspace, slug, revision, version, shard, sequence, selected_at)
                       SELECT workspace, slug, $5, $3, $6, $7, $4 FROM workflows
                       WHERE workspace = $1 AND slug = $2 AND current_version <> $3";
            execute(transaction, sql, &[&workspace, &slug, &current, &time, &revision, &shard, &sequence]).await?;
            let pinned = workflow.pinned().map(|version| integer(version.get()));
            let sql = "INSERT INTO workflow_pins (workspace, slug, revision, version, shard, sequence, pinned_at)
                       SELECT $1, $2, $5, $3::int4, $6, $7, $4
                       WHERE (SELECT version FROM workflow_pins WHERE workspace = $1 AND slug = $2
                              ORDER BY revision DESC LIMIT 1) IS DISTINCT FROM $3::int4";
            execute(transaction, sql, &[&workspace, &slug, &pinned, &time, &revision, &shard, &sequence]).await?;
            let sql = "UPDATE workflows SET current_version = $3, updated_at = $4
                       WHERE workspace = $1 AND slug = $2 AND current_version <> $3";
            execute(transaction, sql, &[&workspace, &slug, &current, &time]).await
        }
    }
}

/// An action: which versions there are, and which is current.
async fn offers(
    transaction: &Transaction<'_>,
    key: &ActionKey,
    action: &Action,
    row: &ReleasedRow,
) -> Result<(), WriteError> {
    let (workspace, slug, newest) = (key.workspace.as_str(), key.action.as_str(), integer(action.newest()));
    let sql = "DELETE FROM action_defs WHERE workspace = $1 AND slug = $2 AND version > $3";
    execute(transaction, sql, &[&workspace, &slug, &newest]).await?;
    match action.current().map(|current| integer(current.get())) {
        None => {
            let sql = "DELETE FROM actions WHERE workspace = $1 AND slug = $2";
            execute(transaction, sql, &[&workspace, &slug]).await
        }
        Some(current) => {
            let sql = "UPDATE actions SET current_version = $3, updated_at = $4
                       WHERE workspace = $1 AND slug = $2 AND current_version <> $3";
            execute(transaction, sql, &[&workspace, &slug, &current, &Time(row.known.at)]).await
        }
    }
}
