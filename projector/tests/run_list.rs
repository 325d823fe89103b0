//! Lists of runs: that they hold what they are asked for, page by page, and that none of them reads the whole table.

mod filled;

use std::collections::BTreeSet;

use filled::{Made, fill, filters, workspace};
use headwater_core::RunId;
use headwater_projector::Database;
use headwater_projector::queries::{Reads, RunFilter, RunsAfter};
use headwater_projector::server::PostgresServer;

const RUNS: u32 = 4_000;

#[tokio::test]
async fn lists_hold_the_runs_they_are_asked_for_and_no_plan_reads_or_sorts_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    fill(&server.url(), RUNS).await.unwrap();
    let reads = Reads::of(Database::open(&server.url()).await.unwrap());
    assert!(reads.are_ready().await.unwrap());
    for (name, filter) in filters(RUNS) {
        let expected: Vec<u32> = (0..RUNS).rev().filter(|number| Made::of(*number).fits(&filter)).collect();
        let found = all(&reads, &filter).await;
        assert_eq!(found.len(), expected.len(), "{name}");
        let ids: BTreeSet<RunId> = found.iter().copied().collect();
        assert_eq!(ids, expected.iter().map(|number| Made::of(*number).run()).collect(), "{name}");
        let places: Vec<u32> = found.iter().map(|run| filled::number_of(*run)).collect();
        assert_eq!(places, expected, "{name}: newest first");

        let middle = Made::of(RUNS / 2);
        for after in [None, Some(RunsAfter { started_at: middle.started_at(), run: middle.run() })] {
            let plan = reads.runs_plan(&workspace(), &filter, after).await.unwrap();
            let bad =
                plan.iter().find(|line| line.contains("Seq Scan") || line.contains("Sort") || line.contains("Bitmap"));
            assert_eq!(bad, None, "{name}:\n{}", plan.join("\n"));
        }
    }
    server.stop().await.unwrap();
}

/// Pages of seven, to the end.
async fn all(reads: &Reads, filter: &RunFilter) -> Vec<RunId> {
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = reads.runs(&workspace(), filter, after, 7).await.unwrap();
        found.extend(page.runs.iter().map(|run| run.run_id));
        let Some(next) = page.next else { return found };
        after = Some(next.parse().unwrap());
    }
}
