//! What updates were answered with, of runs that have ended or do not remember it: by their events.

use headwater_core::run::Reply;
use headwater_core::{CommandId, RunId, WorkspaceId};
use serde_json::Value;

use super::Reads;
use crate::database::DatabaseError;

/// Returns what a run of a workspace has answered an update with. `None`: nothing that was recorded.
/// Costs a look at each commit of the run.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
pub async fn reply(
    reads: &Reads,
    workspace: &WorkspaceId,
    run: RunId,
    update: CommandId,
) -> Result<Option<Reply>, DatabaseError> {
    let sql = "SELECT c.events FROM commits c JOIN workflow_runs r ON r.run_id = c.run_id AND r.workspace = $2
               WHERE c.run_id = $1 AND position('\"signalAnswered\"' IN c.events) > 0 AND position($3 IN c.events) > 0
               ORDER BY c.revision";
    let (id, update) = (run.as_uuid(), update.to_string());
    let rows = reads.rows(sql, &[&id, &workspace.as_str(), &update]).await?;
    let events = rows.iter().flat_map(|row| serde_json::from_str::<Vec<Value>>(row.get("events")).unwrap_or_default());
    let answered = events.filter_map(|event| event.pointer("/run/signalAnswered").cloned());
    let mut replies = answered.filter(|answered| answered["signal"] == update.as_str());
    Ok(replies.next().and_then(|answered| serde_json::from_str(&answered["reply"].to_string()).ok()))
}
