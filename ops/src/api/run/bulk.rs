//! How many runs are taken in hand: piece by piece, so that whoever asks sees how far it is, and stops where he likes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt as _;
use headwater_core::protocol::RUNS_LISTED_MAX;
use headwater_core::run::{Operation, RunCommand, RunRejection, RunStatus, RunsWanted};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{RunId, Timestamp, WorkspaceId};
use headwater_workers::shard_client::{ActiveRuns, ClientError};
use serde::Serialize;

use super::operate;
use crate::api::asked::{Asked, Caller};
use crate::api::body::{Body, Fields};
use crate::api::{Api, COMMAND_WAIT, Problem, answer, fresh_command};
use crate::codes::Code;

/// How long a piece may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How many are under way at once.
const AT_ONCE: usize = 512;
/// How many are named of what is only looked at.
const NAMED: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Piece {
    /// How many there are from here on, those of this piece among them.
    matching: u64,
    /// The first of them.
    first: Vec<RunId>,
    done: u64,
    /// They ended before it came to them.
    ended: u64,
    /// It is not known what came of it: asked again, nothing happens twice.
    unanswered: u64,
    /// Where the next piece begins; absent: there is none.
    cursor: Option<RunId>,
}

/// `POST /runs/bulk`
pub async fn bulk(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let (word, reason) = (fields.field::<String>("operation", "a text")?, operate::reason(&mut fields)?);
    let make = operation(word.as_deref(), &workspace, reason)?;
    let is_preview = fields.field::<bool>("preview", "true or false")?.unwrap_or_default();
    let most = fields.field::<u32>("limit", "a number")?.unwrap_or(RUNS_LISTED_MAX);
    if !(1..=RUNS_LISTED_MAX).contains(&most) {
        return Err(invalid("limit", format!("a piece has 1 to {RUNS_LISTED_MAX} runs")));
    }
    let cursor = match fields.field::<String>("cursor", "a text")? {
        Some(text) => Some(text.parse::<RunId>().map_err(|error| invalid("cursor", error.to_string()))?),
        None => None,
    };
    let wanted = wanted(&mut fields)?;
    let _room = fields.finish()?;
    // A shard looks at all its active runs for it: so many ask at once, and the next waits for its turn.
    let turn = api.turns.live().await;
    let (runs, matching) = find(&api, &workspace, &wanted, cursor, most).await?;
    drop(turn);
    let first = runs.iter().copied().take(NAMED).collect();
    let mut piece = Piece { matching, first, done: 0, ended: 0, unanswered: 0, cursor: None };
    if !is_preview {
        piece.cursor = runs.last().copied().filter(|_| matching > runs.len() as u64);
        let one = |run: RunId| {
            let submission = Submission::of(actor.clone(), fresh_command(), Command::Run { run, command: make() });
            api.shards.client.submit(run.shard(), submission, COMMAND_WAIT)
        };
        let mut ends = futures_util::stream::iter(runs.into_iter().map(one)).buffer_unordered(AT_ONCE);
        while let Some(end) = ends.next().await {
            match end {
                Ok(_) => piece.done += 1,
                Err(ClientError::Refused(Rejection::Run(
                    RunRejection::RunClosed { .. } | RunRejection::RunNotFound,
                ))) => piece.ended += 1,
                Err(_) => piece.unanswered += 1,
            }
        }
    }
    Ok(answer::data(StatusCode::OK, piece))
}

/// Finds the first runs after one, shard after shard, and how many there are.
async fn find(
    api: &Api,
    workspace: &WorkspaceId,
    wanted: &RunsWanted,
    cursor: Option<RunId>,
    most: u32,
) -> Result<(Vec<RunId>, u64), Problem> {
    let (mut found, mut matching) = (Vec::new(), 0);
    for shard in api.shards.all() {
        if cursor.is_some_and(|run| shard < run.shard()) {
            continue;
        }
        let after = cursor.filter(|run| run.shard() == shard);
        let most = most - u32::try_from(found.len()).unwrap_or(most);
        let asked = ActiveRuns { workspace: workspace.clone(), wanted: wanted.clone(), after, most };
        let (runs, total) = api.shards.client.list_runs(shard, asked, COMMAND_WAIT).await?;
        found.extend(runs);
        matching += total;
    }
    Ok((found, matching))
}

/// What is done to each.
fn operation<'w>(
    word: Option<&str>,
    workspace: &'w WorkspaceId,
    reason: Option<String>,
) -> Result<impl Fn() -> RunCommand + 'w, Problem> {
    let operation = match word {
        Some("pause") => Some(Operation::Pause { node: None }),
        Some("resume") => Some(Operation::Resume { node: None }),
        Some("terminate") => Some(Operation::Terminate {}),
        Some("cancel") => None,
        Some(_) | None => {
            return Err(invalid("operation", "`operation` is pause, resume, cancel or terminate".to_owned()));
        }
    };
    Ok(move || {
        let (workspace, reason) = (workspace.clone(), reason.clone());
        match operation.clone() {
            Some(operation) => RunCommand::Operate { workspace, id: fresh_command(), operation, reason },
            None => {
                RunCommand::CancelRun { workspace: Some(workspace), reason: reason.unwrap_or_default(), grace_ms: 0 }
            }
        }
    })
}

/// Takes which runs are meant: `{}` are all that are active.
fn wanted(fields: &mut Fields) -> Result<RunsWanted, Problem> {
    let given = fields.field::<BTreeMap<String, serde_json::Value>>("filter", "an object")?;
    let Some(mut given) = given else {
        return Err(invalid(
            "filter",
            "`filter` is missing: which runs are meant; {} are all that are active".to_owned(),
        ));
    };
    let mut text = |name: &str| match given.remove(name) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid("filter", format!("`{name}` of the filter is a text"))),
    };
    let odd = |name: &str, error: String| invalid("filter", format!("`{name}` of the filter: {error}"));
    let workflow = text("workflow")?
        .map(|text| text.parse().map_err(|error: headwater_core::InvalidName| odd("workflow", error.to_string())));
    let status = match text("status")?.as_deref() {
        None => None,
        Some("running") => Some(RunStatus::Running),
        Some("paused") => Some(RunStatus::Paused),
        Some(_) => return Err(odd("status", "an active run is running or paused".to_owned())),
    };
    let mut time = |name: &str| {
        let time = text(name)?.map(|text| text.parse::<Timestamp>().map_err(|error| odd(name, error.to_string())));
        time.transpose()
    };
    let (started_from, started_before) = (time("startedFrom")?, time("startedBefore")?);
    let labels = match given.remove("labels") {
        None | Some(serde_json::Value::Null) => BTreeMap::new(),
        Some(labels) => {
            serde_json::from_value(labels).map_err(|_| odd("labels", "it is an object of texts".to_owned()))?
        }
    };
    if let Some(name) = given.keys().next() {
        return Err(Problem::new(Code::UnknownField, format!("a filter has no `{name}`")).with("field", "filter"));
    }
    Ok(RunsWanted { workflow: workflow.transpose()?, status, labels, started_from, started_before })
}

fn invalid(field: &str, detail: String) -> Problem {
    Problem::new(Code::InvalidField, detail).with("field", field)
}
