//! The tables equal the fold of the journal: after duplicates, restarts, crashes, poison, and a rebuild.

mod workload;

use std::sync::Arc;
use std::time::Duration;

use headwater_core::shard::Position;
use headwater_core::{Sequence, ShardId};
use headwater_projector::rebuild::{RebuildReport, Switch, go_back, rebuild};
use headwater_projector::server::PostgresServer;
use headwater_projector::{BatchLimits, Database, Journal as _, MemoryJournal, Progress, Projector};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workload::story::{Story, tell};

const DEADLINE: Duration = Duration::from_secs(60);

struct House {
    _folder: tempfile::TempDir,
    server: PostgresServer,
}

impl House {
    async fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = PostgresServer::start(folder.path()).await.unwrap();
        Self { _folder: folder, server }
    }

    async fn database(&self) -> Database {
        Database::open(&self.server.url()).await.unwrap()
    }

    async fn rows(&self, sql: &str) -> Vec<tokio_postgres::Row> {
        let (client, connection) = tokio_postgres::connect(&self.server.url(), tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        let rows = client.query(sql, &[]).await.unwrap();
        driver.abort();
        rows
    }
}

struct Running {
    progress: Progress,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(
        database: &Database,
        journal: &MemoryJournal,
        shards: &[ShardId],
        events_max: usize,
        lanes: usize,
    ) -> Self {
        let limits = BatchLimits { events_max, ..BatchLimits::default() };
        let projector = Projector::new(database.clone(), Arc::new(journal.clone()), shards.to_vec());
        let projector = projector.with_limits(limits).with_lanes(lanes);
        let (progress, shutdown) = (projector.progress(), CancellationToken::new());
        let task = tokio::spawn(projector.run(shutdown.clone()));
        Self { progress, shutdown, task }
    }

    async fn reach(&self, shard: ShardId, sequence: Sequence) {
        self.progress.wait_for(Position { shard, sequence }, DEADLINE).await.unwrap();
    }

    async fn reach_heads(&self, journal: &MemoryJournal, shards: &[ShardId]) {
        for &shard in shards {
            self.reach(shard, journal.head(shard).await.unwrap()).await;
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

async fn compare(database: &Database, story: &Story) -> RebuildReport {
    let report = rebuild(database, Arc::new(story.journal.clone()), &story.shards, Switch::Never).await.unwrap();
    let different: Vec<_> = report.tables.iter().filter(|table| !table.equal).collect();
    assert!(report.equal, "{different:#?}");
    report
}

/// The tables say of every run what the story knows of it.
async fn agrees(house: &House, story: &Story) {
    let sql = "SELECT run_id, status, (SELECT max(revision + event_count - 1) FROM commits c WHERE c.run_id = r.run_id)
               FROM headwater.workflow_runs r";
    let runs = house.rows(sql).await;
    assert_eq!(runs.len(), story.runs.len());
    let sql = "SELECT DISTINCT ON (run_id, node_id) run_id, node_id, status, attempt FROM headwater.traces
               ORDER BY run_id, node_id, attempt DESC";
    let mut nodes = std::collections::BTreeMap::<uuid::Uuid, Vec<(String, String, i32)>>::new();
    for row in house.rows(sql).await {
        nodes.entry(row.get(0)).or_default().push((row.get(1), row.get(2), row.get(3)));
    }
    for row in runs {
        let id: uuid::Uuid = row.get(0);
        let truth = &story.runs[&headwater_core::RunId::from_uuid(id)];
        assert_eq!(row.get::<_, &str>(1), truth.status, "{id}");
        assert_eq!(row.get::<_, i64>(2) as u64, truth.revision, "{id}");
        let told: Vec<_> = truth
            .nodes
            .iter()
            .map(|(node, (status, attempt))| (node.clone(), (*status).to_owned(), *attempt as i32))
            .collect();
        let mut found = nodes.remove(&id).unwrap_or_default();
        found.sort();
        assert_eq!(found, told, "{id}");
    }
    assert!(nodes.is_empty());
    let dead = house.rows("SELECT count(*) FROM headwater.dead_events").await;
    assert_eq!(dead[0].get::<_, i64>(0) as usize, story.dead);
    let versions =
        house.rows("SELECT asset_key, partition, max(version) FROM headwater.asset_versions GROUP BY 1, 2").await;
    let versions = versions.iter().map(|row| ((row.get(0), row.get(1)), row.get::<_, i64>(2) as u64)).collect();
    assert_eq!(story.versions, versions);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_batches_are_cut_the_tables_are_the_same() {
    let house = House::build().await;
    let database = house.database().await;
    let seed = std::process::id().into();
    println!("seed {seed}");
    for (events_max, lanes) in [(1, 1), (7, 2), (20_000, 1)] {
        let story = tell(seed, 3, 1_500);
        let running = Running::start(&database, &story.journal, &story.shards, events_max, lanes);
        running.reach_heads(&story.journal, &story.shards).await;
        running.stop().await;
        agrees(&house, &story).await;
        let report = compare(&database, &story).await;
        assert!(report.tables.iter().all(|table| table.live_rows > 0), "a story that leaves a table out: {report:#?}");
        house.rows("SELECT 1").await;
        drop_schema(&house).await;
    }
}

async fn drop_schema(house: &House) {
    let (client, connection) = tokio_postgres::connect(&house.server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("DROP SCHEMA headwater CASCADE").await.unwrap();
}
