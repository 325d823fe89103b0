//! How a live run is taken in hand.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::definition::parse_span;
use headwater_core::run::{Operation, RunCommand, read_assets};
use headwater_core::shard::{Command, Submission};
use headwater_core::{Actor, Json, NodeAddress, NodeId, RunId, Timestamp, WorkspaceId};
use headwater_streams::clock::now;
use serde::Serialize;

use super::wish;
use crate::api::asked::{Asked, Caller};
use crate::api::body::{Body, Fields};
use crate::api::{Api, Problem, answer, fresh_command, readable};
use crate::codes::Code;

const REASON_CHARS_MAX: usize = 1_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    run_id: RunId,
    token: String,
    readable: bool,
}

/// Takes why somebody does what he does.
pub fn reason(fields: &mut Fields) -> Result<Option<String>, Problem> {
    let reason = fields.field::<String>("reason", "a text")?;
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_CHARS_MAX) {
        let detail = format!("`reason` has more than {REASON_CHARS_MAX} characters");
        return Err(Problem::new(Code::InvalidField, detail).with("field", "reason"));
    }
    Ok(reason)
}

/// `POST /runs/{runId}/pause`
pub async fn pause(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    operate(&api, asked, body, |fields, _| Ok(Operation::Pause { node: node(fields)? })).await
}

/// `POST /runs/{runId}/resume`
pub async fn resume(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    operate(&api, asked, body, |fields, _| Ok(Operation::Resume { node: node(fields)? })).await
}

/// `POST /runs/{runId}/terminate`
pub async fn terminate(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    operate(&api, asked, body, |_, _| Ok(Operation::Terminate {})).await
}

/// `POST /runs/{runId}/nodes/{node}/skip`
pub async fn skip(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    operate(&api, asked, body, |_, asked| Ok(Operation::Skip { node: asked.name("node")? })).await
}

/// `POST /runs/{runId}/nodes/{node}/complete`
pub async fn complete(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    operate(&api, asked, body, |fields, asked| {
        let node: NodeAddress = asked.name("node")?;
        let output = fields.take("output").map_or_else(Json::null, |output| Json::of(&output.to_value()));
        let assets = match fields.take("assets") {
            Some(assets) => {
                let invalid = |failure: headwater_core::RunFailure| {
                    Problem::new(Code::InvalidField, failure.message).with("field", "assets")
                };
                read_assets(assets.as_str(), "assets").map_err(invalid)?
            }
            None => Vec::new(),
        };
        Ok(Operation::Complete { node, output, assets })
    })
    .await
}

/// `POST /runs/{runId}/nodes/{node}/timer`
pub async fn timer(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    operate(&api, asked, body, |fields, asked| {
        let node: NodeAddress = asked.name("node")?;
        let (at, after) = (fields.field::<String>("dueAt", "a time")?, fields.field::<String>("after", "a span")?);
        let invalid = |field, detail: String| Problem::new(Code::InvalidField, detail).with("field", field);
        let due_at = match (at, after) {
            (Some(at), None) => at.parse::<Timestamp>().map_err(|error| invalid("dueAt", error.to_string()))?,
            (None, Some(span)) => {
                let span: Duration = parse_span(&span).map_err(|error| invalid("after", error.to_string()))?;
                now().after(span)
            }
            (Some(_), Some(_)) | (None, None) => {
                let detail = "say when it is due: either `dueAt`, a time, or `after`, a span from now".to_owned();
                return Err(invalid("dueAt", detail));
            }
        };
        Ok(Operation::SetTimer { node, due_at })
    })
    .await
}

/// Takes the node that is meant, if one is.
fn node(fields: &mut Fields) -> Result<Option<NodeId>, Problem> {
    let text = fields.field::<String>("node", "a text")?;
    let invalid =
        |error: headwater_core::InvalidName| Problem::new(Code::InvalidField, error.to_string()).with("field", "node");
    text.map(|text| text.parse().map_err(invalid)).transpose()
}

async fn operate(
    api: &Api,
    mut asked: Asked,
    body: Body,
    read: impl FnOnce(&mut Fields, &mut Asked) -> Result<Operation, Problem>,
) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let readable_within = readable::asked(&mut asked, false)?;
    let mut fields = body.fields()?;
    let reason = reason(&mut fields)?;
    let operation = read(&mut fields, &mut asked)?;
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let room = fields.finish()?;
    let submission = submission(&workspace, actor, run, operation, reason);
    let submitted = wish::submit(api, &workspace, run, submission).await;
    drop(room);
    let token = submitted?;
    let readable = api.is_readable(&token, readable_within).await;
    Ok(answer::written(StatusCode::OK, &token, Done { run_id: run, token: token.to_string(), readable }))
}

/// The run itself knows what was done to it, however late what was sent comes again.
fn submission(
    workspace: &WorkspaceId,
    actor: Option<Actor>,
    run: RunId,
    operation: Operation,
    reason: Option<String>,
) -> Submission {
    let command = RunCommand::Operate { workspace: workspace.clone(), id: fresh_command(), operation, reason };
    Submission::of(actor, fresh_command(), Command::Run { run, command })
}
