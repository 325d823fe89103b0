//! How a live run goes over to another version of its workflow.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::run::{Migration, Renamed, RunCommand};
use headwater_core::shard::{Command, Submission};
use headwater_core::{DefinitionVersion, RunId};
use serde::Serialize;

use super::{operate, wish};
use crate::api::asked::{Asked, Caller};
use crate::api::body::{Body, Fields};
use crate::api::{Api, Problem, answer, fresh_command, readable};
use crate::codes::Code;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Migrated {
    run_id: RunId,
    version: DefinitionVersion,
    /// It was only asked whether it could.
    dry_run: bool,
    token: String,
    readable: bool,
}

/// `POST /runs/{runId}/migrate`
pub async fn migrate(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let readable_within = readable::asked(&mut asked, false)?;
    let mut fields = body.fields()?;
    let reason = operate::reason(&mut fields)?;
    let version = version(&mut fields)?;
    let map = fields.field::<Renamed>("map", "an object of node ids, each with a node id or null")?.unwrap_or_default();
    let dry_run = fields.field::<bool>("dryRun", "true or false")?.unwrap_or(false);
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let room = fields.finish()?;
    // The run itself knows what was done to it, however late what was sent comes again.
    let wished = Migration { workspace: workspace.clone(), id: fresh_command(), version, map, reason, dry_run };
    let command = Command::Run { run, command: RunCommand::MigrateRun(wished) };
    let submitted = wish::submit(&api, &workspace, run, Submission::of(actor, fresh_command(), command)).await;
    drop(room);
    let token = submitted?;
    let readable = api.is_readable(&token, readable_within).await;
    let migrated = Migrated { run_id: run, version, dry_run, token: token.to_string(), readable };
    Ok(answer::written(StatusCode::OK, &token, migrated))
}

fn version(fields: &mut Fields) -> Result<DefinitionVersion, Problem> {
    let version = fields.field::<u32>("version", "a whole number from 1")?.filter(|version| *version > 0);
    let missing = || Problem::new(Code::InvalidField, "say which `version` it goes over to: a whole number from 1");
    version.map(DefinitionVersion::new).ok_or_else(|| missing().with("field", "version"))
}
