//! The tables equal the fold of the journal: after duplicates, restarts, crashes, poison, and a rebuild.

mod as_of;
mod rebuilding;
mod repeats;
#[path = "../workload/mod.rs"]
mod workload;

use std::sync::Arc;
use std::time::Duration;

use headwater_core::shard::Position;
use headwater_core::{Epoch, Incarnation, Sequence, ShardId};
use headwater_projector::rebuild::{RebuildReport, Switch, rebuild};
use headwater_projector::server::PostgresServer;
use headwater_projector::{BatchLimits, Database, bundle_hash};
use headwater_projector::{Progress, Projector, WaitError};
use headwater_streams::journals::{Journals, MemoryJournals};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workload::story::{Story, tell};

const DEADLINE: Duration = Duration::from_secs(180);

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

    /// Leaves a schema as a release had it that knew of no moments, and of no branches.
    async fn as_a_release_before(&self, schema: &str) {
        for before in [
            format!("DROP TABLE {schema}.human_tasks"),
            format!("DROP TABLE {schema}.branches"),
            format!("ALTER TABLE {schema}.nodes DROP COLUMN body_of"),
            format!("DELETE FROM {schema}.traces WHERE branch > 0"),
            format!("ALTER TABLE {schema}.traces DROP COLUMN branch, ADD PRIMARY KEY (run_id, node_id, attempt)"),
            format!("DELETE FROM {schema}.refinery_schema_history WHERE name = 'branches'"),
            format!("DROP TABLE {schema}.workflow_selections"),
            format!("ALTER TABLE {schema}.assets DROP COLUMN shard, DROP COLUMN sequence, DROP COLUMN known_at"),
            format!("DROP TABLE {schema}.run_terms"),
            // The columns and tables that came later are left: what this release put there is not projected again.
            format!(
                "DELETE FROM {schema}.refinery_schema_history WHERE name IN ('human_tasks', 'as_of', 'tolerated', 'pinned', 'calls', 'actions', 'stored_values',
                    'what_runs_are_called', 'how_runs_are_found', 'continued_runs', 'snapshots', 'successors')"
            ),
        ] {
            self.rows(&before).await;
        }
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
        journal: &MemoryJournals,
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

    /// Projects what the journals hold, and stops.
    async fn to_the_end(
        database: &Database,
        journal: &MemoryJournals,
        shards: &[ShardId],
        events_max: usize,
        lanes: usize,
    ) {
        let running = Self::start(database, journal, shards, events_max, lanes);
        running.reach_heads(journal, shards).await;
        running.stop().await;
    }

    async fn reach(&self, shard: ShardId, sequence: Sequence) {
        self.progress.wait_for(Position { shard, sequence }, DEADLINE).await.unwrap();
    }

    async fn reach_heads(&self, journal: &MemoryJournals, shards: &[ShardId]) {
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
    let sql = "SELECT DISTINCT ON (run_id, node_id, branch)
                      run_id, node_id || CASE WHEN branch > 0 THEN '@' || branch ELSE '' END, status, attempt
               FROM headwater.traces ORDER BY run_id, node_id, branch, attempt DESC";
    let mut nodes = std::collections::BTreeMap::<uuid::Uuid, Vec<(String, String, i32)>>::new();
    for row in house.rows(sql).await {
        nodes.entry(row.get(0)).or_default().push((row.get(1), row.get(2), row.get(3)));
    }
    let sql =
        "SELECT run_id, branch, kind, status, (status <> 'running') = (ended_at IS NOT NULL) FROM headwater.branches";
    let mut branches = std::collections::BTreeMap::<uuid::Uuid, Vec<(u32, String, String)>>::new();
    for row in house.rows(sql).await {
        branches.entry(row.get(0)).or_default().push((row.get::<_, i32>(1) as u32, row.get(2), row.get(3)));
        assert!(row.get::<_, bool>(4));
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
        let told = truth.branches.iter();
        let told: Vec<_> = told.map(|(number, (kind, status))| (*number, (*kind).into(), (*status).into())).collect();
        let mut found = branches.remove(&id).unwrap_or_default();
        found.sort();
        assert_eq!(found, told, "{id}");
    }
    assert!(nodes.is_empty() && branches.is_empty());
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
        Running::to_the_end(&database, &story.journal, &story.shards, events_max, lanes).await;
        agrees(&house, &story).await;
        let report = compare(&database, &story).await;
        assert!(report.tables.iter().all(|table| table.live_rows > 0), "a story that leaves a table out: {report:#?}");
        drop_schema(&house).await;
    }
}

/// The journal of one shard as an operator accepted it: its first entries, and the bundle that begins an incarnation.
fn begun_anew(story: &Story, shard: ShardId, kept: usize, incarnation: Incarnation) -> MemoryJournals {
    let journal = MemoryJournals::new();
    for &other in &story.shards {
        let entries = workload::entries(&story.journal, other);
        let kept = if other == shard { kept } else { entries.len() };
        let previous = kept.checked_sub(1).map_or(String::new(), |last| bundle_hash(&entries[last].bytes));
        for entry in entries.into_iter().take(kept) {
            journal.append(other, entry.bytes);
        }
        if other == shard {
            let bundle = serde_json::json!({
                "shard": shard, "epoch": Epoch::first_of(incarnation), "id": uuid::Uuid::from_u128(7), "previous": previous,
                "effectsDone": 0, "commits": [],
            });
            journal.append(shard, serde_json::to_vec(&bundle).unwrap().into());
        }
    }
    journal
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_began_anew_is_projected_from_its_first_entry_and_what_it_does_not_tell_is_gone() {
    let house = House::build().await;
    let database = house.database().await;
    let story = tell(std::process::id().into(), 3, 1_500);
    Running::to_the_end(&database, &story.journal, &story.shards, 20_000, 2).await;
    let shard = story.shards[1];
    let all = workload::entries(&story.journal, shard).len();
    let commits = format!("SELECT count(*) FROM headwater.commits WHERE shard = {shard}");
    let mut counts = vec![house.rows(&commits).await[0].get::<_, i64>(0)];
    for (number, kept) in [(1, all / 2), (2, all / 3), (5, 0)] {
        let incarnation = Incarnation::new(number);
        let journal = begun_anew(&story, shard, kept, incarnation);
        let running = Running::start(&database, &journal, &story.shards, 20_000, 2);
        running.reach(shard, Sequence::new(kept as u64 + 1).within(incarnation)).await;
        running.reach(story.shards[0], journal.head(story.shards[0]).await.unwrap()).await;
        running.stop().await;
        let report = rebuild(&database, Arc::new(journal), &story.shards, Switch::Never).await.unwrap();
        let different: Vec<_> = report.tables.iter().filter(|table| !table.equal).collect();
        assert!(report.equal, "{different:#?}");
        counts.push(house.rows(&commits).await[0].get::<_, i64>(0));
    }
    assert!(counts.windows(2).all(|pair| pair[0] > pair[1]) && counts[3] == 0, "{counts:?}");
}

async fn drop_schema(house: &House) {
    let (client, connection) = tokio_postgres::connect(&house.server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("DROP SCHEMA headwater CASCADE").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_journal_of_the_same_name_sets_its_shard_aside_and_no_other() {
    let house = House::build().await;
    let database = house.database().await;
    let (story, other) = (tell(5, 2, 400), tell(6, 2, 800));
    let [first, second] = [story.shards[0], story.shards[1]];
    Running::to_the_end(&database, &story.journal, &[first], 1_000, 1).await;

    let running = Running::start(&database, &other.journal, &other.shards, 1_000, 1);
    running.reach_heads(&other.journal, &[second]).await;
    let head = other.journal.head(first).await.unwrap();
    let refused = running.progress.wait_for(Position { shard: first, sequence: head }, DEADLINE).await;
    assert_eq!(refused, Err(WaitError::Held));
    assert!(running.progress.lag()[0].broken);
    assert!(running.progress.lag()[0].bundles > 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_starts_before_its_database_catches_up() {
    let mut house = House::build().await;
    let database = Database::at(&house.server.url()).unwrap();
    house.server.kill().await.unwrap();
    let story = tell(8, 1, 200);
    let running = Running::start(&database, &story.journal, &story.shards, 1_000, 1);
    let (shard, head) = (story.shards[0], story.journal.head(story.shards[0]).await.unwrap());
    let soon = running.progress.wait_for(Position { shard, sequence: head }, Duration::from_millis(50)).await;
    assert_eq!(soon, Err(WaitError::DeadlinePassed));
    house.server.restart().await.unwrap();
    running.reach_heads(&story.journal, &story.shards).await;
    running.stop().await;
    agrees(&house, &story).await;
}

/// How many projectors have their turn, as the database sees it.
async fn turns(house: &House) -> i64 {
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1752658034 AND granted";
    house.rows(sql).await[0].get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_projector_stands_by_and_takes_over() {
    let house = House::build().await;
    let database = house.database().await;
    let story = tell(9, 2, 400);
    let first = Running::start(&database, &story.journal, &story.shards, 100, 2);
    first.reach_heads(&story.journal, &story.shards).await;
    let second = Running::start(&database, &story.journal, &story.shards, 100, 1);
    // Who stands by knows how far the other one is.
    second.reach_heads(&story.journal, &story.shards).await;
    assert_eq!(turns(&house).await, 1);
    // The first dies without a word, and what it wrote is gone: only who works writes it again.
    first.task.abort();
    drop(first.task.await);
    drop_schema(&house).await;
    let written_again = async {
        let sql = "SELECT 1 FROM pg_tables WHERE schemaname = 'headwater' AND tablename = 'workflow_runs'";
        let count = "SELECT count(*) FROM headwater.workflow_runs";
        while house.rows(sql).await.is_empty() || house.rows(count).await[0].get::<_, i64>(0) < story.runs.len() as i64
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, written_again).await.unwrap();
    second.stop().await;
    assert_eq!(turns(&house).await, 0);
    agrees(&house, &story).await;
}
