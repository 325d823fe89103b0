//! How definitions come in: all of a request, or none.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::protocol::Granted;
use headwater_core::shard::{AggregateId, Command, Position, Submission, WorkflowKey};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{DefinitionVersion, Slug, WorkspaceId};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::{actions, neighbours};
use crate::api::asked::{Asked, Caller};
use crate::api::body::{Body, DocumentsBody};
use crate::api::token::Token;
use crate::api::{Api, COMMAND_WAIT, Problem, answer, fresh_command, readable};
use crate::codes::Code;
use crate::documents::{self, Batch, Checked, CheckedAction, Checks, Located, Placed, Refused};

/// Reads definitions that go with what is applied already. Compiling takes as long as they are large, and nobody waits for it.
async fn read_among_others(api: &Api, workspace: &WorkspaceId, body: Body) -> Result<(Batch, Arc<Body>), Problem> {
    let body = Arc::new(body);
    let given = Arc::clone(&body);
    let (checks, roots) = aside(move || read(&given)).await??;
    let checks = actions::fill(api, workspace, checks).await?;
    let given = Arc::clone(&body);
    let (mut batch, roots) = aside(move || finish(checks, roots, &given)).await??;
    neighbours::compare(api, workspace, &mut batch.workflows).await?;
    let given = Arc::clone(&body);
    let batch = aside(move || placed(batch, &roots, &given)).await?;
    refuse_errors(&batch.workflows)?;
    Ok((batch, body))
}

/// Reads definitions, and where in the body each stands.
fn read(body: &Body) -> Result<(Checks, Vec<String>), Problem> {
    let documents = documents::definitions(&body.text, body.spelling)?;
    if documents.is_empty() {
        return Err(Problem::new(Code::InvalidField, "the body holds no definition"));
    }
    let mut checks = Checks::default();
    documents.iter().for_each(|document| checks.check(&document.value));
    Ok((checks, documents.into_iter().map(|document| document.root).collect()))
}

/// Returns what can be applied, or says what is wrong with it, and where.
fn finish(checks: Checks, roots: Vec<String>, body: &Body) -> Result<(Batch, Vec<String>), Problem> {
    let batch = checks.finish().map_err(|mut found| {
        let root_of = |document: usize| roots[document].as_str();
        let findings = found.findings.iter_mut().map(|located| (root_of(located.document), &mut located.placed));
        documents::place(&body.text, body.spelling, findings);
        refused(&found, roots.len())
    })?;
    Ok((batch, roots))
}

/// Finds where in the body what was found stands.
fn placed(mut batch: Batch, roots: &[String], body: &Body) -> Batch {
    let Batch { actions, workflows } = &mut batch;
    let of_actions = actions.iter_mut().map(|one| (one.document, &mut one.findings));
    let of_workflows = workflows.iter_mut().map(|one| (one.document, &mut one.findings));
    let findings = of_actions
        .chain(of_workflows)
        .flat_map(|(document, findings)| findings.iter_mut().map(move |placed| (roots[document].as_str(), placed)));
    documents::place(&body.text, body.spelling, findings);
    batch
}

/// Does what takes long where nobody waits for it.
pub(super) async fn aside<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let unread = |_| Problem::new(Code::Internal, "the definitions could not be checked");
    tokio::task::spawn_blocking(read).await.map_err(unread)
}

/// Refuses definitions that do not go with those of other workflows.
pub fn refuse_errors(checked: &[Checked]) -> Result<(), Problem> {
    let mut found = Refused::default();
    for one in checked {
        for placed in &one.findings {
            found.add(Located { document: one.document, slug: Some(one.slug.to_string()), placed: placed.clone() });
        }
    }
    if found.errors == 0 { Ok(()) } else { Err(refused(&found, checked.len())) }
}

/// Says what is wrong with definitions.
pub fn refused(found: &Refused, documents: usize) -> Problem {
    let detail = format!("{} error(s) in {documents} document(s); nothing was applied", found.errors);
    Problem::new(Code::DefinitionInvalid, detail).with("problems", json!(found.findings))
}

#[derive(Serialize)]
struct Validated {
    actions: Vec<Valid>,
    workflows: Vec<Valid>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Valid {
    slug: Slug,
    content_hash: String,
    warnings: Vec<Placed>,
}

#[derive(Serialize)]
struct NewVersions<'a> {
    actions: Vec<NewVersion<'a>>,
    workflows: Vec<NewVersion<'a>>,
    token: String,
    readable: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewVersion<'a> {
    slug: &'a Slug,
    version: DefinitionVersion,
    /// False: it was there already.
    created: bool,
    content_hash: &'a str,
    warnings: &'a [Placed],
}

/// `POST /workflows/validate`
pub async fn validate(State(api): State<Arc<Api>>, asked: Asked, body: DocumentsBody) -> Result<Response, Problem> {
    let workspace = asked.finish()?;
    let (Batch { actions, workflows }, _room) = read_among_others(&api, &workspace, body.0).await?;
    let actions = actions.into_iter().map(|CheckedAction { definition, findings, .. }| Valid {
        slug: definition.slug,
        content_hash: definition.content_hash,
        warnings: findings,
    });
    let workflows = workflows.into_iter().map(|one| Valid {
        slug: one.slug,
        content_hash: one.content_hash,
        warnings: one.findings,
    });
    let (actions, workflows) = (actions.collect(), workflows.collect());
    Ok(answer::data(StatusCode::OK, Validated { actions, workflows }))
}

/// `POST /workflows`
pub async fn apply(
    State(api): State<Arc<Api>>,
    mut asked: Asked,
    DocumentsBody(body): DocumentsBody,
) -> Result<Response, Problem> {
    let readable_within = readable::asked(&mut asked, false)?;
    let caller = asked.finish_to_change()?;
    let (batch, _room) = read_among_others(&api, &caller.workspace, body).await?;
    let actions = actions::apply(&api, &caller, &batch.actions).await?;
    let workflows = batch.workflows.iter().map(|one| apply_one(&api, &caller, one));
    let workflows = futures_util::future::try_join_all(workflows).await?;
    Ok(answer(&api, &caller.workspace, &batch, (&actions, &workflows), readable_within).await)
}

/// Answers what was applied, when it can be read or `readable_within` is over.
pub async fn answer(
    api: &Api,
    workspace: &WorkspaceId,
    batch: &Batch,
    (actions, workflows): (&[Applied], &[Applied]),
    readable_within: Duration,
) -> Response {
    // The declarations of their assets are recorded there at the latest.
    let assets = batch.workflows.iter().flat_map(|one| one.declares.keys().cloned());
    let ends = api.shards.ends_of(&api.shards_of(workspace, assets)).await;
    let all_ends = ends.is_some();
    let applied = || actions.iter().chain(workflows);
    let token = Token::of(applied().map(|applied| applied.position).chain(ends.unwrap_or_default()));
    let readable = all_ends && api.is_readable(&token, readable_within).await;
    let any_created = applied().any(|applied| applied.created);
    let actions = batch.actions.iter().zip(actions).map(|(one, applied)| {
        let definition = &one.definition;
        applied.shown(&definition.slug, &definition.content_hash, &one.findings)
    });
    let workflows = batch.workflows.iter().zip(workflows);
    let workflows = workflows.map(|(one, applied)| applied.shown(&one.slug, &one.content_hash, &one.findings));
    let (actions, workflows) = (actions.collect(), workflows.collect());
    let status = if any_created { StatusCode::CREATED } else { StatusCode::OK };
    answer::written(status, &token, NewVersions { actions, workflows, token: token.to_string(), readable })
}

/// What became of a definition.
pub struct Applied {
    pub(super) version: DefinitionVersion,
    pub(super) created: bool,
    pub(super) position: Position,
}

impl Applied {
    fn shown<'a>(&self, slug: &'a Slug, content_hash: &'a str, warnings: &'a [Placed]) -> NewVersion<'a> {
        NewVersion { slug, version: self.version, created: self.created, content_hash, warnings }
    }
}

/// Applies a definition, and waits until every process can start it.
pub async fn apply_one(api: &Api, caller: &Caller, checked: &Checked) -> Result<Applied, Problem> {
    let key = WorkflowKey { workspace: caller.workspace.clone(), workflow: checked.slug.clone() };
    let internal = |detail: &str| Problem::new(Code::Internal, detail);
    let shard = api.shards.of(&AggregateId::Workflow(key.clone()));
    let shard = shard.ok_or_else(|| internal("the shard map has no place for the workflow"))?;
    let document = api.workflows.definitions.as_sent(&key.workspace, &checked.source).await?;
    let apply = ApplyWorkflow { document, content_hash: checked.content_hash.clone() };
    let command = Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) };
    let submission = Submission::of(caller.actor.clone(), fresh_command(), command);
    let (position, granted) = api.shards.client.submit(shard, submission, COMMAND_WAIT).await?;
    let Some(Granted::Workflow { version, created, pinned }) = granted else {
        return Err(internal("the workflow was applied without a version"));
    };
    await_published(api, &key, version, pinned.unwrap_or(version)).await?;
    // Of a version that does not start assets are told nothing.
    if pinned.is_none_or(|pinned| pinned == version) {
        neighbours::await_declared(api, &key, checked.declares.keys(), version).await?;
    }
    Ok(Applied { version, created, position })
}

/// Waits until every process can find the version, and which one starts where none is named, so that a start right after works.
pub async fn await_published(
    api: &Api,
    key: &WorkflowKey,
    version: DefinitionVersion,
    started: DefinitionVersion,
) -> Result<(), Problem> {
    let deadline = Instant::now() + COMMAND_WAIT;
    let mut backoff = super::ARRIVING;
    loop {
        // Another version is there when somebody else has applied or pinned one meanwhile: then ours was there before.
        match api.workflows.definitions.current_version(key).await? {
            Some(current) if current == started => {
                if started == version || api.workflows.definitions.as_stored(key, version).await?.is_some() {
                    return Ok(());
                }
            }
            Some(_)
                if Instant::now() > deadline && api.workflows.definitions.as_stored(key, version).await?.is_some() =>
            {
                return Ok(());
            }
            Some(_) | None => {}
        }
        if Instant::now() > deadline {
            let detail = format!("version {version} of `{}` is applied, but not published yet", key.workflow);
            return Err(Problem::new(Code::Indeterminate, detail));
        }
        backoff.wait().await;
    }
}
