//! Runs: one of them with its nodes and attempts, and its events. For lists see `run_list`.

use headwater_core::shard::Stored;
use headwater_core::{Json, Revision, RunId, StoredValue, WorkspaceId};
use serde::Serialize;
use tokio_postgres::Row;

use super::nodes::{BranchCounts, NodeView, nodes_of};
use super::traces::{RunInput, TraceView, first_traces};
use super::{Moment, Reads, json, json_if, moment, moment_if, number, small_number, stored_if};
use crate::columns::bigint;
use crate::database::DatabaseError;

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    pub run_id: RunId,
    pub workflow: String,
    pub version: u32,
    pub status: String,
    pub trigger: Json,
    /// A failure: `{code, message, nodeId, attempt, details}`.
    pub error: Option<Json>,
    pub started_at: Moment,
    pub completed_at: Option<Moment>,
    /// Who asked for it and who cancelled it, where they said so: `{claimed}`.
    pub started_by: Option<Json>,
    pub cancelled_by: Option<Json>,
    pub name: Option<String>,
    pub labels: Json,
    pub attributes: Json,
    /// The nodes that it was started for; absent: all.
    pub targets: Option<Json>,
    /// The run that it goes on from: `{run, revision, how}`.
    pub continued_from: Option<Json>,
    /// The run that goes on from it.
    pub continued_as: Option<RunId>,
    /// Of its last event.
    pub revision: u64,
}

/// Everything about a run but its events.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetail {
    #[serde(flatten)]
    pub summary: RunSummary,
    pub input: Json,
    /// Present: the input is so large that it stands in the store of values, and `input` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_stored: Option<StoredValue>,
    pub output: Option<Json>,
    /// The same of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_stored: Option<StoredValue>,
    /// Every node of the definition, in document order, the nodes of a body behind their `forEach`.
    pub nodes: Vec<NodeView>,
    /// What is undone, and was; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compensation: Option<BranchCounts>,
    /// The attempts that came to be first, in that order: at most [`super::TRACES_MAX`].
    pub traces: Vec<TraceView>,
    /// Whether there are others: [`Reads::traces`] has all.
    pub has_more_traces: bool,
}

/// An event as it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedEvent {
    pub revision: u64,
    pub time: Moment,
    /// Where the commit stands: `shard:sequence`.
    pub position: String,
    /// Who asked for the commit, where they said so: `{claimed}`.
    pub by: Option<Json>,
    /// What the commit follows from: `shard:sequence:index`, an effect of that bundle.
    pub cause: Option<String>,
    pub event: Json,
    /// Present: the event's input, items or output stands in the store of values, and the event says null in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredValue>,
}

pub(super) const SUMMARY: &str =
    "run_id, workflow, version, status, trigger, error, started_at, completed_at, started_by, cancelled_by,
    name, labels::text AS labels, attributes::text AS attributes, targets, continued_from, continued_as,
    coalesce((SELECT c.revision + c.event_count - 1 FROM commits c WHERE c.run_id = r.run_id
              ORDER BY c.revision DESC LIMIT 1), 0) AS revision";

impl Reads {
    /// Returns a run of a workspace. `None`: there is none of that id.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
    pub async fn run(&self, workspace: &WorkspaceId, run: RunId) -> Result<Option<RunDetail>, DatabaseError> {
        let id = run.as_uuid();
        let sql = format!(
            "SELECT {SUMMARY}, input, output, input_stored, output_stored FROM workflow_runs r WHERE run_id = $1 AND workspace = $2"
        );
        let rows = self.rows(&sql, &[&id, &workspace.as_str()]).await?;
        let Some(found) = rows.first() else { return Ok(None) };
        let input = RunInput::of(found);
        let (traces, has_more_traces) = first_traces(self, run, &input).await?;
        let RunInput { input, input_stored } = input;
        let nodes = nodes_of(self, run).await?;
        let compensation = nodes.iter().find(|node| node.kind == "compensation");
        Ok(Some(RunDetail {
            compensation: compensation.and_then(|node| node.branches.clone()),
            summary: summary(found),
            output: json_if(found, "output"),
            output_stored: stored_if(found, "output_stored"),
            nodes,
            traces,
            has_more_traces,
            input,
            input_stored,
        }))
    }

    /// Returns the revision of a run's last event, and whether the run has ended. `None`: there is none of that id.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
    pub async fn run_end(&self, workspace: &WorkspaceId, run: RunId) -> Result<Option<(u64, bool)>, DatabaseError> {
        let sql = format!("SELECT {SUMMARY} FROM workflow_runs r WHERE run_id = $1 AND workspace = $2");
        let rows = self.rows(&sql, &[&run.as_uuid(), &workspace.as_str()]).await?;
        Ok(rows.first().map(summary).map(|run| (run.revision, run.completed_at.is_some())))
    }

    /// Returns a run's events behind a revision, in order; whole commits, at most `commits_max` of them.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
    pub async fn run_events(
        &self,
        workspace: &WorkspaceId,
        run: RunId,
        after: Option<Revision>,
        commits_max: u32,
    ) -> Result<Vec<RecordedEvent>, DatabaseError> {
        let after = after.map_or(0, |revision| bigint(revision.get()));
        // From the commit that holds the revision itself, which starts at or before it.
        let sql = "SELECT c.revision, c.time, c.shard, c.sequence, c.actor, c.cause, c.events, c.stored FROM commits c
                   JOIN workflow_runs r ON r.run_id = c.run_id AND r.workspace = $4
                   WHERE c.run_id = $1 AND c.revision + c.event_count - 1 > $2 AND c.revision >= coalesce(
                       (SELECT max(revision) FROM commits WHERE run_id = $1 AND revision <= $2), 0)
                   ORDER BY c.revision LIMIT $3";
        let limit = i64::from(commits_max.max(1));
        let rows = self.rows(sql, &[&run.as_uuid(), &after, &limit, &workspace.as_str()]).await?;
        Ok(rows.iter().flat_map(recorded).filter(|event| event.revision > after.unsigned_abs()).collect())
    }
}

pub(super) fn summary(row: &Row) -> RunSummary {
    RunSummary {
        run_id: RunId::from_uuid(row.get("run_id")),
        workflow: row.get("workflow"),
        version: small_number(row, "version"),
        status: row.get("status"),
        trigger: json(row, "trigger"),
        error: json_if(row, "error"),
        started_at: moment(row, "started_at"),
        completed_at: moment_if(row, "completed_at"),
        started_by: json_if(row, "started_by"),
        cancelled_by: json_if(row, "cancelled_by"),
        name: row.get("name"),
        labels: json_if(row, "labels").unwrap_or_else(Json::empty_object),
        attributes: json_if(row, "attributes").unwrap_or_else(Json::empty_object),
        targets: json_if(row, "targets"),
        continued_from: json_if(row, "continued_from"),
        continued_as: row.get::<_, Option<uuid::Uuid>>("continued_as").map(RunId::from_uuid),
        revision: number(row, "revision"),
    }
}

/// Returns the events of a commit.
pub(super) fn recorded(row: &Row) -> Vec<RecordedEvent> {
    let events: Vec<Json> = serde_json::from_str(row.get("events")).unwrap_or_default();
    let position = format!("{}:{}", row.get::<_, i16>("shard"), row.get::<_, i64>("sequence"));
    let (by, cause) = (json_if(row, "actor"), row.get::<_, Option<String>>("cause"));
    let stored: Option<Stored> = row.get::<_, Option<&str>>("stored").and_then(|text| serde_json::from_str(text).ok());
    let stored = |event: usize| {
        let field = stored.as_ref()?.values.iter().find(|field| field.event as usize == event);
        field.map(|field| field.value)
    };
    (number(row, "revision")..)
        .zip(events.into_iter().enumerate())
        .map(|(revision, (number, event))| RecordedEvent {
            revision,
            time: moment(row, "time"),
            position: position.clone(),
            by: by.clone(),
            cause: cause.clone(),
            event,
            stored: stored(number),
        })
        .collect()
}
