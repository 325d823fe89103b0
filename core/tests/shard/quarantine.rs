//! Histories that break the rules: set aside, and nothing is due of them.

use headwater_core::credit::Hands;
use headwater_core::run::RunCommand;
use headwater_core::shard::{Command, Rejection, Shard};
use headwater_core::{CommandId, Revision, RunId};
use serde_json::json;

use crate::world::{World, chain, empty};

/// A shard that folded a run with a timer, and then a commit of it that leaves a revision out.
fn with_corrupt_run() -> (World, Shard, RunId) {
    let mut document = chain(&["a"]);
    document["timeout"] = json!("1h");
    let mut world = World::with(&document);
    let run = world.start("chain", json!({}));
    let mut hole = world.commits.last().unwrap().clone();
    hole.revision = Revision::new(9);
    hole.events.remove(0);
    world.commits.push(hole);
    let mut shard = empty();
    let corrupt: Vec<_> = world.bundles(1).iter().flat_map(|bundle| shard.fold(bundle, None)).collect();
    assert_eq!(corrupt.len(), 1);
    world.pass(3600);
    (world, shard, run)
}

#[test]
fn a_quarantined_run_has_nothing_due_and_asks_for_nothing() {
    let (world, shard, run) = with_corrupt_run();
    assert_eq!(shard.next_due(), None);
    assert_eq!(shard.due_runs(world.now, usize::MAX), []);
    assert_eq!(shard.outstanding(), []);
    assert!(shard.run(run).is_none());
}

#[test]
fn a_quarantined_run_takes_no_command() {
    let (world, mut shard, run) = with_corrupt_run();
    let id = CommandId::from_uuid(uuid::Uuid::from_u128(99));
    let command = Command::Run { run, command: RunCommand::FireTimers {} };
    let refusal = shard
        .decide(headwater_core::shard::Submission::new(id, command), world.now, &mut Hands::default())
        .unwrap_err();
    assert!(matches!(refusal, Rejection::Quarantined { .. }), "{refusal}");
}
