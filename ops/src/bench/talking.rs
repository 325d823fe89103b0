//! Talking to a run: from a signal to the attempt that it lets begin, and what is seen of a run while the database is away.

use std::time::{Duration, Instant};

use headwater_core::run::RunCommand;
use headwater_core::shard::{Command, Submission};
use headwater_core::{BranchId, CommandId, Json, RunId, SignalName};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::figures::Report;
use super::load::{self, Workflow};
use super::scenarios::Compared;
use super::{BenchSettings, worker};
use crate::failure::Failure;
use crate::settings::Role;

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that waits for a signal, and then has a job.
fn waiting(slug: &str) -> Value {
    json!({"slug": slug, "steps": [
        {"id": "wait", "action": {"kind": "wait_signal", "signals": [{"name": "go"}]}},
        {"id": "only", "jobSlug": "bench", "dependsOn": ["wait"]}]})
}

/// From the moment a signal is sent to the shard (as one request, without HTTP) to the begin of the next node's attempt at a worker.
///
/// # Errors
/// What could not be started or measured.
pub async fn signal(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    eprintln!("signal: from a signal to the begin of the next attempt");
    let name: SignalName = "go".parse().map_err(|error: headwater_core::InvalidName| Failure::of(&error))?;
    let mut compared = Compared::default();
    for _ in 0..settings.repetitions {
        let cluster = Cluster::start(settings.shards, &[Role::Shards]).await?;
        let (began_at, begins) = tokio::sync::mpsc::unbounded_channel();
        let begins = tokio::sync::Mutex::new(begins);
        let worker = worker::observed(cluster.worker_broker(), began_at)?;
        let stop = CancellationToken::new();
        let running = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
        let workflow = load::apply(&cluster.access, &waiting("waiting")).await?;
        let once = async || {
            let mut begins = begins.lock().await;
            // Once its start is durable it waits.
            let run = load::start(&cluster.access, &workflow).await?;
            let began = Instant::now();
            let said = say(&cluster, &workflow, run, &name);
            let begin = async { begins.recv().await.ok_or_else(|| Failure::new("the worker is gone")) };
            let (begin, ()) = tokio::try_join!(begin, said)?;
            let ended = cluster.access.client.await_run(run, PATIENCE).await;
            ended.map_err(|error| Failure::of(&error))?;
            Ok(begin.saturating_duration_since(began))
        };
        compared.measure(&cluster, once).await?;
        stop.cancel();
        running.await.map_err(|error| Failure::of(&error))?.map_err(|error| Failure::of(&error))?;
        cluster.stop().await;
    }
    compared.report("signal", "signal to begin", 1, report);
    Ok(())
}

async fn say(cluster: &Cluster, workflow: &Workflow, run: RunId, name: &SignalName) -> Result<(), Failure> {
    let fresh = || CommandId::from_uuid(uuid::Uuid::new_v4());
    let command = RunCommand::Signal {
        workspace: workflow.key.workspace.clone(),
        signal: fresh(),
        name: name.clone(),
        key: None,
        payload: Json::null(),
        broadcast: false,
        update: false,
    };
    let submission = Submission::new(fresh(), Command::Run { run, command });
    let submitted = cluster.access.client.submit(run.shard(), submission, PATIENCE).await;
    submitted.map(drop).map_err(|error| Failure::of(&error))
}

/// What is seen of a run that waits, asked of its shard and over HTTP, while the database is away.
///
/// # Errors
/// What could not be started or measured.
pub async fn live(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    eprintln!("live: what is seen of an active run, without a database");
    let (mut asked, mut over_http) = (Compared::default(), Compared::default());
    for _ in 0..settings.repetitions {
        let mut cluster = Cluster::start(settings.shards, &[Role::Api, Role::Shards, Role::Projector]).await?;
        let workflow = load::apply(&cluster.access, &waiting("waiting")).await?;
        let run = load::start(&cluster.access, &workflow).await?;
        cluster.lose_database().await?;
        let once = async || {
            let began = Instant::now();
            let workspace = workflow.key.workspace.clone();
            let described = cluster.access.client.describe_run(workspace, run, BranchId::ROOT, PATIENCE).await;
            match described.map_err(|error| Failure::of(&error))?.context {
                Some(_) => Ok(began.elapsed()),
                None => Err(Failure::new("nothing is seen of the run")),
            }
        };
        asked.measure(&cluster, once).await?;
        // It brings no cryptography of its own, and is not asked for any.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| Failure::of(&error))?;
        let url = format!("{}/runs/{run}/live", cluster.api()?);
        let once = async || {
            let began = Instant::now();
            let request = http.get(&url).header("headwater-workspace", workflow.key.workspace.as_str());
            let answer = request.send().await.map_err(|error| Failure::of(&error))?;
            let answer = answer.error_for_status().map_err(|error| Failure::of(&error))?;
            answer.bytes().await.map_err(|error| Failure::of(&error))?;
            Ok(began.elapsed())
        };
        over_http.measure(&cluster, once).await?;
        cluster.stop().await;
    }
    asked.report("live", "asked of the shard", 1, report);
    over_http.report("live", "over HTTP", 1, report);
    Ok(())
}

/// How many runs are paused.
const PAUSED: usize = 10_000;

/// How long it takes to pause all runs that a filter means, and to let them go on, over HTTP.
///
/// # Errors
/// What could not be started or measured.
pub async fn bulk(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "bulk";
    eprintln!("bulk: {PAUSED} runs paused by a filter, and resumed");
    let (mut paused, mut resumed) = (Vec::new(), Vec::new());
    for _ in 0..settings.repetitions {
        let cluster = Cluster::start(settings.shards, &[Role::Api, Role::Shards, Role::Projector]).await?;
        let workflow = load::apply(&cluster.access, &waiting("waiting")).await?;
        load::start_many(&cluster.access, &workflow, PAUSED, |_| Json::of(&json!({}))).await?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| Failure::of(&error))?;
        for (operation, took) in [("pause", &mut paused), ("resume", &mut resumed)] {
            let began = Instant::now();
            let done = do_to_all(&cluster, &http, workflow.key.workspace.as_str(), operation).await?;
            if done != PAUSED as u64 {
                return Err(Failure::new(format!("{operation} was done to {done} of {PAUSED} runs")));
            }
            took.push(began.elapsed().as_secs_f64());
        }
        cluster.stop().await;
    }
    report.add(NAME, format!("{PAUSED} runs paused by a filter"), "s", &paused);
    report.add(NAME, format!("{PAUSED} runs resumed"), "s", &resumed);
    Ok(())
}

/// Asks piece by piece until nothing is left; returns to how many it was done.
async fn do_to_all(
    cluster: &Cluster,
    http: &reqwest::Client,
    workspace: &str,
    operation: &str,
) -> Result<u64, Failure> {
    let url = format!("{}/runs/bulk", cluster.api()?);
    let (mut cursor, mut done) = (Value::Null, 0);
    loop {
        let body = json!({"operation": operation, "filter": {"workflow": "waiting"}, "cursor": cursor});
        let request = http.post(&url).header("headwater-workspace", workspace).json(&body);
        let answer = request.send().await.map_err(|error| Failure::of(&error))?;
        let answer = answer.error_for_status().map_err(|error| Failure::of(&error))?;
        let piece: Value = answer.json().await.map_err(|error| Failure::of(&error))?;
        done += piece["data"]["done"].as_u64().unwrap_or_default();
        cursor = piece["data"]["cursor"].clone();
        if cursor.is_null() {
            return Ok(done);
        }
    }
}
