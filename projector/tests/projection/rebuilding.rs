//! Read models that are built anew beside those in use.

use std::sync::Arc;

use headwater_core::shard::Position;
use headwater_projector::queries::Reads;
use headwater_projector::rebuild::{Switch, go_back, rebuild};
use headwater_streams::journals::{Journals, MemoryJournals};

use crate::workload::story::{tell, tell_of};
use crate::{DEADLINE, House, Running, agrees, compare, workload};

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_in_full_flight_loses_nothing_and_can_be_undone() {
    let house = House::build().await;
    let database = house.database().await;
    let story = tell(3, 2, 4_000);
    let live = MemoryJournals::new();
    let running = Running::start(&database, &live, &story.shards, 50, 1);
    // The journals grow while the read models are built anew, twice.
    let feeding = tokio::spawn({
        let (live, whole, shards) = (live.clone(), story.journal.clone(), story.shards.clone());
        let progress = running.progress.clone();
        async move {
            for &shard in &shards {
                for entry in workload::entries(&whole, shard) {
                    let sequence = live.append(shard, entry.bytes);
                    if sequence.get() % 4 == 0 {
                        progress.wait_for(Position { shard, sequence }, DEADLINE).await.unwrap();
                    }
                }
            }
        }
    });
    let journal = Arc::new(live.clone());
    let reads = Reads::of(database.clone());
    reads.cursors().await.unwrap();
    for _ in 0..2 {
        let report = rebuild(&database, Arc::clone(&journal), &story.shards, Switch::IfEqual).await.unwrap();
        assert!(report.equal && report.switched, "{report:#?}");
    }
    tokio::time::timeout(DEADLINE, feeding).await.unwrap().unwrap();
    running.reach_heads(&live, &story.shards).await;
    // Through connections that were open, and statements that were prepared, before the switch.
    let cursors = reads.cursors().await.unwrap();
    for &shard in &story.shards {
        let head = live.head(shard).await.unwrap();
        assert!(cursors.iter().any(|cursor| (cursor.shard, cursor.sequence) == (shard, head)), "{cursors:?}");
    }
    agrees(&house, &story).await;
    compare(&database, &story).await;

    go_back(&database).await.unwrap();
    // What was live before goes on from where it was left.
    let sql = "SELECT n.nspname::text FROM pg_namespace n WHERE n.nspname LIKE 'headwater%' ORDER BY 1";
    let schemas: Vec<String> = house.rows(sql).await.iter().map(|row| row.get(0)).collect();
    assert_eq!(schemas, ["headwater", "headwater_next"]);
    running.stop().await;
    Running::to_the_end(&database, &live, &story.shards, 50, 1).await;
    agrees(&house, &story).await;
    compare(&database, &story).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_found_and_shown_and_a_forced_switch_mends_it() {
    let house = House::build().await;
    let database = house.database().await;
    let story = tell(4, 1, 300);
    Running::to_the_end(&database, &story.journal, &story.shards, 1_000, 1).await;
    house.rows("UPDATE headwater.workflow_runs SET input = '\"tampered\"' WHERE run_id = (SELECT min(run_id::text)::uuid FROM headwater.workflow_runs)").await;
    let journal = Arc::new(story.journal.clone());
    let report = rebuild(&database, Arc::clone(&journal), &story.shards, Switch::IfEqual).await.unwrap();
    assert!(!report.equal && !report.switched);
    let different: Vec<_> = report.tables.iter().filter(|table| !table.equal).collect();
    assert_eq!(different.len(), 1);
    assert_eq!(different[0].table, "workflow_runs");
    assert_eq!((different[0].only_live.len(), different[0].only_next.len()), (1, 1));
    assert!(different[0].only_live[0].contains("tampered"));

    let report = rebuild(&database, journal, &story.shards, Switch::Always).await.unwrap();
    assert!(report.switched);
    agrees(&house, &story).await;
    compare(&database, &story).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_release_before_left_is_migrated_before_it_is_put_back() {
    let house = House::build().await;
    let database = house.database().await;
    let story = tell_of(5, 1, 300, false);
    Running::to_the_end(&database, &story.journal, &story.shards, 1_000, 1).await;
    let journal = Arc::new(story.journal.clone());
    assert!(rebuild(&database, journal, &story.shards, Switch::IfEqual).await.unwrap().switched);
    house.as_a_release_before("headwater_previous").await;

    go_back(&database).await.unwrap();
    // Whoever reads finds what it asks for, before anybody projects again.
    agrees(&house, &story).await;
    compare(&database, &story).await;
}
