//! How starts of a workflow are paused, and resumed.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::protocol::Granted;
use headwater_core::shard::{AggregateId, Command, Submission, WorkflowKey};
use headwater_core::workflow::{PauseStarts, WorkflowCommand};
use headwater_core::{DefinitionVersion, Slug};
use serde::Serialize;

use crate::api::asked::Asked;
use crate::api::body::Body;
use crate::api::run::reason;
use crate::api::token::Token;
use crate::api::{Api, COMMAND_WAIT, Problem, answer, fresh_command, readable};
use crate::codes::Code;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Paused {
    slug: Slug,
    /// The current one.
    version: DefinitionVersion,
    paused: bool,
    token: String,
    readable: bool,
}

/// `POST /workflows/{slug}/pause`
pub async fn pause(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    set(&api, asked, body, true).await
}

/// `POST /workflows/{slug}/resume`
pub async fn resume(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    set(&api, asked, body, false).await
}

async fn set(api: &Api, mut asked: Asked, body: Body, pauses: bool) -> Result<Response, Problem> {
    let slug: Slug = asked.name("slug")?;
    let readable_within = readable::asked(&mut asked, false)?;
    let caller = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let wish = PauseStarts { reason: reason(&mut fields)? };
    let _room = fields.finish()?;
    let key = WorkflowKey { workspace: caller.workspace.clone(), workflow: slug.clone() };
    let shard = api.shards.of(&AggregateId::Workflow(key.clone()));
    let shard = shard.ok_or_else(|| Problem::new(Code::Internal, "the shard map has no place for the workflow"))?;
    let wish = if pauses { WorkflowCommand::PauseStarts(wish) } else { WorkflowCommand::ResumeStarts(wish) };
    let submission =
        Submission::of(caller.actor, fresh_command(), Command::Workflow { key: key.clone(), command: wish });
    let (position, granted) = api.shards.client.submit(shard, submission, COMMAND_WAIT).await?;
    let Some(Granted::Workflow { version, .. }) = granted else {
        return Err(Problem::new(Code::Internal, "the workflow was paused without a version"));
    };
    await_known(api, &key, pauses).await?;
    let token = Token::of([position]);
    let readable = api.is_readable(&token, readable_within).await;
    let paused = Paused { slug, version, paused: pauses, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, paused))
}

/// Waits until every process can know it: a start that comes after the answer is answered so.
async fn await_known(api: &Api, key: &WorkflowKey, paused: bool) -> Result<(), Problem> {
    let deadline = Instant::now() + COMMAND_WAIT;
    let mut backoff = super::ARRIVING;
    loop {
        let known = api.workflows.definitions.pointer(key).await?;
        if known.is_some_and(|pointer| pointer.paused == paused) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let detail = format!("`{}` is decided, but not published yet", key.workflow);
            return Err(Problem::new(Code::Indeterminate, detail));
        }
        backoff.wait().await;
    }
}
