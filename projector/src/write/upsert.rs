//! The rows an earlier batch may have written, by one statement for each table.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::WriteError;
use super::append::printable;
use crate::columns::{Time, bigint, integer};
use crate::rows::{AssetChange, RunChange, SettledNode, TraceChange, WorkflowChange};

/// Makes one array for each column: `SELECT … FROM UNNEST` takes them side by side.
fn column<'r, R, V>(rows: &'r [R], value: impl Fn(&'r R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

async fn execute(transaction: &Transaction<'_>, sql: &str, columns: &[&(dyn ToSql + Sync)]) -> Result<(), WriteError> {
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, columns).await?;
    Ok(())
}

/// What a later change of an attempt says wins; what it leaves open stays.
macro_rules! later_wins {
    () => {
        "ON CONFLICT (run_id, node_id, attempt) DO UPDATE SET
             status = excluded.status,
             worker = coalesce(excluded.worker, t.worker),
             scheduled_at = coalesce(excluded.scheduled_at, t.scheduled_at),
             started_at = coalesce(excluded.started_at, t.started_at),
             finished_at = coalesce(excluded.finished_at, t.finished_at),
             wakes_at = coalesce(excluded.wakes_at, t.wakes_at),
             input = coalesce(excluded.input, t.input),
             output = coalesce(excluded.output, t.output),
             error_code = coalesce(excluded.error_code, t.error_code),
             error_message = coalesce(excluded.error_message, t.error_message)"
    };
}

pub(super) async fn settled(transaction: &Transaction<'_>, nodes: &[SettledNode]) -> Result<(), WriteError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let sql = concat!(
        "INSERT INTO traces AS t (run_id, node_id, attempt, status, finished_at, error_code, error_message)
         SELECT u.run_id, u.node_id,
                coalesce((SELECT CASE WHEN h.status IN ('waiting', 'queued', 'running') THEN h.attempt END
                          FROM traces h WHERE h.run_id = u.run_id AND h.node_id = u.node_id
                          ORDER BY h.attempt DESC LIMIT 1), 0),
                u.status, u.finished_at, u.error_code, u.error_message
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
             AS u (run_id, node_id, status, finished_at, error_code, error_message) ",
        later_wins!()
    );
    let runs = column(nodes, |node| node.run.as_uuid());
    let ids = column(nodes, |node| node.node.text());
    let statuses = column(nodes, |node| node.status.as_str());
    let times = column(nodes, |node| Time(node.finished_at));
    let codes = column(nodes, |node| node.failure.as_ref().map(|failure| printable(&failure.code)));
    let messages = column(nodes, |node| node.failure.as_ref().map(|failure| printable(&failure.message)));
    execute(transaction, sql, &[&runs, &ids, &statuses, &times, &codes, &messages]).await
}

pub(super) async fn traces(transaction: &Transaction<'_>, changes: Vec<&TraceChange>) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = concat!(
        "INSERT INTO traces AS t (run_id, node_id, attempt, status, worker, scheduled_at, started_at, finished_at,
                                  wakes_at, input, output, error_code, error_message)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::timestamptz[],
                              $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[],
                              $12::text[], $13::text[]) ",
        later_wins!()
    );
    let rows = &changes[..];
    let runs = column(rows, |row| row.run.as_uuid());
    let nodes = column(rows, |row| row.node.text());
    let attempts = column(rows, |row| integer(row.attempt));
    let statuses = column(rows, |row| row.status.as_str());
    let workers = column(rows, |row| row.worker.as_ref().map(|worker| worker.as_str()));
    let scheduled = column(rows, |row| row.scheduled_at.map(Time));
    let started = column(rows, |row| row.started_at.map(Time));
    let finished = column(rows, |row| row.finished_at.map(Time));
    let wakes = column(rows, |row| row.wakes_at.map(Time));
    let inputs = column(rows, |row| row.input.as_ref().map(|json| json.as_str()));
    let outputs = column(rows, |row| row.output.as_ref().map(|json| json.as_str()));
    let codes = column(rows, |row| row.failure.as_ref().map(|failure| printable(&failure.code)));
    let messages = column(rows, |row| row.failure.as_ref().map(|failure| printable(&failure.message)));
    let columns: [&(dyn ToSql + Sync); 13] = [
        &runs, &nodes, &attempts, &statuses, &workers, &scheduled, &started, &finished, &wakes, &inputs, &outputs,
        &codes, &messages,
    ];
    execute(transaction, sql, &columns).await
}

/// The ends of runs that an earlier batch saw start.
pub(super) async fn run_ends(transaction: &Transaction<'_>, changes: &[RunChange]) -> Result<(), WriteError> {
    let ends: Vec<_> = changes
        .iter()
        .filter(|change| change.start.is_none())
        .filter_map(|change| change.end.as_ref().map(|end| (change.run.as_uuid(), end)))
        .collect();
    if ends.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE workflow_runs r
               SET status = u.status, completed_at = u.completed_at, output = u.output, error = u.error
               FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[])
                   AS u (run_id, status, completed_at, output, error)
               WHERE r.run_id = u.run_id";
    let runs = column(&ends, |(run, _)| *run);
    let statuses = column(&ends, |(_, end)| end.status.as_str());
    let times = column(&ends, |(_, end)| Time(end.completed_at));
    let outputs = column(&ends, |(_, end)| end.output.as_ref().map(|json| json.as_str()));
    let errors = column(&ends, |(_, end)| end.error.as_ref().map(|json| json.as_str()));
    execute(transaction, sql, &[&runs, &statuses, &times, &outputs, &errors]).await
}

pub(super) async fn assets(transaction: &Transaction<'_>, changes: &[AssetChange]) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO assets AS t (workspace, asset_key, asset_id, latest_revision, latest_partition,
                                        latest_version)
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::int8[])
               ON CONFLICT (workspace, asset_key) DO UPDATE SET
                   latest_revision = coalesce(excluded.latest_revision, t.latest_revision),
                   latest_partition = coalesce(excluded.latest_partition, t.latest_partition),
                   latest_version = coalesce(excluded.latest_version, t.latest_version)";
    let workspaces = column(changes, |change| change.workspace.as_str());
    let keys = column(changes, |change| change.key.as_str());
    let ids = column(changes, |change| change.asset.as_str());
    let revisions = column(changes, |change| change.latest.as_ref().map(|latest| bigint(latest.revision.get())));
    let partitions = column(changes, |change| change.latest.as_ref().map(|latest| latest.partition.as_str()));
    let versions = column(changes, |change| change.latest.as_ref().map(|latest| bigint(latest.version.get())));
    execute(transaction, sql, &[&workspaces, &keys, &ids, &revisions, &partitions, &versions]).await
}

pub(super) async fn workflows(transaction: &Transaction<'_>, changes: &[WorkflowChange]) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO workflows (workspace, slug, current_version, created_at, updated_at)
               SELECT * FROM unnest($1::text[], $2::text[], $3::int4[], $4::timestamptz[], $5::timestamptz[])
               ON CONFLICT (workspace, slug) DO UPDATE SET
                   current_version = excluded.current_version, updated_at = excluded.updated_at";
    let workspaces = column(changes, |change| change.workspace.as_str());
    let slugs = column(changes, |change| change.slug.as_str());
    let versions = column(changes, |change| integer(change.current.get()));
    let firsts = column(changes, |change| Time(change.first_at));
    let updates = column(changes, |change| Time(change.updated_at));
    execute(transaction, sql, &[&workspaces, &slugs, &versions, &firsts, &updates]).await
}
