//! Sagas on real processes that die: what has succeeded is undone, each once, by a worker.

use std::collections::BTreeMap;

use headwater_core::run::RunStatus;
use headwater_tests::audit::audit;
use headwater_tests::cluster::Cluster;
use headwater_tests::load::{Load, chain};
use headwater_tests::until;
use serde_json::{Value, json};

/// Four steps that are undone, and one that fails.
fn saga() -> Value {
    let mut document = chain("chain", 4, 20);
    let steps = document["steps"].as_array_mut().expect("a chain has steps");
    for step in steps.iter_mut() {
        step["compensate"] = json!({"jobSlug": "echo", "input": {"millis": 20, "of": "${{ nodeInput }}"}});
    }
    let last = steps.last().expect("there are some")["id"].clone();
    steps.push(
        json!({"id": "end", "dependsOn": [last], "action": {"kind": "fail", "code": "enough", "message": "no more"}}),
    );
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_killed_while_runs_undo_forgets_nothing_and_undoes_nothing_twice() {
    const RUNS: usize = 100;
    let cluster = Cluster::start().await;
    let doomed = cluster.engine("shards").await;
    let load = Load::apply(cluster.access().await, &saga()).await;
    let _heir = cluster.engine("shards").await;
    let _worker = cluster.worker(32).await;
    let runs = load.start_many(RUNS, 50).await;
    assert_eq!(runs.len(), RUNS);
    let undone = || cluster.begun().iter().filter(|line| line.contains("~undo")).count();
    until("some is undone", || async { (undone() > RUNS).then_some(()) }).await;
    doomed.kill().await;
    for (run, status) in load.ends(&runs).await {
        assert_eq!(status, RunStatus::Failed, "run {run}");
    }
    // Each was begun once, or once more where a worker's report was lost with the owner: under another attempt.
    let mut begun: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in cluster.begun().iter().filter(|line| line.contains("~undo")) {
        let parts: Vec<&str> = line.split('/').collect();
        let [run, node, attempt] = parts.as_slice() else { panic!("{line}") };
        begun.entry(((*run).to_owned(), (*node).to_owned())).or_default().push((*attempt).to_owned());
    }
    assert_eq!(begun.len(), 4 * RUNS, "four of each run are undone");
    for ((run, node), attempts) in &begun {
        let distinct: std::collections::BTreeSet<_> = attempts.iter().collect();
        assert_eq!(distinct.len(), attempts.len(), "{node} of {run} is begun once in each attempt: {attempts:?}");
    }
    let audit = audit(&load.broker, &load.map).await;
    assert_eq!(audit.ends.len(), RUNS);
    let undone: Vec<_> = audit.successes.iter().filter(|((_, node), _)| node.node().undoes().is_some()).collect();
    assert_eq!(undone.len(), 4 * RUNS);
    assert!(undone.iter().all(|(_, times)| **times == 1), "nothing is undone twice: {undone:?}");
}
