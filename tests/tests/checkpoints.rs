//! Checkpoints of real processes: the next owner goes on from them, and does without those that are no good.

use headwater_core::run::RunStatus;
use headwater_core::shard::{Owner, Shard};
use headwater_core::{RunId, ShardId};
use headwater_streams::checkpoints::Checkpoints;
use headwater_streams::journal::Journal;
use headwater_tests::audit::audit;
use headwater_tests::cluster::{Cluster, Engine};
use headwater_tests::load::{self, Load};
use headwater_tests::until;

const NODES: usize = 4;
/// A checkpoint for every few bundles: far more often than in life.
const OFTEN: [&str; 2] = ["--checkpoint-bundles", "20"];

/// Reads a counter of an engine that has the role `api`.
async fn counter(engine: &Engine, name: &str) -> Option<u64> {
    let text = reqwest::get(format!("{}/metrics", engine.api)).await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// How many entries a journal has, and how many of them the newest checkpoint holds; none when it cannot be used.
async fn extent(load: &Load, number: u16) -> (u64, u64) {
    let shard = ShardId::new(number).unwrap();
    let end = Journal::open(&load.broker, shard).await.unwrap().info().await.unwrap().last.get();
    let checkpoints = Checkpoints::open(&load.broker).await.unwrap();
    // One that is replaced while it is read must be asked for again.
    let latest = until("the checkpoint can be read", || async { checkpoints.latest(shard).await.ok() }).await;
    let restored = latest.and_then(|bytes| Owner::<()>::restore(Shard::new(shard, load.map.clone()), &bytes).ok());
    (end, restored.map_or(0, |owner| owner.last().get()))
}

async fn extents(load: &Load) -> Vec<(u64, u64)> {
    let mut extents = Vec::new();
    for number in 0..load.map.shards {
        extents.push(extent(load, number).await);
    }
    extents
}

async fn done(load: &Load, count: usize) -> Vec<RunId> {
    let runs = load.start_many(count, 50).await;
    assert_eq!(runs.len(), count);
    for (run, status) in load.ends(&runs).await {
        assert_eq!(status, RunStatus::Succeeded, "run {run}");
    }
    runs
}

/// Runs until every shard has a checkpoint.
async fn checkpointed(load: &Load) -> Vec<RunId> {
    let mut runs = Vec::new();
    while runs.is_empty() || extents(load).await.iter().any(|(_, held)| *held == 0) {
        assert!(runs.len() < 5_000, "checkpoints are due long since");
        runs.extend(done(load, 100).await);
    }
    runs
}

/// What there is when nothing that a killed process had sent is on its way any more.
async fn settled(load: &Load) -> Vec<(u64, u64)> {
    until("the journals are at rest", || async {
        let before = extents(load).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        Some(extents(load).await).filter(|after| *after == before)
    })
    .await
}

/// Starts the next engine and returns it, with how many bundles it has folded to take every shard over.
async fn heir(cluster: &Cluster, load: &Load, flags: &[&str]) -> (Engine, u64) {
    let heir = cluster.engine_with("shards,api", flags).await;
    until("the heir has every shard", || async {
        let taken = counter(&heir, "headwater_shard_take_overs_total").await?;
        (taken == u64::from(load.map.shards)).then_some(())
    })
    .await;
    let folded = counter(&heir, "headwater_shard_folded_bundles_total").await.unwrap();
    (heir, folded)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_owner_folds_only_what_no_checkpoint_holds() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let doomed = cluster.engine_with("shards,api", &OFTEN).await;
    let load = Load::apply(cluster.access().await, &load::chain("chain", NODES, 0)).await;
    let _worker = cluster.worker(64).await;
    let mut runs = checkpointed(&load).await;
    // Killed under load: runs are under way that the heir must know.
    let starting = tokio::spawn({
        let load = load.clone();
        async move { load.start_many(200, 50).await }
    });
    let ends = |extents: &[(u64, u64)]| extents.iter().map(|(end, _)| end).sum::<u64>();
    let before = ends(&extents(&load).await);
    until("the journals grow", || async { (ends(&extents(&load).await) > before + 20).then_some(()) }).await;
    assert!(counter(&doomed, "headwater_shard_checkpoints_total").await.unwrap() >= u64::from(load.map.shards));
    doomed.kill().await;
    let extents = settled(&load).await;
    let entries = ends(&extents);
    let behind: u64 = extents.iter().map(|(end, held)| end - held).sum();
    let (_heir, folded) = heir(&cluster, &load, &[]).await;
    println!("{entries} entries, {behind} of them behind the checkpoints, {folded} folded");
    assert_eq!(folded, behind, "{extents:?}");
    assert!(folded < entries, "{folded} of {entries}");
    let more = starting.await.unwrap();
    load.ends(&more).await;
    runs.extend(more);
    runs.extend(done(&load, 50).await);
    audit(&load.broker, &load.map).await.hold(&runs, NODES);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_that_are_no_good_cost_time_and_nothing_else() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let doomed = cluster.engine_with("shards,api", &OFTEN).await;
    let load = Load::apply(cluster.access().await, &load::chain("chain", NODES, 0)).await;
    let _worker = cluster.worker(64).await;
    let mut runs = checkpointed(&load).await;
    doomed.kill().await;
    settled(&load).await;
    // One is damaged, one is of another shard; the others are as they are.
    let checkpoints = Checkpoints::open(&load.broker).await.unwrap();
    let [zero, one, two] = [0, 1, 2].map(|number| ShardId::new(number).unwrap());
    let foreign = checkpoints.latest(two).await.unwrap().expect("shard 2 has a checkpoint");
    checkpoints.put(zero, "damaged".into()).await.unwrap();
    checkpoints.put(one, foreign).await.unwrap();
    let before = extents(&load).await;
    assert_eq!((before[0].1, before[1].1), (0, 0), "no good");
    let (_heir, folded) = heir(&cluster, &load, &OFTEN).await;
    assert_eq!(folded, before.iter().map(|(end, held)| end - held).sum::<u64>(), "{before:?}");
    runs.extend(done(&load, 200).await);
    audit(&load.broker, &load.map).await.hold(&runs, NODES);
    until("good ones are in their place", || async {
        let after = extents(&load).await;
        (after[0].1 > before[0].0 && after[1].1 > before[1].0).then_some(())
    })
    .await;
}
