//! The load: definitions, runs, and a fixed number of runs in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use headwater_core::definition::compile;
use headwater_core::protocol::Granted;
use headwater_core::run::{RunCommand, RunStatus, StartRun, Trigger};
use headwater_core::shard::{AggregateId, Command, Position, Submission, WorkflowKey};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{CommandId, DefinitionVersion, Json, RunId};
use headwater_streams::clock::now;
use headwater_streams::definitions::Definitions;
use serde_json::{Value, json};

use super::cluster::Access;
use crate::failure::Failure;

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many runs one starter starts and awaits together: what a client that batches does.
const GROUP: usize = 16;

/// A workflow that is ready to be started.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub key: WorkflowKey,
    pub version: DefinitionVersion,
    pub input: Json,
}

/// A chain of ten nodes: jobs, or pure.
pub fn chain(slug: &str, pure: bool) -> Value {
    chain_of(slug, 10, pure)
}

/// A chain of so many.
pub fn chain_of(slug: &str, length: usize, pure: bool) -> Value {
    let steps: Vec<_> = (0..length)
        .map(|at| {
            let mut step = match pure {
                true => {
                    json!({"id": format!("s{at}"), "action": {"kind": "transform", "output": {"n": "${{ input.n }}"}}})
                }
                false => json!({"id": format!("s{at}"), "jobSlug": "bench"}),
            };
            if at > 0 {
                step["dependsOn"] = json!([format!("s{}", at - 1)]);
            }
            step
        })
        .collect();
    json!({"slug": slug, "steps": steps})
}

/// One node, a thousand behind it, one behind them all.
pub fn fan(slug: &str, width: usize) -> Value {
    let mut steps = vec![json!({"id": "source", "jobSlug": "bench"})];
    let branches: Vec<_> = (0..width).map(|at| format!("b{at}")).collect();
    steps.extend(branches.iter().map(|id| json!({"id": id, "jobSlug": "bench", "dependsOn": ["source"]})));
    steps.push(json!({"id": "join", "jobSlug": "bench", "dependsOn": branches}));
    json!({"slug": slug, "steps": steps})
}

/// One job.
pub fn one(slug: &str) -> Value {
    json!({"slug": slug, "steps": [{"id": "only", "jobSlug": "bench"}]})
}

/// A job for each of so many items, with a text that the run brings, and its output back into one list.
pub fn for_each(slug: &str, items: usize) -> Value {
    let body = json!({"id": "item", "jobSlug": "bench", "input": "${{ item }}"});
    let items = format!("${{{{ lists.range({items}).map(n, {{'n': n, 'text': input.text}}) }}}}");
    json!({"slug": slug, "steps": [{"id": "all", "forEach": {"items": items, "body": body}}],
           "output": "${{ size(nodes.all.output) }}"})
}

/// One node that sleeps until its run's `at`.
pub fn until(slug: &str) -> Value {
    json!({"slug": slug, "steps": [{"id": "wait", "action": {"kind": "wait_until", "time": "${{ input.at }}"}}]})
}

/// One node that sleeps for an hour.
pub fn sleeper(slug: &str) -> Value {
    json!({"slug": slug, "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]})
}

fn fresh_id() -> CommandId {
    CommandId::from_uuid(uuid::Uuid::new_v4())
}

/// Applies a definition and waits until every process can find it.
pub async fn apply(access: &Access, document: &Value) -> Result<Workflow, Failure> {
    let (definition, _) = compile(document).map_err(|problems| Failure::of(&problems))?;
    let workspace = "bench".parse().map_err(|error: headwater_core::InvalidName| Failure::of(&error))?;
    let key = WorkflowKey { workspace, workflow: definition.slug.clone() };
    let definitions = Definitions::new(&access.broker);
    let document = definitions.as_sent(&key.workspace, &definition.source).await;
    let document = document.map_err(|error| Failure::of(&error))?;
    let apply = ApplyWorkflow { document, content_hash: definition.content_hash.clone() };
    let command = Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) };
    let shard = access.map.shard_of(&AggregateId::Workflow(key.clone())).ok_or_else(|| Failure::new("no shard"))?;
    let submission = Submission::new(fresh_id(), command);
    let (_, granted) = access.client.submit(shard, submission, PATIENCE).await.map_err(|error| Failure::of(&error))?;
    let Some(Granted::Workflow { version, .. }) = granted else {
        return Err(Failure::new("the workflow was applied without a version"));
    };
    let deadline = Instant::now() + PATIENCE;
    while definitions.as_stored(&key, version).await.map_err(|error| Failure::of(&error))?.is_none() {
        if Instant::now() > deadline {
            return Err(Failure::new("the definition was not published"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Workflow { key, version, input: Json::of(&json!({"n": 7, "name": "a chain of ten"})) })
}

/// Starts one run.
pub async fn start(access: &Access, workflow: &Workflow) -> Result<RunId, Failure> {
    start_at(access, workflow).await.map(|(run, _)| run)
}

/// How many starts of many are under way at once.
const STARTS: usize = 256;

/// Starts so many runs, each with an input of its own by its number.
pub async fn start_many(
    access: &Access,
    workflow: &Workflow,
    count: usize,
    input: impl Fn(usize) -> Json,
) -> Result<(), Failure> {
    for first in (0..count).step_by(STARTS) {
        let each = first..count.min(first + STARTS);
        let starts = each.map(|at| {
            let input = input(at);
            async move {
                let workflow = Workflow { input, ..workflow.clone() };
                start(access, &workflow).await
            }
        });
        futures_util::future::try_join_all(starts).await?;
    }
    Ok(())
}

/// Starts one run; returns also the place where its start can be read.
pub async fn start_at(access: &Access, workflow: &Workflow) -> Result<(RunId, Position), Failure> {
    let randomness = uuid::Uuid::new_v4().as_u128();
    let run = RunId::new(access.map.spread(randomness as u64), now(), randomness);
    let start = StartRun {
        workspace: workflow.key.workspace.clone(),
        workflow: workflow.key.workflow.clone(),
        version: workflow.version,
        input: workflow.input.clone(),
        trigger: Trigger::Manual {},
        keyed: false,
        wishes: None,
    };
    let command = Command::Run { run, command: RunCommand::StartRun(start) };
    let submission = Submission::new(fresh_id(), command);
    let submitted = access.client.submit(run.shard(), submission, PATIENCE).await;
    submitted.map(|(position, _)| (run, position)).map_err(|error| Failure::of(&error))
}

/// Starts one run and waits for its end.
pub async fn run_one(access: &Access, workflow: &Workflow) -> Result<(), Failure> {
    let run = start(access, workflow).await?;
    match access.client.await_run(run, PATIENCE).await.map_err(|error| Failure::of(&error))? {
        (RunStatus::Succeeded, _) => Ok(()),
        (status, _) => Err(Failure::new(format!("run {run} ended {status}"))),
    }
}

/// Starts runs together and waits for all their ends.
pub async fn run_group(access: &Access, workflow: &Workflow, count: usize) -> Result<(), Failure> {
    let starts = (0..count).map(|_| start(access, workflow));
    let runs = futures_util::future::try_join_all(starts).await?;
    let ends = access.client.await_runs(&runs, PATIENCE).await.map_err(|error| Failure::of(&error))?;
    match ends.iter().find(|(_, status)| *status != RunStatus::Succeeded) {
        Some((run, status)) => Err(Failure::new(format!("run {run} ended {status}"))),
        None => Ok(()),
    }
}

/// Keeps `in_flight` runs going for `seconds`; returns how many ended in each second.
pub async fn keep_going(access: &Access, workflow: &Workflow, in_flight: usize, seconds: u64) -> Result<f64, Failure> {
    let ended = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut groups = tokio::task::JoinSet::new();
    for _ in 0..in_flight.div_ceil(GROUP) {
        let (access, workflow, ended) = (access.clone(), workflow.clone(), Arc::clone(&ended));
        groups.spawn(async move {
            while Instant::now() < until {
                run_group(&access, &workflow, GROUP).await?;
                ended.fetch_add(GROUP as u64, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    // The first second warms up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (began, before) = (Instant::now(), ended.load(Ordering::Relaxed));
    tokio::time::sleep_until(until.into()).await;
    let (took, after) = (began.elapsed(), ended.load(Ordering::Relaxed));
    while let Some(group) = groups.join_next().await {
        group.map_err(|error| Failure::of(&error))??;
    }
    Ok((after - before) as f64 / took.as_secs_f64())
}
