//! Measures lists of runs on a Postgres of its own that is full of them.
//!
//! `cargo run --release -p headwater-projector --example list -- [runs] [times]`
//!
//! Prints p50 and p99 of each filter, of the first page, of one in the middle and of one near the end, beside two yardsticks of the same
//! run: a round trip that asks for nothing, and the first page of all runs.

#[path = "../tests/filled/mod.rs"]
mod filled;

use std::time::{Duration, Instant};

use filled::{Made, fill, filters, workspace};
use headwater_projector::Database;
use headwater_projector::queries::{Reads, RunsAfter};
use headwater_projector::server::PostgresServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<u32> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let runs = arguments.first().copied().unwrap_or(1_000_000);
    let times = arguments.get(1).copied().unwrap_or(200);
    let folder = tempfile::tempdir()?;
    let server = PostgresServer::start(folder.path()).await?;
    let began = Instant::now();
    fill(&server.url(), runs).await?;
    println!("{runs} runs, filled in {:.0?}", began.elapsed());
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    let nothing = client.prepare("SELECT 1").await?;
    let mut took = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        client.query(&nothing, &[]).await?;
        took.push(began.elapsed());
    }
    println!("{:<44} {}", "SELECT 1", percentiles(&mut took));
    let reads = Reads::of(Database::open(&server.url()).await?);
    let at = |number: u32| Some(RunsAfter { started_at: Made::of(number).started_at(), run: Made::of(number).run() });
    for (name, filter) in filters(runs) {
        let mut columns = Vec::new();
        let (mut found, mut more) = (0, false);
        for after in [None, at(runs / 2), at(runs / 50)] {
            let mut took = Vec::new();
            for _ in 0..times {
                let began = Instant::now();
                let page = reads.runs(&workspace(), &filter, after, 50).await?;
                took.push(began.elapsed());
                if after.is_none() {
                    (found, more) = (page.runs.len(), page.next.is_some());
                }
            }
            columns.push(percentiles(&mut took));
        }
        println!("{name:<44} {}  ({found} runs{})", columns.join("  "), if more { ", and more" } else { "" });
    }
    for row in client
        .query(
            "SELECT relname::text, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
             WHERE relnamespace = 'headwater'::regnamespace AND relname IN ('workflow_runs', 'run_terms')",
            &[],
        )
        .await?
    {
        let [table, indexes] = [1, 2].map(|at| row.get::<_, i64>(at) / i64::from(runs.max(1)));
        println!("{}: {table} + {indexes} bytes a run (table + indexes)", row.get::<_, &str>(0));
    }
    driver.abort();
    server.stop().await?;
    Ok(())
}

fn percentiles(took: &mut [Duration]) -> String {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("p50 {:>6.2} p99 {:>6.2} ms", at(0.5), at(0.99))
}
