//! Makes the rows of a run say what its nodes are called from now on.

use deadpool_postgres::Transaction;

use super::{WriteError, column, execute};
use crate::columns::integer;
use crate::fold::MigratedRow;

/// Writes that a run goes over to another version.
pub(super) async fn write(transaction: &Transaction<'_>, row: &MigratedRow) -> Result<(), WriteError> {
    let (run, version) = (row.run.as_uuid(), integer(row.version.get()));
    let sql = "UPDATE workflow_runs SET version = $2 WHERE run_id = $1";
    execute(transaction, sql, &[&run, &version]).await?;
    // What is asked is asked in the form of that version.
    let sql = "UPDATE human_tasks SET version = $2 WHERE run_id = $1 AND status = 'waiting'";
    execute(transaction, sql, &[&run, &version]).await?;
    if row.names.is_empty() {
        return Ok(());
    }
    let before = column(&row.names, |(before, _)| before.as_str());
    let now = column(&row.names, |(_, now)| now.as_str());
    for table in ["traces", "branches", "human_tasks"] {
        let sql = format!(
            "UPDATE {table} t SET node_id = u.new_id FROM unnest($2::text[], $3::text[]) AS u (old_id, new_id)
             WHERE t.run_id = $1 AND t.node_id = u.old_id"
        );
        execute(transaction, &sql, &[&run, &before, &now]).await?;
    }
    Ok(())
}
