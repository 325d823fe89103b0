//! What was projected of a journal that began anew: it goes, and the journal is projected from its first entry.

use deadpool_postgres::Object;
use headwater_core::{Incarnation, Sequence, ShardId};

use super::WriteError;
use crate::batch::Cursor;
use crate::columns::{bigint, smallint};

/// Whatever stands in the tables of a shard stands there because of one of its commits, which name what it belongs to.
const RUNS: &str = "SELECT DISTINCT run_id FROM commits WHERE shard = $1 AND run_id IS NOT NULL";
const ASSETS: &str =
    "SELECT DISTINCT split_part(aggregate, '/', 2) AS workspace, lower(split_part(aggregate, '/', 3)) AS name
                      FROM commits WHERE shard = $1 AND aggregate LIKE 'asset/%'";
const WORKFLOWS: &str =
    "SELECT DISTINCT split_part(aggregate, '/', 2) AS workspace, split_part(aggregate, '/', 3) AS name
                         FROM commits WHERE shard = $1 AND aggregate LIKE 'workflow/%'";
const OF_RUNS: [&str; 4] = ["human_tasks", "branches", "traces", "workflow_runs"];
const OF_ASSETS: [&str; 3] = ["asset_inputs", "asset_versions", "assets"];
/// With the column that names the workflow.
const OF_WORKFLOWS: [(&str, &str); 7] = [
    ("asset_edges", "workflow"),
    ("transitions", "workflow"),
    ("nodes", "workflow"),
    ("workflow_defs", "slug"),
    ("workflow_selections", "slug"),
    ("workflow_pins", "slug"),
    ("workflows", "slug"),
];

const ACTIONS: &str =
    "SELECT DISTINCT split_part(aggregate, '/', 2) AS workspace, split_part(aggregate, '/', 3) AS name
                       FROM commits WHERE shard = $1 AND aggregate LIKE 'action/%'";
const OF_ACTIONS: [&str; 2] = ["action_defs", "actions"];

fn forgets() -> Vec<String> {
    let of_run = |table| format!("DELETE FROM {table} t USING ({RUNS}) g WHERE t.run_id = g.run_id");
    let of = |table, column, gone| {
        format!("DELETE FROM {table} t USING ({gone}) g WHERE t.workspace = g.workspace AND t.{column} = g.name")
    };
    let mut all: Vec<String> = OF_RUNS.into_iter().map(of_run).collect();
    all.extend(OF_ASSETS.into_iter().map(|table| of(table, "asset_key", ASSETS)));
    all.extend(OF_WORKFLOWS.into_iter().map(|(table, column)| of(table, column, WORKFLOWS)));
    all.extend(OF_ACTIONS.into_iter().map(|table| of(table, "slug", ACTIONS)));
    // Last goes what says what belongs to the shard.
    all.extend(
        ["dead_events", "run_terms", "snapshot_policies", "commits"]
            .map(|table| format!("DELETE FROM {table} WHERE shard = $1")),
    );
    all
}

/// Forgets what was projected of a shard, and returns the cursor from which an incarnation of its journal is projected: all in one
/// transaction, so readers see one or the other. Where somebody else has begun it, nothing changes.
pub(crate) async fn start_over(
    connection: &mut Object,
    shard: ShardId,
    incarnation: Incarnation,
) -> Result<Cursor, WriteError> {
    let cursor = Cursor { sequence: Sequence::ZERO.within(incarnation), ..Cursor::start(shard) };
    let (number, sequence) = (smallint(shard), bigint(cursor.sequence.get()));
    let transaction = connection.transaction().await?;
    // All of a shard may take a while.
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let moved = "UPDATE projection_cursors SET sequence = $2, time = NULL, bundle_hash = ''
                 WHERE shard = $1 AND sequence < $2 AND tableoid = to_regclass('projection_cursors')";
    if transaction.execute(moved, &[&number, &sequence]).await? == 0 {
        return Err(WriteError::CursorMoved);
    }
    for statement in forgets() {
        transaction.execute(&statement, &[&number]).await?;
    }
    transaction.commit().await?;
    Ok(cursor)
}
