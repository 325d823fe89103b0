//! How somebody answers, and how others are asked instead.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::run::RunCommand;
use headwater_core::shard::{Command, Submission};
use headwater_core::{Actor, ActorName, Attempt, CommandId, Json, NodeAddress, RunId, WorkspaceId};
use serde::Serialize;

use super::run::{idempotency_key, wish};
use crate::api::asked::{Asked, Caller};
use crate::api::body::{Body, Fields};
use crate::api::token::Token;
use crate::api::{Api, Problem, answer, fresh_command, readable};
use crate::codes::Code;

const REASON_CHARS_MAX: usize = 1_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    run_id: RunId,
    node: NodeAddress,
    answer_id: CommandId,
    /// Nobody has checked it.
    by: Actor,
    token: String,
    readable: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reassigned {
    run_id: RunId,
    node: NodeAddress,
    assignees: Vec<ActorName>,
    token: String,
    readable: bool,
}

/// `POST /runs/{runId}/tasks/{node}/answers`
pub async fn answer(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let (run, node) = (asked.name::<RunId>("runId")?, asked.name::<NodeAddress>("node")?);
    let readable_within = readable::asked(&mut asked, false)?;
    let key = idempotency_key(&asked)?.map(str::to_owned);
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    if !fields.has("value") {
        return Err(invalid("value", "`value` is missing: what is answered"));
    }
    let value = fields.take("value").map_or_else(Json::null, |value| Json::of(&value.to_value()));
    let by = fields.field::<String>("by", "a text")?;
    let by = by.map(|name| name.parse().map_err(|error: headwater_core::InvalidName| invalid("by", error.to_string())));
    let by = by.transpose()?.map(Actor::Claimed).or_else(|| actor.clone());
    let by = by.ok_or_else(|| invalid("by", "`by` is missing: who answers (or the header Headwater-Actor)"))?;
    let attempt = attempt(&mut fields)?;
    let room = fields.finish()?;
    // Said again under the same key, it is the same answer, for as long as the run lives.
    let answer = key.map_or_else(fresh_command, |key| {
        let run = run.as_uuid();
        CommandId::derived(&[b"answer", workspace.as_str().as_bytes(), run.as_bytes(), key.as_bytes()])
    });
    let (node_of, by_of) = (node.clone(), by.clone());
    let command =
        RunCommand::AnswerPerson { workspace: workspace.clone(), node: node_of, attempt, answer, by: by_of, value };
    let token =
        submit(&api, &workspace, run, Submission::of(actor, fresh_command(), Command::Run { run, command })).await;
    drop(room);
    let token = token?;
    let readable = api.is_readable(&token, readable_within).await;
    let answered = Answered { run_id: run, node, answer_id: answer, by, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, answered))
}

/// `POST /runs/{runId}/tasks/{node}/reassign`
pub async fn reassign(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let (run, node) = (asked.name::<RunId>("runId")?, asked.name::<NodeAddress>("node")?);
    let readable_within = readable::asked(&mut asked, false)?;
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let assignees = fields.field::<Vec<ActorName>>("assignees", "a list of names")?;
    let assignees = assignees.ok_or_else(|| invalid("assignees", "`assignees` is missing: who is asked instead"))?;
    let reason = fields.field::<String>("reason", "a text")?.unwrap_or_default();
    let attempt = attempt(&mut fields)?;
    let _room = fields.finish()?;
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(invalid("reason", format!("`reason` has more than {REASON_CHARS_MAX} characters")));
    }
    let command = RunCommand::ReassignPerson {
        workspace: workspace.clone(),
        id: fresh_command(),
        node: node.clone(),
        attempt,
        assignees: assignees.clone(),
        by: actor.clone(),
        reason,
    };
    let submission = Submission::of(actor, fresh_command(), Command::Run { run, command });
    let token = submit(&api, &workspace, run, submission).await?;
    let readable = api.is_readable(&token, readable_within).await;
    let reassigned = Reassigned { run_id: run, node, assignees, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, reassigned))
}

/// A task of a run that has ended is closed.
async fn submit(api: &Api, workspace: &WorkspaceId, run: RunId, submission: Submission) -> Result<Token, Problem> {
    wish::submit(api, workspace, run, submission).await.map_err(|problem| match problem.code() {
        Code::RunClosed => Problem::new(Code::TaskClosed, "the task is closed: its run has ended"),
        _ => problem,
    })
}

fn attempt(fields: &mut Fields) -> Result<Option<Attempt>, Problem> {
    let number = fields.field::<u32>("attempt", "a number from 1")?;
    let is_one = number.is_none_or(|number| number > 0);
    if is_one { Ok(number.map(Attempt::new)) } else { Err(invalid("attempt", "`attempt` is not a number from 1")) }
}

fn invalid(field: &str, detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidField, detail).with("field", field)
}
