//! Snapshots in the tables are the fold of the journal, however it was cut, after restarts and a rebuild, and with whatever was
//! kept at hand.

mod lives;
#[path = "../workload/mod.rs"]
mod workload;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "../../../core/tests/shard/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::Position;
use headwater_core::{RunId, ShardId};
use headwater_projector::rebuild::{Switch, rebuild};
use headwater_projector::server::PostgresServer;
use headwater_projector::{BatchLimits, Database, Projector, SnapshotLimits};
use headwater_streams::journals::{Journals as _, MemoryJournals};
use tokio_util::sync::CancellationToken;

use lives::Lives;
use workload::Dice;

const DEADLINE: Duration = Duration::from_secs(300);

/// Projects what the journal holds, and stops.
async fn project(database: &Database, journal: &MemoryJournals, limits: (usize, SnapshotLimits)) {
    let shard = ShardId::new(0).unwrap();
    let (events_max, snapshots) = limits;
    let projector = Projector::new(database.clone(), Arc::new(journal.clone()), vec![shard])
        .with_limits(BatchLimits { events_max, ..BatchLimits::default() })
        .with_snapshot_limits(snapshots);
    let (progress, shutdown) = (projector.progress(), CancellationToken::new());
    let task = tokio::spawn(projector.run(shutdown.clone()));
    let sequence = journal.head(shard).await.unwrap();
    progress.wait_for(Position { shard, sequence }, DEADLINE).await.unwrap();
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

fn append(journal: &MemoryJournals, messages: &[Bytes]) {
    for message in messages {
        journal.append(ShardId::new(0).unwrap(), message.clone());
    }
}

/// The snapshots in the table.
async fn kept(server: &PostgresServer) -> BTreeMap<RunId, Option<String>> {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let rows = client.query("SELECT run_id, latest_snapshot FROM headwater.workflow_runs", &[]).await.unwrap();
    driver.abort();
    rows.iter().map(|row| (RunId::from_uuid(row.get(0)), row.get(1))).collect()
}

fn same(found: &BTreeMap<RunId, Option<String>>, expected: &BTreeMap<RunId, Option<String>>) {
    assert_eq!(found.len(), expected.len());
    for (run, snapshot) in expected {
        assert_eq!(found[run], *snapshot, "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_runs_have_the_snapshots_that_their_histories_give() {
    for seed in 0..5 {
        tell_and_project(seed, 200).await;
    }
}

async fn tell_and_project(seed: u64, runs: usize) {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    let database = Database::open(&server.url()).await.unwrap();
    let shard = ShardId::new(0).unwrap();
    let mut dice = Dice::new(seed);
    let lives = Lives::tell(&mut dice, runs);
    let expected = lives.snapshots();
    let taken = expected.values().flatten().count();
    assert!(taken > runs / 2 && expected.len() - taken > runs / 10, "{taken} of {}", expected.len());
    let journal = MemoryJournals::new();
    let messages = lives.messages(&mut dice, &journal);
    let (mut rest, mut round) = (&messages[..], 0);
    while !rest.is_empty() {
        let most = messages.len() as u64 / 5;
        let (now, later) = rest.split_at((1 + dice.below(most) as usize).min(rest.len()));
        append(&journal, now);
        rest = later;
        // Some of them keep next to nothing at hand.
        let runs_max = [1, 30, 10_000][round % 3];
        let snapshots = SnapshotLimits { runs_max, ..SnapshotLimits::default() };
        project(&database, &journal, (1 + dice.below(400) as usize, snapshots)).await;
        round += 1;
    }
    same(&kept(&server).await, &expected);

    let report = rebuild(&database, Arc::new(journal), &[shard], Switch::IfEqual).await.unwrap();
    assert!(report.equal && report.switched, "{report:#?}");
    same(&kept(&server).await, &expected);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_have_happened_ends_the_snapshots_of_its_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    let database = Database::open(&server.url()).await.unwrap();
    let mut dice = Dice::new(4);
    let mut lives = Lives::tell(&mut dice, 30);
    let poisoned = lives.poison();
    let expected = lives.snapshots();
    assert!(expected[&poisoned].is_some(), "the last one before stays");
    let journal = MemoryJournals::new();
    let messages = lives.messages(&mut dice, &journal);
    append(&journal, &messages);
    project(&database, &journal, (1, SnapshotLimits { runs_max: 2, bytes_max: 1 << 20 })).await;
    same(&kept(&server).await, &expected);
    let report = rebuild(&database, Arc::new(journal), &[ShardId::new(0).unwrap()], Switch::IfEqual).await.unwrap();
    assert!(report.equal, "{report:#?}");
    server.stop().await.unwrap();
}
