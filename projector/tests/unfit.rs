//! A database that answers and refuses: it is said, nobody waits for it, and once it is mended everything goes on by itself.

mod workload;

use std::sync::Arc;
use std::time::Duration;

use headwater_core::shard::{AggregateId, Event, Position};
use headwater_core::{Revision, ShardId};
use headwater_projector::queries::Reads;
use headwater_projector::rebuild::{RebuildError, Switch, rebuild};
use headwater_projector::server::PostgresServer;
use headwater_projector::{Database, DatabaseError, Observer, Progress, Projector, WaitError};
use headwater_streams::journals::MemoryJournals;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use workload::{Dice, Shard};

const DEADLINE: Duration = Duration::from_secs(60);

/// A server with a user of the engine's own, who owns what it makes and nothing else.
struct House {
    _folder: tempfile::TempDir,
    server: PostgresServer,
}

impl House {
    async fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house = Self { server: PostgresServer::start(folder.path()).await.unwrap(), _folder: folder };
        house.operator("CREATE ROLE app LOGIN PASSWORD 'right'; GRANT CREATE ON DATABASE headwater TO app").await;
        house
    }

    async fn operator(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.server.url(), tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        driver.abort();
    }

    fn database(&self) -> Database {
        let url = self.server.url();
        let (_, place) = url.split_once('@').unwrap();
        Database::at(&format!("postgres://app:right@{place}")).unwrap()
    }
}

/// A journal that grows by one run at a time.
struct Story {
    journal: MemoryJournals,
    shard: Shard,
    dice: Dice,
    runs: u32,
}

impl Story {
    fn new() -> Self {
        Self { journal: MemoryJournals::new(), shard: Shard::new(0), dice: Dice::new(5), runs: 0 }
    }

    async fn grow(&mut self) -> Position {
        self.runs += 1;
        let run: AggregateId = format!("run/0197a3f0-7c00-7abc-8def-{:012x}", self.runs << 10).parse().unwrap();
        let started = json!({"run": {"runStarted": {"workspace": "default", "workflow": "site", "version": 1, "input": {},
            "trigger": {"manual": {}}}}});
        let scheduled =
            json!({"run": {"attemptScheduled": {"node": "a", "attempt": 1, "lease": "00000000000000aa", "input": {}}}});
        let events: Vec<Event> = serde_json::from_value(json!([started, scheduled])).unwrap();
        self.shard.commit(&mut self.dice, run, &mut { Revision::FIRST }, events);
        self.journal.append(self.shard.id, self.shard.close(&mut self.dice));
        let sequence = headwater_streams::journals::Journals::head(&self.journal, self.shard.id).await.unwrap();
        Position { shard: self.shard.id, sequence }
    }
}

/// Waits until what stands at a position can be read, however often whoever waits is told that it cannot.
async fn goes_on(progress: &Progress, position: Position) {
    let seen = async {
        while let Err(error) = progress.wait_for(position, DEADLINE).await {
            assert_eq!(error, WaitError::DatabaseUnfit);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, seen).await.expect("it goes on by itself");
}

const HANG_UP: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_said_and_goes_on_once_it_is_mended() {
    let house = House::build().await;
    let (mut story, shards) = (Story::new(), [ShardId::new(0).unwrap()]);
    let projector = Projector::new(house.database(), Arc::new(story.journal.clone()), shards.to_vec());
    let (progress, stop) = (projector.progress(), CancellationToken::new());
    let task = tokio::spawn(projector.run(stop.clone()));
    let position = story.grow().await;
    goes_on(&progress, position).await;

    let read_only = format!("ALTER ROLE app SET default_transaction_read_only = on; {HANG_UP}");
    let password = format!("ALTER ROLE app PASSWORD 'another'; {HANG_UP}");
    let wrongs = [
        ("42P01", "ALTER TABLE headwater.traces RENAME TO gone", "ALTER TABLE headwater.gone RENAME TO traces"),
        (
            "42703",
            "ALTER TABLE headwater.traces RENAME worker TO who",
            "ALTER TABLE headwater.traces RENAME who TO worker",
        ),
        ("42501", "REVOKE INSERT ON headwater.commits FROM app", "GRANT INSERT ON headwater.commits TO app"),
        (
            "42501",
            "REVOKE ALL ON headwater.projection_cursors FROM app",
            "GRANT ALL ON headwater.projection_cursors TO app",
        ),
        ("25006", &read_only, "ALTER ROLE app RESET default_transaction_read_only"),
        ("28P01", &password, "ALTER ROLE app PASSWORD 'right'"),
        // What is gone for good is made anew.
        ("42P01", "DROP TABLE headwater.commits CASCADE", "DROP SCHEMA headwater CASCADE"),
    ];
    for (state, wrong, mended) in wrongs {
        house.operator(wrong).await;
        let position = story.grow().await;
        // It may have to lose its turn first, which it notices within a second.
        assert_eq!(progress.wait_for(position, DEADLINE).await, Err(WaitError::DatabaseUnfit), "{wrong}");
        let stopped = progress.lag().remove(0).stopped.expect("it is said why");
        assert!(stopped.starts_with(state), "{wrong}: {stopped}");
        house.operator(mended).await;
        goes_on(&progress, position).await;
        assert_eq!(progress.lag().remove(0).stopped, None, "{wrong}");
        let report = rebuild(&house.database(), Arc::new(story.journal.clone()), &shards, Switch::Never).await.unwrap();
        assert!(report.equal, "{wrong}: {report:#?}");
    }
    stop.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_has_written_stops_nobody_any_more() {
    let house = House::build().await;
    let (mut story, shards) = (Story::new(), [ShardId::new(0).unwrap()]);
    let projector = Projector::new(house.database(), Arc::new(story.journal.clone()), shards.to_vec());
    let (progress, stop) = (projector.progress(), CancellationToken::new());
    let task = tokio::spawn(projector.run(stop.clone()));
    let first = story.grow().await;
    goes_on(&progress, first).await;
    house.operator("REVOKE INSERT ON headwater.commits FROM app").await;
    let position = story.grow().await;
    assert_eq!(progress.wait_for(position, DEADLINE).await, Err(WaitError::DatabaseUnfit));
    // The new tables have all rights, and nothing is left to be written into them.
    let report = rebuild(&house.database(), Arc::new(story.journal.clone()), &shards, Switch::Always).await.unwrap();
    assert!(report.switched, "{report:#?}");
    goes_on(&progress, position).await;
    let seen = async {
        while progress.lag().remove(0).stopped.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, seen).await.expect("nothing stops it");
    stop.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_or_looks_or_rebuilds_is_told_what_is_to_be_mended() {
    let house = House::build().await;
    let (database, shards) = (house.database(), [ShardId::new(0).unwrap()]);
    database.migrate().await.unwrap();
    let reads = Reads::of(database.clone());
    assert_eq!(reads.write_obstacles().await.unwrap(), Default::default());
    let observer = Observer::new(database.clone(), &shards);
    let (progress, stop) = (observer.progress(), CancellationToken::new());
    let task = tokio::spawn(observer.run(stop.clone()));
    let far = Position { shard: shards[0], sequence: headwater_core::Sequence::new(9) };

    house.operator("ALTER TABLE headwater.projection_cursors RENAME TO gone").await;
    let error = reads.cursors().await.unwrap_err();
    let unfit = error.unfit().expect("somebody has to act");
    assert_eq!(unfit.state.as_deref(), Some("42P01"));
    assert!(error.to_string().contains("42P01") && error.to_string().contains(&unfit.message), "{error}");
    assert_eq!(reads.write_obstacles().await.unwrap().missing, ["projection_cursors"]);
    assert_eq!(progress.wait_for(far, DEADLINE).await, Err(WaitError::DatabaseUnfit));
    let journal = Arc::new(MemoryJournals::new());
    let refused = rebuild(&database, journal, &shards, Switch::Never).await.unwrap_err();
    assert!(matches!(&refused, RebuildError::Database(error) if error.unfit().is_some()), "{refused:?}");
    house
        .operator("ALTER TABLE headwater.gone RENAME TO projection_cursors; REVOKE DELETE ON headwater.traces FROM app")
        .await;
    reads.cursors().await.unwrap();
    assert_eq!(reads.write_obstacles().await.unwrap().denied, ["traces"]);
    stop.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();

    // A server that is away is only away.
    let House { _folder, server } = house;
    server.stop().await.unwrap();
    let away = reads.cursors().await.unwrap_err();
    assert!(matches!(away, DatabaseError::Unavailable(_)) && away.unfit().is_none(), "{away}");
}
