//! A large graph: how long it takes to apply, and to run once.

use std::time::{Duration, Instant};

use headwater_core::Json;
use serde_json::{Value, json};

use super::BenchSettings;
use super::cluster::Cluster;
use super::figures::Report;
use super::load;
use super::scenarios::bare_publish;
use crate::failure::Failure;
use crate::settings::Role;

/// How many nodes it has, in layers of so many, each behind so many of the layer before.
const NODES: usize = 10_000;
const LAYER: usize = 100;
const WAYS: usize = 5;
/// How often each is run.
const RUNS: usize = 7;
/// How many of its jobs are under way at once.
const SLOTS: usize = 64;

/// Applies it with nodes that do nothing and runs that again and again; the same with jobs.
pub(super) async fn dag(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    eprintln!("dag: {NODES} nodes in layers of {LAYER}, each behind {WAYS}");
    let (mut bare, mut applies, mut pure, mut jobs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..settings.repetitions {
        let mut cluster = Cluster::start(settings.shards, &[Role::Shards]).await?;
        bare.push(bare_publish(&cluster).await?);
        let began = Instant::now();
        let workflow = load::apply(&cluster.access, &layers("pure", &json!({"action": "noop"}))).await?;
        applies.push(millis(began.elapsed()));
        pure.extend(run(&cluster, workflow).await?);
        cluster.add_worker(SLOTS).await?;
        let workflow = load::apply(&cluster.access, &layers("jobs", &json!({"jobSlug": "bench"}))).await?;
        jobs.extend(run(&cluster, workflow).await?);
        cluster.stop().await;
    }
    report.add("dag", "bare fsynced publish p50", "ms", &bare);
    report.add("dag", "apply 10,000 nodes and 50,000 transitions", "ms", &applies);
    report.add("dag", "run of 10,000 pure nodes", "ms", &pure);
    report.add("dag", "run of 10,000 jobs on 64 slots", "ms", &jobs);
    Ok(())
}

async fn run(cluster: &Cluster, mut workflow: load::Workflow) -> Result<Vec<f64>, Failure> {
    workflow.input = Json::empty_object();
    // The first compiles it where it runs.
    load::run_one(&cluster.access, &workflow).await?;
    let mut took = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let began = Instant::now();
        load::run_one(&cluster.access, &workflow).await?;
        took.push(millis(began.elapsed()));
    }
    Ok(took)
}

fn layers(slug: &str, action: &Value) -> Value {
    let step = |n: usize| {
        let mut step = action.clone();
        step["id"] = json!(format!("n{n}"));
        if let Some(layer) = (n / LAYER).checked_sub(1) {
            step["dependsOn"] = (0..WAYS).map(|way| format!("n{}", layer * LAYER + (n + way * 7) % LAYER)).collect();
        }
        step
    };
    json!({"slug": slug, "steps": (0..NODES).map(step).collect::<Vec<_>>()})
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
