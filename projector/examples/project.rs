//! Measures the projector against a Postgres of its own: how fast it catches up, and what it costs to keep up.
//!
//! `cargo run --release -p headwater-projector --example project -- [steps] [shards] [lanes] [steps/s]`
//!
//! Prints, in one run: the machine's bare yardstick (rows of the same size into one table without indexes), the
//! catch-up rate, a rebuild beside the result, and, paced, the lag's percentiles with the processor time of this
//! process and of Postgres.

#[path = "../tests/workload/mod.rs"]
mod workload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::{Sequence, ShardId};
use headwater_projector::rebuild::{Switch, rebuild};
use headwater_projector::server::PostgresServer;
use headwater_projector::{Database, Progress, Projector};
use headwater_streams::journals::{Journals as _, MemoryJournals};
use tokio_util::sync::CancellationToken;
use workload::steady::{Load, Written, write};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let argument = |at: usize, default: u64| arguments.get(at).copied().unwrap_or(default);
    let shards = u16::try_from(argument(1, 4))?;
    let load = Load {
        shards,
        steps: argument(0, 400_000),
        steps_per_run: 10,
        in_flight: 1_000 / usize::from(shards),
        commits_per_bundle: 64,
        payload_bytes: 60,
    };
    let lanes = usize::try_from(argument(2, 1))?;
    let journal = MemoryJournals::new();
    let written = write(load, &journal);
    println!("{load:?}");
    println!("{written:?}: {} bytes a commit", written.bytes as u64 / written.commits);

    let folder = tempfile::tempdir()?;
    let server = PostgresServer::start(folder.path()).await?;
    yardstick(&server, written).await?;

    let database = Database::open(&server.url()).await?;
    let measured = run(&server, database.clone(), journal.clone(), shards, lanes).await?;
    report("catch-up", written, measured);

    let ids: Vec<ShardId> = (0..shards).map(ShardId::new).collect::<Result<_, _>>()?;
    let began = Instant::now();
    let rebuilt = rebuild(&database, Arc::new(journal), &ids, Switch::IfEqual).await?;
    println!(
        "rebuild: {} events in {:.2?}, {:.0} events/s; compared and switched after {:.2?}; equal: {}",
        rebuilt.events,
        rebuilt.projection,
        rebuilt.events as f64 / rebuilt.projection.as_secs_f64(),
        began.elapsed(),
        rebuilt.equal
    );
    let rate = argument(3, 20_000);
    paced(&server, load, rate, lanes).await?;
    sizes(&server).await?;
    server.stop().await?;
    Ok(())
}

struct Measured {
    wall: Duration,
    own: Duration,
    postgres: Duration,
}

fn report(what: &str, written: Written, measured: Measured) {
    let Measured { wall, own, postgres } = measured;
    let per_second = |count: u64| count as f64 / wall.as_secs_f64();
    println!(
        "{what}: {wall:.2?}; {:.0} events/s, {:.0} steps/s; cpu {own:.2?} here + {postgres:.2?} postgres = {:.1} µs a step",
        per_second(written.commits * 2),
        per_second(written.steps),
        (own + postgres).as_secs_f64() * 1e6 / written.steps as f64,
    );
}

async fn run(
    server: &PostgresServer,
    database: Database,
    journal: MemoryJournals,
    shards: u16,
    lanes: usize,
) -> Result<Measured, Box<dyn std::error::Error>> {
    let ids: Vec<ShardId> = (0..shards).map(ShardId::new).collect::<Result<_, _>>()?;
    let mut heads = BTreeMap::new();
    for id in &ids {
        heads.insert(*id, journal.head(*id).await?);
    }
    let projector = Projector::new(database, Arc::new(journal), ids).with_lanes(lanes);
    let (progress, shutdown) = (projector.progress(), CancellationToken::new());
    let (own, postgres, began) = (own_cpu(), postgres_cpu(server), Instant::now());
    let task = tokio::spawn(projector.run(shutdown.clone()));
    reach(&progress, &heads).await?;
    let measured = Measured { wall: began.elapsed(), own: own_cpu() - own, postgres: postgres_cpu(server) - postgres };
    shutdown.cancel();
    task.await?;
    Ok(measured)
}

async fn reach(progress: &Progress, heads: &BTreeMap<ShardId, Sequence>) -> Result<(), Box<dyn std::error::Error>> {
    let deadline = Instant::now() + Duration::from_secs(600);
    while heads.iter().any(|(shard, head)| progress.of(*shard).is_none_or(|state| state.cursor < *head)) {
        if Instant::now() > deadline {
            return Err("not projected in time".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Appends a load's bundles at a rate, and asks of every bundle how long it takes until its rows are there.
async fn paced(server: &PostgresServer, load: Load, rate: u64, lanes: usize) -> Result<(), Box<dyn std::error::Error>> {
    sql(server, "DROP SCHEMA headwater CASCADE").await?;
    sql(server, "DROP SCHEMA headwater_previous CASCADE").await?;
    let (source, target) = (MemoryJournals::new(), MemoryJournals::new());
    let written = write(Load { steps: load.steps.min(rate * 15), ..load }, &source);
    let ids: Vec<ShardId> = (0..load.shards).map(ShardId::new).collect::<Result<_, _>>()?;
    let mut queues: Vec<_> = ids.iter().map(|id| (*id, workload::entries(&source, *id).into_iter())).collect();
    let database = Database::open(&server.url()).await?;
    let projector = Projector::new(database, Arc::new(target.clone()), ids).with_lanes(lanes);
    let (progress, shutdown) = (projector.progress(), CancellationToken::new());
    let task = tokio::spawn(projector.run(shutdown.clone()));

    let bundle_every = Duration::from_secs_f64(
        load.commits_per_bundle as f64 / written.commits as f64 * written.steps as f64 / rate as f64,
    );
    let (own, postgres, began) = (own_cpu(), postgres_cpu(server), Instant::now());
    let mut appended: Vec<(ShardId, Sequence, Instant)> = Vec::new();
    let (mut waits, mut seen) = (Vec::new(), 0);
    let mut sent = 0_u32;
    loop {
        let mut dry = true;
        while began + bundle_every * sent <= Instant::now() {
            let at = sent as usize % queues.len();
            let (shard, queue) = &mut queues[at];
            if let Some(entry) = queue.next() {
                let sequence = target.append(*shard, entry.bytes);
                appended.push((*shard, sequence, Instant::now()));
            }
            sent += 1;
            if queues.iter().all(|(_, queue)| queue.len() == 0) {
                break;
            }
        }
        if queues.iter().any(|(_, queue)| queue.len() > 0) {
            dry = false;
        }
        while let Some((shard, sequence, at)) = appended.get(seen) {
            if progress.of(*shard).is_none_or(|state| state.cursor < *sequence) {
                break;
            }
            waits.push(at.elapsed());
            seen += 1;
        }
        if dry && seen == appended.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (wall, own, postgres) = (began.elapsed(), own_cpu() - own, postgres_cpu(server) - postgres);
    shutdown.cancel();
    task.await?;
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    report(&format!("paced at {rate} steps/s"), written, Measured { wall, own, postgres });
    println!(
        "  lag p50 {:.0?} p90 {:.0?} p99 {:.0?} max {:.0?}; {:.2} of two cores",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        (own + postgres).as_secs_f64() / wall.as_secs_f64() / 2.0
    );
    Ok(())
}

/// Rows of 500 bytes into a table without an index, 10,000 a transaction, by `INSERT … SELECT UNNEST`.
async fn yardstick(server: &PostgresServer, written: Written) -> Result<(), Box<dyn std::error::Error>> {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    client.batch_execute("CREATE TABLE bare (n bigint, payload text); SET synchronous_commit = off").await?;
    let insert = client.prepare("INSERT INTO bare SELECT * FROM unnest($1::int8[], $2::text[])").await?;
    let payload = "y".repeat(written.bytes / written.commits as usize);
    let (rows, began, postgres) = (200_000_u64, Instant::now(), postgres_cpu(server));
    for from in (0..rows as i64).step_by(10_000) {
        let numbers: Vec<i64> = (from..from + 10_000).collect();
        let payloads = vec![payload.as_str(); numbers.len()];
        client.execute(&insert, &[&numbers, &payloads]).await?;
    }
    let wall = began.elapsed();
    let cpu = postgres_cpu(server) - postgres;
    println!(
        "yardstick: bare inserts of {} bytes: {:.0} rows/s, {:.1} µs of postgres a row",
        payload.len(),
        rows as f64 / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / rows as f64
    );
    client.batch_execute("DROP TABLE bare").await?;
    driver.abort();
    Ok(())
}

async fn sql(server: &PostgresServer, text: &str) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    let rows = client.query(text, &[]).await;
    driver.abort();
    rows
}

async fn sizes(server: &PostgresServer) -> Result<(), tokio_postgres::Error> {
    let text =
        "SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), s.n_live_tup, s.n_tup_upd, s.n_tup_hot_upd
                FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
                WHERE s.schemaname = 'headwater' AND s.n_live_tup > 1000 ORDER BY 1";
    for row in sql(server, text).await? {
        let [table, indexes, live, updated, hot] = std::array::from_fn(|at| row.get::<_, i64>(at + 1));
        let name: &str = row.get(0);
        println!(
            "  {name}: {live} rows, {} + {} bytes a row (table + indexes), {updated} updates, {hot} of them HOT",
            table / live.max(1),
            indexes / live.max(1)
        );
    }
    Ok(())
}

fn own_cpu() -> Duration {
    ticks("/proc/self/stat", false)
}

fn postgres_cpu(server: &PostgresServer) -> Duration {
    let pid = std::fs::read_to_string(server.folder().join("data/postmaster.pid")).unwrap_or_default();
    let pid = pid.lines().next().unwrap_or_default().to_owned();
    let mut total = ticks(&format!("/proc/{pid}/stat"), true);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = entry.path().join("stat");
        let stat = std::fs::read_to_string(&path).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1).map(str::to_owned));
        if parent.as_deref() == Some(&pid) {
            total += ticks(&path.to_string_lossy(), false);
        }
    }
    total
}

/// User and system time of a process; with that of its children that have ended.
fn ticks(stat: &str, with_children: bool) -> Duration {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let range = if with_children { 11..15 } else { 11..13 };
    let ticks: u64 = fields.get(range).into_iter().flatten().filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
