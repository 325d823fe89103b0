//! How a run goes on from another: retried, restarted from a node, forked. The run before is folded again, and the new one is
//! told what that came to.
//!
//! | file | question |
//! |---|---|
//! | here | what is asked for, and how the new run begins |
//! | `look` | what the run before came to |
//! | `preview` | what the new one would do |
//! | `difference` | in what two runs differ |

pub mod difference;
mod look;
mod preview;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use headwater_core::protocol::Granted;
use headwater_core::run::{Continuation, ContinuedFrom, Description, Recollected, RunCommand, RunRejection, RunStatus};
use headwater_core::run::{StartRun, StartWishes, Trigger};
use headwater_core::shard::{Command, Rejection, Submission, WorkflowKey};
use headwater_core::{Actor, DefinitionVersion, Json, NodeId, Revision, RunId, WorkspaceId};
use headwater_streams::definitions::Definitions;
use headwater_workers::shard_client::ClientError;
use serde::Serialize;

use self::look::{Found, find};
use super::{not_found, operate, start};
use crate::api::asked::{Asked, Caller};
use crate::api::body::{Body, Fields};
use crate::api::token::Token;
use crate::api::{Api, COMMAND_WAIT, Problem, answer, fresh_command, now, readable};
use crate::codes::Code;

/// How long the read models may take to have what the run before came to.
const PROJECTED_WAIT: Duration = Duration::from_secs(10);

/// What somebody wants.
struct Wish {
    how: Continuation,
    /// Of a fork: from where on; absent: from where the run stands.
    revision: Option<Revision>,
    /// Of a fork; absent: that of the run before.
    input: Option<Json>,
    version: Option<DefinitionVersion>,
    dry_run: bool,
}

impl Wish {
    fn of(how: Continuation) -> Self {
        Self { how, revision: None, input: None, version: None, dry_run: false }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    run_id: RunId,
    status: RunStatus,
    version: DefinitionVersion,
    continued_from: ContinuedFrom,
    /// How many results of the run before it was told.
    recalled: usize,
    token: String,
    readable: bool,
    /// An idempotency key started it before.
    replayed: bool,
}

/// `POST /runs/{runId}/retry`
pub async fn retry(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    go_on(&api, asked, body, |_| Ok(Wish::of(Continuation::Retry {}))).await
}

/// `POST /runs/{runId}/restart`
pub async fn restart(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    go_on(&api, asked, body, |fields| {
        let node = fields.field::<String>("node", "a text")?;
        let invalid = |detail: String| Problem::new(Code::InvalidField, detail).with("field", "node");
        let node = node.ok_or_else(|| invalid("`node` is missing: from which node on?".to_owned()))?;
        let node: NodeId = node.parse().map_err(|error: headwater_core::InvalidName| invalid(error.to_string()))?;
        Ok(Wish::of(Continuation::Restart { node }))
    })
    .await
}

/// `POST /runs/{runId}/fork`
pub async fn fork(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    go_on(&api, asked, body, |fields| {
        let revision = fields.field::<u64>("revision", "a number from 1 up")?;
        if revision == Some(0) {
            let detail = "`revision` is not a number from 1 up";
            return Err(Problem::new(Code::InvalidField, detail).with("field", "revision"));
        }
        let sandbox = fields.field::<bool>("sandbox", "true or false")?.unwrap_or_default();
        let dry_run = fields.field::<bool>("dryRun", "true or false")?.unwrap_or_default();
        let input = fields.take("input").map(|input| Json::of(&input.to_value()));
        let version = start::version(fields)?;
        let how = Continuation::Fork { sandbox };
        Ok(Wish { how, revision: revision.map(Revision::new), input, version, dry_run })
    })
    .await
}

async fn go_on(
    api: &Api,
    mut asked: Asked,
    body: Body,
    read: impl FnOnce(&mut Fields) -> Result<Wish, Problem>,
) -> Result<Response, Problem> {
    let run: RunId = asked.name("runId")?;
    let readable_within = readable::asked(&mut asked, false)?;
    let key = start::idempotency_key(&asked)?.map(str::to_owned);
    let Caller { workspace, actor } = asked.finish_to_change()?;
    let mut fields = body.fields()?;
    let (reason, wish) = (operate::reason(&mut fields)?, read(&mut fields)?);
    let room = fields.finish()?;
    let turn = api.turns.look().await;
    await_projected(api, run).await?;
    api.reads.run_end(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    let is_dry = wish.dry_run;
    let next = Next::of(api, &workspace, run, wish, reason).await?;
    if is_dry {
        let answer = preview::tell(api, next).await?;
        drop((turn, room));
        return Ok(answer);
    }
    let begun = next.begin(api, actor, key.as_deref(), readable_within).await;
    drop((turn, room));
    begun
}

/// Waits until the read models have what the shard of a run has decided by now.
async fn await_projected(api: &Api, run: RunId) -> Result<(), Problem> {
    if !api.shards.has(run.shard()) {
        return Err(not_found(run));
    }
    // Where the shard does not say how far it is, what is there counts.
    if let Some(ends) = api.shards.ends_of([&run.shard()]).await {
        api.is_readable(&Token::of(ends), PROJECTED_WAIT).await;
    }
    Ok(())
}

/// A run that is to begin, and what it is told.
struct Next {
    start: StartRun,
    continued: ContinuedFrom,
    pieces: Vec<Json>,
    recalled: usize,
    /// What it goes by.
    document: Json,
}

impl Next {
    /// Finds out what the run before came to, and what that means for the next.
    async fn of(
        api: &Api,
        workspace: &WorkspaceId,
        run: RunId,
        wish: Wish,
        reason: Option<String>,
    ) -> Result<Self, Problem> {
        let is_fork = matches!(wish.how, Continuation::Fork { .. });
        // What a fork is told depends on what the run before was started with.
        let (wanted, first) = (recollected(&wish, true), is_fork.then_some(Revision::FIRST));
        let Found { begun, status, recollection } = find(api, workspace, run, first, move |_| wanted).await?;
        let ended = status.is_terminal();
        match &wish.how {
            Continuation::Retry {} | Continuation::Restart { .. } if !ended => {
                return Err(Problem::new(Code::RunActive, format!("the run {run} has not ended")));
            }
            Continuation::Retry {} if status == RunStatus::Succeeded => {
                return Err(Problem::new(Code::RunNotFailed, format!("the run {run} has succeeded")));
            }
            Continuation::Retry {}
            | Continuation::Restart { .. }
            | Continuation::Fork { .. }
            | Continuation::Successor { .. } => {}
        }
        let key = WorkflowKey { workspace: workspace.clone(), workflow: begun.workflow.clone() };
        let version = wish.version.unwrap_or(begun.version);
        let (before, document) = (document(api, &key, begun.version).await?, document(api, &key, version).await?);
        let input = wish.input.clone().unwrap_or_else(|| begun.input.clone());
        let is_same = version == begun.version && input.to_value() == begun.input.to_value();
        let except = if version == begun.version { Some(Vec::new()) } else { changed(&before, &document) };
        let recollection = if is_fork {
            let mut wanted = recollected(&wish, is_same);
            let again = find(api, workspace, run, wish.revision, move |definition| {
                let all = || definition.nodes.iter().map(|node| node.id.clone()).collect();
                wanted.except.extend(except.unwrap_or_else(all));
                wanted
            });
            again.await?.recollection
        } else {
            recollection
        };
        let (recalled, revision) = recollection.counts();
        if let Some(asked) = wish.revision.filter(|asked| *asked > revision) {
            let detail = format!("the run {run} has no event {asked}: its last is {revision}");
            return Err(Problem::new(Code::MomentNotFound, detail));
        }
        let pieces = recollection.pieces().map_err(|bytes| {
            Problem::new(Code::RecallTooLarge, format!("what the run {run} has made has more than {bytes} bytes"))
        })?;
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let continued = ContinuedFrom { run, revision, how: wish.how, reason, pieces: count };
        let Description { name, labels, .. } = begun.description;
        let wishes = StartWishes {
            description: Description { name, labels, ..Description::default() },
            targets: begun.targets,
            continued: Some(continued.clone()),
        };
        let start = StartRun {
            workspace: key.workspace,
            workflow: key.workflow,
            version,
            input,
            trigger: Trigger::Manual {},
            keyed: false,
            wishes: Some(Box::new(wishes)),
        };
        Ok(Self { start, continued, pieces, recalled, document })
    }

    /// Has it begin, and tells it what there is to tell.
    async fn begin(
        mut self,
        api: &Api,
        actor: Option<Actor>,
        idempotency_key: Option<&str>,
        readable_within: Duration,
    ) -> Result<Response, Problem> {
        let (workspace, version) = (self.start.workspace.clone(), self.start.version);
        let key = WorkflowKey { workspace: workspace.clone(), workflow: self.start.workflow.clone() };
        let run = match idempotency_key {
            Some(text) => start::derived_run(api, &key, text),
            None => {
                let randomness = uuid::Uuid::new_v4().as_u128();
                RunId::new(api.shards.spread(randomness as u64), now(), randomness)
            }
        };
        self.start.keyed = idempotency_key.is_some();
        let command = Command::Run { run, command: RunCommand::StartRun(self.start) };
        let submission = Submission::of(actor.clone(), fresh_command(), command);
        let submitted = api.shards.client.submit(run.shard(), submission, COMMAND_WAIT).await;
        let (mut position, granted) =
            submitted.map_err(|error| start::refused(error, run, idempotency_key.is_some()))?;
        let (run, replayed) = if let Some(Granted::Run { run }) = granted { (run, true) } else { (run, false) };
        for (piece, results) in (1..).zip(self.pieces) {
            let command = RunCommand::Recall { workspace: workspace.clone(), piece, results };
            let submission = Submission::of(actor.clone(), fresh_command(), Command::Run { run, command });
            match api.shards.client.submit(run.shard(), submission, COMMAND_WAIT).await {
                Ok((told, _)) => position = told,
                // It was told before.
                Err(ClientError::Refused(Rejection::Run(RunRejection::RunClosed { .. }))) if replayed => break,
                // It waits for what is missing, and gives up in time.
                Err(error) => return Err(Problem::from(error).with("runId", run.to_string())),
            }
        }
        let token = Token::of([position]);
        let readable = api.is_readable(&token, readable_within).await;
        let begun = Begun {
            run_id: run,
            status: RunStatus::Running,
            version,
            continued_from: self.continued,
            recalled: self.recalled,
            token: token.to_string(),
            readable,
            replayed,
        };
        let mut response = answer::written(StatusCode::ACCEPTED, &token, begun);
        if let Ok(location) = HeaderValue::try_from(format!("/runs/{run}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }
}

fn recollected(wish: &Wish, is_same: bool) -> Recollected {
    Recollected { how: wish.how.clone(), is_same, except: Default::default() }
}

async fn document(api: &Api, key: &WorkflowKey, version: DefinitionVersion) -> Result<Json, Problem> {
    let document = Definitions::new(&api.broker).get(key, version).await?;
    document.ok_or_else(|| {
        Problem::new(Code::VersionNotFound, format!("the workflow {} has no version {version}", key.workflow))
    })
}

/// Returns the nodes that are not the same in both versions. `None`: too many to be told one by one.
fn changed(before: &Json, after: &Json) -> Option<Vec<NodeId>> {
    let difference = headwater_core::definition::difference(before, after);
    let of = |change: headwater_core::definition::Change| match change.of {
        headwater_core::definition::Subject::Node { node, .. } => node.parse().ok(),
        headwater_core::definition::Subject::Header
        | headwater_core::definition::Subject::Schema
        | headwater_core::definition::Subject::Transition { .. } => None,
    };
    (difference.left_out == 0).then(|| difference.changes.into_iter().filter_map(of).collect())
}
