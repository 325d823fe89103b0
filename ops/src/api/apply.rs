//! How definitions come in: all of a request, or none.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::definition::{Definition, Severity};
use headwater_core::protocol::Granted;
use headwater_core::shard::{AggregateId, Command, Position, Submission, WorkflowKey};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{DefinitionVersion, WorkspaceId};
use serde_json::json;
use tokio::time::Instant;

use super::asked::Asked;
use super::body::Body;
use super::token::Token;
use super::{Api, COMMAND_WAIT, Problem, answer, fresh_command, neighbours, readable};
use crate::codes::Code;
use crate::documents::{self, Located};

fn read(body: &Body) -> Result<Vec<documents::Compiled>, Problem> {
    let documents = documents::definitions(&body.text, body.spelling)?;
    if documents.is_empty() {
        return Err(Problem::new(Code::InvalidField, "the body holds no definition"));
    }
    documents::compile_all(&documents).map_err(|findings| refused(&findings, documents.len()))
}

/// Reads definitions that go with what is applied already.
async fn read_among_others(
    api: &Api,
    workspace: &WorkspaceId,
    body: &Body,
) -> Result<Vec<documents::Compiled>, Problem> {
    let mut compiled = read(body)?;
    neighbours::compare(api, workspace, &mut compiled).await?;
    let findings: Vec<_> = documents::located(&compiled).collect();
    if findings.iter().any(|located| located.finding.severity == Severity::Error) {
        return Err(refused(&findings, compiled.len()));
    }
    Ok(compiled)
}

fn refused(findings: &[Located], documents: usize) -> Problem {
    let errors = findings.iter().filter(|located| located.finding.severity == Severity::Error).count();
    let detail = format!("{errors} error(s) in {documents} document(s); nothing was applied");
    Problem::new(Code::DefinitionInvalid, detail).with("problems", json!(findings))
}

/// `POST /workflows/validate`
pub async fn validate(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    let workspace = asked.finish()?;
    let valid = read_among_others(&api, &workspace, &body).await?.into_iter().map(|(definition, warnings)| {
        json!({"slug": definition.slug, "contentHash": definition.content_hash, "warnings": warnings})
    });
    Ok(answer::data(StatusCode::OK, json!({"workflows": valid.collect::<Vec<_>>()})))
}

/// `POST /workflows`
pub async fn apply(State(api): State<Arc<Api>>, mut asked: Asked, body: Body) -> Result<Response, Problem> {
    let readable_within = readable::asked(&mut asked, false)?;
    let workspace = asked.finish()?;
    let compiled = read_among_others(&api, &workspace, &body).await?;
    let applied = compiled.iter().map(|(definition, _)| apply_one(&api, &workspace, definition));
    let applied = futures_util::future::try_join_all(applied).await?;
    // The declarations of their assets are recorded there at the latest.
    let nodes = compiled.iter().flat_map(|(definition, _)| &definition.nodes);
    let assets = nodes.flat_map(|node| {
        let produced = node.produces.iter().map(|produces| produces.asset.clone());
        produced.chain(node.consumes.iter().map(|consumes| consumes.asset.clone()))
    });
    let ends = api.ends_of(&api.shards_of(&workspace, assets)).await;
    let all_ends = ends.is_some();
    let token = Token::of(applied.iter().map(|applied| applied.position).chain(ends.unwrap_or_default()));
    let readable = all_ends && api.is_readable(&token, readable_within).await;
    let any_created = applied.iter().any(|applied| applied.created);
    let workflows: Vec<_> = compiled
        .iter()
        .zip(&applied)
        .map(|((definition, warnings), applied)| {
            json!({
                "slug": definition.slug,
                "version": applied.version,
                "created": applied.created,
                "contentHash": definition.content_hash,
                "warnings": warnings,
            })
        })
        .collect();
    let status = if any_created { StatusCode::CREATED } else { StatusCode::OK };
    let answered = json!({"workflows": workflows, "token": token.to_string(), "readable": readable});
    Ok(answer::written(status, &token, answered))
}

struct Applied {
    version: DefinitionVersion,
    created: bool,
    position: Position,
}

async fn apply_one(api: &Api, workspace: &WorkspaceId, definition: &Definition) -> Result<Applied, Problem> {
    let key = WorkflowKey { workspace: workspace.clone(), workflow: definition.slug.clone() };
    let internal = |detail: &str| Problem::new(Code::Internal, detail);
    let shard = api.map.shard_of(&AggregateId::Workflow(key.clone()));
    let shard = shard.ok_or_else(|| internal("the shard map has no place for the workflow"))?;
    let apply = ApplyWorkflow { document: definition.source.clone(), content_hash: definition.content_hash.clone() };
    let command = Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) };
    let submission = Submission { id: fresh_command(), command };
    let (position, granted) = api.client.submit(shard, submission, COMMAND_WAIT).await?;
    let Some(Granted::Workflow { version, created }) = granted else {
        return Err(internal("the workflow was applied without a version"));
    };
    await_published(api, &key, version).await?;
    neighbours::await_declared(api, &key, definition, version).await?;
    Ok(Applied { version, created, position })
}

/// Waits until every process can find the version, so that a start right after works.
async fn await_published(api: &Api, key: &WorkflowKey, version: DefinitionVersion) -> Result<(), Problem> {
    let deadline = Instant::now() + COMMAND_WAIT;
    let mut pause = std::time::Duration::from_millis(2);
    loop {
        // Another version is there when somebody else has applied one meanwhile: then ours was there before.
        match api.definitions.current(key).await? {
            Some(stored) if stored.version == version => return Ok(()),
            Some(_) if Instant::now() > deadline && api.definitions.get(key, version).await?.is_some() => return Ok(()),
            Some(_) | None => {}
        }
        if Instant::now() > deadline {
            let detail = format!("version {version} of `{}` is applied, but not published yet", key.workflow);
            return Err(Problem::new(Code::Indeterminate, detail));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(std::time::Duration::from_millis(50));
    }
}
