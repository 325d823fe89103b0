//! Which large values are a run's.

use headwater_core::{RunId, StoredValue, ValueDigest, WorkspaceId};

use super::{Reads, stored_if};
use crate::database::DatabaseError;

/// The values of a run whose columns begin with a digest. What is not hexadecimal stands in no digest.
const SQL: &str = "
    SELECT stored FROM (
        SELECT unnest(ARRAY[input_stored, output_stored]) AS stored FROM workflow_runs WHERE run_id = $1
        UNION ALL SELECT unnest(ARRAY[input_stored, output_stored]) FROM traces
                  WHERE run_id = $1 AND (input_stored IS NOT NULL OR output_stored IS NOT NULL)
        UNION ALL SELECT output_stored FROM branches WHERE run_id = $1 AND output_stored IS NOT NULL) v
    WHERE stored LIKE '{\"digest\":\"' || $3::text || '\"%'
      AND EXISTS (SELECT FROM workflow_runs WHERE run_id = $1 AND workspace = $2) LIMIT 1";

type Found = Result<Option<StoredValue>, DatabaseError>;

impl Reads {
    /// Returns what the store of values has for a run of a workspace under a digest: an input, an output or a list of items.
    /// `None`: the run has no such value, or the workspace no such run.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
    pub async fn run_value(&self, workspace: &WorkspaceId, run: RunId, digest: ValueDigest) -> Found {
        let rows = self.rows(SQL, &[&run.as_uuid(), &workspace.as_str(), &digest.to_string()]).await?;
        Ok(rows.first().and_then(|row| stored_if(row, "stored")))
    }
}
