//! Three brokers: the one that a worker is connected to dies, and what was handed to it is done as promised.

use std::collections::BTreeSet;

use headwater_core::run::RunStatus;
use headwater_streams::broker::Wall;
use headwater_tests::audit::audit;
use headwater_tests::brokers::Brokers;
use headwater_tests::load::{self, Load};
use headwater_tests::until;

const NODES: usize = 3;
const RUNS: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_broker_dies_in_the_middle_of_hand_overs_goes_on_at_another_and_begins_nothing_twice() {
    let mut brokers = Brokers::start().await;
    let _engine = brokers.engine().await;
    // One attempt of each node, so that whatever is lost or begun twice fails its run.
    let mut document = load::chain("once", NODES, 20);
    for step in document["steps"].as_array_mut().unwrap() {
        step["retry"] = serde_json::json!({"maxAttempts": 1});
    }
    let load = Load::apply(brokers.access().await, &document).await;
    let leader = brokers.leader_of("HW_JOURNAL_0").await;
    let doomed = (0..3).find(|node| *node != leader).unwrap();
    let _worker = brokers.worker(doomed, 4).await;
    let starting = tokio::spawn({
        let load = load.clone();
        async move { load.start_many(RUNS, RUNS).await }
    });
    until("tasks are handed over", || async { (brokers.begun().len() >= RUNS / 2).then_some(()) }).await;
    assert!(brokers.begun().len() < RUNS * NODES, "it is in the middle");
    brokers.nodes[doomed].kill();
    let runs = starting.await.unwrap();
    assert_eq!(runs.len(), RUNS, "every start is answered in the end");
    for (run, status) in load.ends(&runs).await {
        assert_eq!(status, RunStatus::Succeeded, "run {run}");
    }
    let begun = brokers.begun();
    let distinct: BTreeSet<_> = begun.iter().collect();
    assert_eq!((begun.len(), distinct.len()), (RUNS * NODES, RUNS * NODES), "each is begun, and once");
    let audited = audit(&load.broker, &load.map).await;
    audited.hold(&runs, NODES);
    assert!(audited.failures.is_empty(), "{:?}", audited.failures);

    // It is back, and the wall stands at each of them.
    brokers.nodes[doomed].restart().unwrap();
    for node in &brokers.nodes {
        let wall = until("the wall is tried", || async { load.broker.try_wall(&node.worker()).await.ok() }).await;
        assert_eq!(wall, Wall::Holds);
    }
    audit(&load.broker, &load.map).await.hold(&runs, NODES);
}
