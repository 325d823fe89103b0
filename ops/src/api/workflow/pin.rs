//! How a workflow is held at a version, and let go.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::definition::compile;
use headwater_core::protocol::Granted;
use headwater_core::shard::{AggregateId, Command, Submission, WorkflowKey};
use headwater_core::workflow::{PinVersion, WorkflowCommand, declarations};
use headwater_core::{AssetId, DefinitionVersion, Slug};
use serde::Serialize;

use super::{apply, neighbours};
use crate::api::asked::Asked;
use crate::api::body::{Body, Fields};
use crate::api::token::Token;
use crate::api::{Api, COMMAND_WAIT, Problem, answer, fresh_command, readable};
use crate::codes::Code;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pinned {
    slug: Slug,
    /// The current one.
    version: DefinitionVersion,
    pinned_version: Option<DefinitionVersion>,
    token: String,
    readable: bool,
}

/// `POST /workflows/{slug}/pin`
pub async fn pin(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let slug: Slug = asked.name("slug")?;
    let readable_within = readable::asked(&mut asked, false)?;
    let caller = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let version = version(&mut fields)?;
    let _room = fields.finish()?;
    let key = WorkflowKey { workspace: caller.workspace.clone(), workflow: slug.clone() };
    let shard = api.shards.of(&AggregateId::Workflow(key.clone()));
    let shard = shard.ok_or_else(|| Problem::new(Code::Internal, "the shard map has no place for the workflow"))?;
    let wish = WorkflowCommand::PinVersion(PinVersion { version });
    let command = Command::Workflow { key: key.clone(), command: wish };
    let submission = Submission::of(caller.actor, fresh_command(), command);
    let (position, granted) = api.shards.client.submit(shard, submission, COMMAND_WAIT).await?;
    let Some(Granted::Workflow { version: current, pinned, .. }) = granted else {
        return Err(Problem::new(Code::Internal, "the workflow was pinned without a version"));
    };
    let started = pinned.unwrap_or(current);
    apply::await_published(&api, &key, started, started).await?;
    neighbours::await_declared(&api, &key, assets_of(&api, &key, started).await?.iter(), started).await?;
    let token = Token::of([position]);
    let readable = api.is_readable(&token, readable_within).await;
    let pinned = Pinned { slug, version: current, pinned_version: pinned, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, pinned))
}

/// Letting go is said by `null`, not by silence.
fn version(fields: &mut Fields) -> Result<Option<DefinitionVersion>, Problem> {
    const KIND: &str = "a number from 1 up, or null to take the current one again";
    let is_given = fields.has("version");
    let version = fields.field::<u32>("version", KIND)?;
    if !is_given || version == Some(0) {
        return Err(Problem::new(Code::InvalidField, format!("`version` is not {KIND}")).with("field", "version"));
    }
    Ok(version.map(DefinitionVersion::new))
}

/// Returns the assets that a version declares; none where it does not compile any more.
async fn assets_of(api: &Api, key: &WorkflowKey, version: DefinitionVersion) -> Result<Vec<AssetId>, Problem> {
    let Some(document) = api.workflows.definitions.get(key, version).await? else { return Ok(Vec::new()) };
    let declared = tokio::task::spawn_blocking(move || {
        let compiled = compile(&document.to_value()).ok();
        compiled.map(|(definition, _)| declarations(&definition, version).into_keys().collect())
    });
    Ok(declared.await.ok().flatten().unwrap_or_default())
}
