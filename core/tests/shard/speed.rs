//! What it costs to decide and to fold, where there is nothing else: `cargo test --release --test shard speed -- --ignored
//! --nocapture`. Under `valgrind --tool=callgrind` or `--tool=dhat` the figures are exact, and can be compared between trees.

use std::time::Instant;

use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{Bundle, Command, Commit, Shard, ShardMap, Submission};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Epoch, Json, RunId, Sequence, ShardId, Timestamp};
use serde_json::json;

use crate::world::key;

const RUNS: u128 = 5_000;

fn id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn timers_and_turns() -> serde_json::Value {
    let pure = |number: usize| json!({"id": format!("n{number}"), "action": {"kind": "transform", "output": {"n": "${{ input.n }}"}}});
    let mut nodes: Vec<_> = (0..10).map(pure).collect();
    nodes.push(json!({"id": "s", "action": {"kind": "sleep", "duration": "1s"}}));
    let edges: Vec<_> = (0..9).map(|n| json!({"from": format!("n{n}"), "to": format!("n{}", n + 1)})).collect();
    json!({"slug": "w", "nodes": nodes, "transitions": edges})
}

#[test]
#[ignore = "prints figures"]
fn how_long_a_commit_takes_to_decide_and_to_fold() {
    let new = || Shard::new(ShardId::new(0).unwrap(), ShardMap::even(1).unwrap());
    let mut shard = new();
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let mut commits: Vec<Commit> = Vec::new();
    let mut decide = |shard: &mut Shard, number: u128, command: Command, now: Timestamp| {
        let decided = shard.decide(Submission::new(id(number), command), now, &mut Hands::default()).unwrap();
        commits.extend(decided.commit);
    };
    let document = Json::of(&timers_and_turns());
    let version = DefinitionVersion::FIRST;
    decide(&mut shard, 1, Command::AdoptDefinition { key: key("w"), version, document }, now);
    let begun = Instant::now();
    for number in 0..RUNS {
        let run = RunId::new(shard.id(), now, number << 10);
        let (workspace, workflow) = (key("w").workspace, key("w").workflow);
        let input = Json::of(&json!({"n": 1}));
        let start =
            StartRun { workspace, workflow, version, input, trigger: Trigger::Manual {}, keyed: false, wishes: None };
        decide(&mut shard, number + 2, Command::Run { run, command: RunCommand::StartRun(start) }, now);
    }
    let later = now.after(std::time::Duration::from_secs(2));
    let asleep: Vec<_> = shard.active().map(|run| run.id()).collect();
    for (number, run) in (RUNS + 2..).zip(asleep) {
        decide(&mut shard, number, Command::Run { run, command: RunCommand::FireTimers {} }, later);
    }
    assert_eq!(shard.active_runs(), 0);
    let count = commits.len() as u32;
    println!("{count} commits: decided in {:?} each", begun.elapsed() / count);
    let bundle = Bundle {
        shard: shard.id(),
        epoch: Epoch::FIRST,
        id: BundleId::from_uuid(uuid::Uuid::from_u128(1)),
        previous: String::new(),
        effects_done: Sequence::ZERO,
        needs: 1,
        ahead: None,
        heard: Vec::new(),
        replaces: None,
        resends: Vec::new(),
        aside: None,
        commits,
    };
    let (mut folded, begun) = (new(), Instant::now());
    assert_eq!(folded.fold(&bundle, Some(&mut Vec::new())), []);
    println!("folded in {:?} each", begun.elapsed() / count);
    assert_eq!(folded.active_runs(), 0);
}
