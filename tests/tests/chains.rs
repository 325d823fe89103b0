//! Runs that go on as others, on real processes that die: each has one successor, and none is lost.

use headwater_core::run::RunStatus;
use headwater_tests::audit::audit;
use headwater_tests::cluster::Cluster;
use headwater_tests::load::Load;
use headwater_tests::until;
use serde_json::{Value, json};

const LINKS: usize = 12;

/// A step, and then the same again with one less.
fn countdown() -> Value {
    json!({"slug": "chain", "defaults": {"left": LINKS - 1},
        "nodes": [{"id": "at", "action": {"kind": "sleep", "duration": "30ms"}},
            {"id": "next", "action": {"kind": "continue_as", "input": {"left": "${{ input.left - 1 }}"}}},
            {"id": "done", "action": "noop"}],
        "transitions": [{"from": "at", "to": "next", "when": "input.left > 0"},
            {"from": "at", "to": "done", "when": "input.left <= 0"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_killed_while_runs_go_on_as_others_loses_none_and_starts_none_twice() {
    const RUNS: usize = 100;
    let cluster = Cluster::start().await;
    let doomed = cluster.engine("shards").await;
    let load = Load::apply(cluster.access().await, &countdown()).await;
    let _heir = cluster.engine("shards").await;
    let runs = load.start_many(RUNS, 50).await;
    assert_eq!(runs.len(), RUNS);
    until("some have gone on", || async {
        let audit = audit(&load.broker, &load.map).await;
        (audit.ends.len() > RUNS).then_some(())
    })
    .await;
    doomed.kill().await;
    until("all chains have come to their ends", || async {
        let audit = audit(&load.broker, &load.map).await;
        (audit.ends.len() >= RUNS * LINKS).then_some(())
    })
    .await;
    for (run, status) in load.ends(&runs).await {
        assert_eq!(status, RunStatus::Succeeded, "run {run}");
    }
    let audit = audit(&load.broker, &load.map).await;
    assert_eq!(audit.ends.len(), RUNS * LINKS, "each link has one successor");
    assert!(audit.ends.values().all(|ends| ends == &["succeeded"]), "{:?}", audit.ends);
}
