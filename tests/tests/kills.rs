//! Real kills, of real processes, under load: what was acknowledged is kept, and nothing is done twice.

use std::collections::BTreeMap;

use headwater_core::run::RunStatus;
use headwater_tests::audit::audit;
use headwater_tests::cluster::Cluster;
use headwater_tests::load::{self, Load};
use headwater_tests::until;

const NODES: usize = 4;

async fn loaded(cluster: &Cluster) -> Load {
    Load::apply(cluster.access().await, &load::chain("chain", NODES, 0)).await
}

fn all_succeeded(ends: &[(headwater_core::RunId, RunStatus)]) {
    for (run, status) in ends {
        assert_eq!(*status, RunStatus::Succeeded, "run {run}");
    }
}

/// Waits until the load is well under way.
async fn some_have_ended(load: &Load) {
    until("some runs have ended", || async {
        let audit = audit(&load.broker, &load.map).await;
        (audit.ends.len() > 50).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_of_a_task_costs_an_attempt_and_no_run() {
    let cluster = Cluster::start().await;
    let _engine = cluster.engine("shards").await;
    let load = Load::apply(cluster.access().await, &load::chain("chain", 2, 1500)).await;
    let doomed = cluster.worker(8).await;
    let runs = load.start_many(8, 8).await;
    // The attempts outlive the moment after which they are journaled as started, so they are known to be under way.
    until("the worker is at it", || async {
        let journaled = audit(&load.broker, &load.map).await;
        (journaled.starts.len() == 8).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    doomed.kill().await;
    let _heir = cluster.worker(8).await;
    all_succeeded(&load.ends(&runs).await);
    let audit = audit(&load.broker, &load.map).await;
    audit.hold(&runs, 2);
    assert!(audit.failures.get("worker_lost").is_some_and(|count| *count > 0), "{:?}", audit.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_killed_between_append_and_reply_loses_nothing() {
    let cluster = Cluster::start().await;
    let doomed = cluster.engine("shards").await;
    let load = loaded(&cluster).await;
    let _worker = cluster.worker(64).await;
    let _heir = cluster.engine("shards").await;
    let starting = tokio::spawn({
        let load = load.clone();
        async move { load.start_many(600, 100).await }
    });
    some_have_ended(&load).await;
    doomed.kill().await;
    let runs = starting.await.unwrap();
    assert_eq!(runs.len(), 600, "every start is answered in the end");
    all_succeeded(&load.ends(&runs).await);
    let audit = audit(&load.broker, &load.map).await;
    audit.hold(&runs, NODES);
    assert!(audit.epochs.len() > usize::from(load.map.shards), "shards changed hands");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_stopped_in_its_tracks_and_continued_says_nothing_old() {
    let cluster = Cluster::start().await;
    let frozen = cluster.engine("shards").await;
    let load = loaded(&cluster).await;
    let _worker = cluster.worker(64).await;
    let _heir = cluster.engine("shards").await;
    let starting = tokio::spawn({
        let load = load.clone();
        async move { load.start_many(600, 100).await }
    });
    some_have_ended(&load).await;
    frozen.freeze().await;
    let mut runs = starting.await.unwrap();
    assert_eq!(runs.len(), 600, "the heir answers for every shard");
    // It wakes with all its shards, as it knows, and with every request that was sent meanwhile.
    frozen.thaw().await;
    let after = load.start_many(200, 50).await;
    assert_eq!(after.len(), 200, "nothing is refused");
    runs.extend(after);
    all_succeeded(&load.ends(&runs).await);
    audit(&load.broker, &load.map).await.hold(&runs, NODES);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_killed_and_started_again_under_load_keeps_what_it_acknowledged() {
    let mut cluster = Cluster::start().await;
    let _engine = cluster.engine("shards").await;
    let load = loaded(&cluster).await;
    let _worker = cluster.worker(64).await;
    let starting = tokio::spawn({
        let load = load.clone();
        async move { load.start_many(600, 100).await }
    });
    some_have_ended(&load).await;
    cluster.nats.kill();
    let nats = &mut cluster.nats;
    tokio::task::block_in_place(|| nats.restart()).unwrap();
    let runs = starting.await.unwrap();
    assert!(!runs.is_empty());
    all_succeeded(&load.ends(&runs).await);
    audit(&load.broker, &load.map).await.hold(&runs, NODES);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_on_without_the_database_and_the_projection_catches_up() {
    let mut cluster = Cluster::start().await;
    let _engine = cluster.engine("shards,projector").await;
    let load = loaded(&cluster).await;
    let _worker = cluster.worker(64).await;
    let before = load.start_many(100, 50).await;
    all_succeeded(&load.ends(&before).await);
    cluster.postgres.kill().await.unwrap();
    let without = load.start_many(100, 50).await;
    all_succeeded(&load.ends(&without).await);
    cluster.postgres.restart().await.unwrap();
    let database = headwater_projector::Database::at(&cluster.postgres.url()).unwrap();
    let queries = headwater_projector::queries::Reads::of(database);
    for run in before.iter().chain(&without) {
        until("the run is projected", || async {
            let found = queries.run(&load.key.workspace, *run).await.ok().flatten()?;
            (found.summary.status.as_str() == "succeeded").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_hands_the_shards_over_within_seconds() {
    let cluster = Cluster::start().await;
    let leaving = cluster.engine("shards").await;
    let load = loaded(&cluster).await;
    let _worker = cluster.worker(64).await;
    let _staying = cluster.engine("shards").await;
    let starting = tokio::spawn({
        let load = load.clone();
        async move { load.start_many(300, 50).await }
    });
    assert!(leaving.stop().await.success());
    let runs = starting.await.unwrap();
    assert_eq!(runs.len(), 300);
    all_succeeded(&load.ends(&runs).await);
    audit(&load.broker, &load.map).await.hold(&runs, NODES);
}

/// Starts a run under a key; the run's id, if an answer came.
async fn start_under_key(http: &reqwest::Client, api: &str, key: &str) -> Option<String> {
    let request = http.post(format!("{api}/workflows/chain/runs")).header("idempotency-key", key);
    let answer = request.json(&serde_json::json!({"input": {"key": key}})).send().await.ok()?;
    let answer: serde_json::Value = answer.json().await.ok()?;
    answer["data"]["runId"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_killed_before_it_answers_starts_nothing_twice() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let _engine = cluster.engine("shards,projector").await;
    let load = loaded(&cluster).await;
    let _worker = cluster.worker(64).await;
    let (doomed, other) = (cluster.engine("api").await, cluster.engine("api").await);
    let http = reqwest::Client::new();
    let keys: Vec<String> = (0..200).map(|at| format!("key-{at}")).collect();
    let mut asked = tokio::task::JoinSet::new();
    for key in keys.clone() {
        let (http, api) = (http.clone(), doomed.api.clone());
        asked.spawn(async move { (start_under_key(&http, &api, &key).await, key) });
    }
    // Killed as soon as the first answers are out: others are on their way, or never leave.
    let first = asked.join_next().await.unwrap().unwrap();
    doomed.kill().await;
    let mut answered: BTreeMap<String, String> = BTreeMap::new();
    answered.extend(first.0.map(|run| (first.1, run)));
    while let Some(asked) = asked.join_next().await {
        let (run, key) = asked.unwrap();
        answered.extend(run.map(|run| (key, run)));
    }
    let mut runs = Vec::new();
    for key in &keys {
        let run = until("the other api answers", || start_under_key(&http, &other.api, key)).await;
        if let Some(before) = answered.get(key) {
            assert_eq!(*before, run, "the same key is the same run");
        }
        runs.push(run.parse().unwrap());
    }
    all_succeeded(&load.ends(&runs).await);
    let audit = audit(&load.broker, &load.map).await;
    audit.hold(&runs, NODES);
    assert_eq!(audit.starts.len(), keys.len(), "nothing else was started");
}
