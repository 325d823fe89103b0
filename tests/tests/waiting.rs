//! What waits for a worker, with real processes that die: it is begun at most once for each attempt, and not at all once its run has
//! ended.

use std::collections::BTreeSet;

use headwater_core::CommandId;
use headwater_core::run::{RunCommand, RunStatus};
use headwater_core::shard::{Command, Submission};
use headwater_tests::audit::audit;
use headwater_tests::cluster::Cluster;
use headwater_tests::load::{self, Load};
use headwater_tests::until;
use serde_json::json;

fn each_once(begun: &[String]) {
    let distinct: BTreeSet<_> = begun.iter().collect();
    assert_eq!(distinct.len(), begun.len(), "no attempt is begun twice: {begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_an_attempt_is_begun_once_and_every_run_ends() {
    const NODES: usize = 4;
    let cluster = Cluster::start().await;
    let doomed = cluster.engine("shards").await;
    let load = Load::apply(cluster.access().await, &load::chain("chain", NODES, 5)).await;
    let _heir = cluster.engine("shards").await;
    // Far fewer slots than runs, and fewer of each worker than there are shards.
    let workers = [cluster.worker(2).await, cluster.worker(2).await, cluster.worker(3).await, cluster.worker(1).await];
    let runs = load.start_many(400, 100).await;
    assert_eq!(runs.len(), 400);
    let some_begun = |count: usize| {
        let cluster = &cluster;
        async move { until("more is begun", || async { (cluster.begun().len() >= count).then_some(()) }).await }
    };
    some_begun(100).await;
    let [first, second, third, _fourth] = workers;
    first.kill().await;
    second.freeze().await;
    some_begun(300).await;
    doomed.kill().await;
    some_begun(500).await;
    // It goes on as if nothing had happened, with tasks that others have done meanwhile.
    second.thaw().await;
    third.stop().await;
    let _more = cluster.worker(4).await;
    for (run, status) in load.ends(&runs).await {
        assert_eq!(status, RunStatus::Succeeded, "run {run}");
    }
    audit(&load.broker, &load.map).await.hold(&runs, NODES);
    each_once(&cluster.begun());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_its_run_ends_is_never_begun() {
    let cluster = Cluster::start().await;
    let _engine = cluster.engine("shards").await;
    let load = Load::apply(cluster.access().await, &load::chain("chain", 2, 0)).await;
    // Nobody is there yet.
    let ended = load.start_many(50, 50).await;
    for run in &ended {
        let command = Command::Run {
            run: *run,
            command: RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 },
        };
        let submission = Submission::new(CommandId::from_uuid(uuid::Uuid::new_v4()), command);
        load.client.submit(run.shard(), submission, headwater_tests::PATIENCE).await.unwrap();
    }
    let wanted = load.start(&json!({})).await.unwrap();
    let _worker = cluster.worker(16).await;
    assert_eq!(load.ends(&[wanted]).await[0].1, RunStatus::Succeeded);
    let begun = cluster.begun();
    assert!(begun.iter().all(|begun| begun.starts_with(&wanted.to_string())), "{begun:?}");
    assert_eq!(begun.len(), 2);
}

/// A worker of one slot, and shards that all want it: it goes round.
#[tokio::test(flavor = "multi_thread")]
async fn one_slot_serves_every_shard() {
    let cluster = Cluster::start().await;
    let _engine = cluster.engine("shards").await;
    let load = Load::apply(cluster.access().await, &load::chain("chain", 1, 0)).await;
    let runs = load.start_many(60, 60).await;
    let shards: BTreeSet<_> = runs.iter().map(|run| run.shard()).collect();
    assert!(shards.len() > 1, "they stand in several shards");
    let _worker = cluster.worker(1).await;
    for (run, status) in load.ends(&runs).await {
        assert_eq!(status, RunStatus::Succeeded, "run {run}");
    }
    each_once(&cluster.begun());
}
