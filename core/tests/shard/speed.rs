//! What it costs to decide and to fold, where there is nothing else: `cargo test --release --test shard speed -- --ignored
//! --nocapture`. Under `valgrind --tool=callgrind` or `--tool=dhat` the figures are exact, and can be compared between trees.

use std::time::Instant;

use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{Bundle, Command, Commit, Shard, ShardMap, Submission, WorkflowKey};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Epoch, Json, RunId, Sequence, ShardId, Timestamp};
use serde_json::json;

use crate::world::{World, hands, key, ok};

const RUNS: u128 = 5_000;

fn id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn pure(number: usize) -> serde_json::Value {
    json!({"id": format!("n{number}"), "action": {"kind": "transform", "output": {"n": "${{ input.n }}"}}})
}

fn chain() -> serde_json::Value {
    let nodes: Vec<_> = (0..10).map(pure).collect();
    let edges: Vec<_> = (0..9).map(|n| json!({"from": format!("n{n}"), "to": format!("n{}", n + 1)})).collect();
    json!({"slug": "w", "nodes": nodes, "transitions": edges})
}

fn chain_and_timer() -> serde_json::Value {
    let mut document = chain();
    let sleep = json!({"id": "s", "action": {"kind": "sleep", "duration": "1s"}});
    document["nodes"].as_array_mut().unwrap().push(sleep);
    document
}

#[test]
#[ignore = "prints figures"]
fn how_long_a_chain_takes() {
    measure(&chain());
}

#[test]
#[ignore = "prints figures"]
fn how_long_a_chain_with_a_timer_takes() {
    measure(&chain_and_timer());
}

/// Each job is handed over and reported at once; the reports come as they are, parsed.
#[test]
#[ignore = "prints figures"]
fn how_long_a_chain_of_jobs_takes() {
    let steps: Vec<_> = (0..10)
        .map(|n| {
            let after: Vec<_> = (0..n).rev().take(1).map(|before| format!("n{before}")).collect();
            json!({"id": format!("n{n}"), "jobSlug": "work", "dependsOn": after})
        })
        .collect();
    let mut world = World::with(&json!({"slug": "w", "steps": steps}));
    let mut hands = hands(u64::MAX);
    let (mut took, mut count) = (std::time::Duration::ZERO, 0_u32);
    for _ in 0..RUNS / 10 {
        let mut next = world.start_with("w", json!({"n": 1}), &mut hands).1.tasks;
        while let Some((_, task)) = next.pop() {
            let report = world.report_of(&task, ok(json!({"n": count})));
            let submission = Submission::new(world.fresh_id(), report);
            let begun = Instant::now();
            let decided = world.shard.decide(submission, world.now, &mut hands).unwrap();
            took += begun.elapsed();
            count += 1;
            next = decided.tasks;
        }
    }
    assert_eq!(world.shard.active_runs(), 0);
    println!("{count} reports: decided in {:?} each", took / count);
}

/// With `/proc/self/statm` read before and after: what the shard itself takes, allocator and tables with it.
#[test]
#[ignore = "prints figures"]
fn how_much_memory_a_sleeping_run_takes() {
    let sleeper = json!({"slug": "w", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]});
    let mut shard = Shard::new(ShardId::new(0).unwrap(), ShardMap::even(1).unwrap());
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let document = Json::of(&sleeper);
    let adopt = Command::AdoptDefinition { key: key("w"), version: DefinitionVersion::FIRST, document };
    shard.decide(Submission::new(id(1), adopt), now, &mut Hands::default()).unwrap();
    let before = resident_bytes();
    let runs = RUNS * 4;
    for number in 0..runs {
        let command = start(&shard, number, now);
        shard.decide(Submission::new(id(number + 2), command), now, &mut Hands::default()).unwrap();
    }
    assert_eq!(shard.active_runs() as u128, runs);
    println!("{} bytes each", (resident_bytes() - before) / runs as usize);
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn start(shard: &Shard, number: u128, now: Timestamp) -> Command {
    let run = RunId::new(shard.id(), now, number << 10);
    let (WorkflowKey { workspace, workflow }, version) = (key("w"), DefinitionVersion::FIRST);
    let (input, trigger) = (Json::of(&json!({"n": 1})), Trigger::Manual {});
    let start = StartRun { workspace, workflow, version, input, trigger, keyed: false, wishes: None };
    Command::Run { run, command: RunCommand::StartRun(start) }
}

/// Decides and folds runs of a definition to their ends, whatever has to be woken.
fn measure(document: &serde_json::Value) {
    let new = || Shard::new(ShardId::new(0).unwrap(), ShardMap::even(1).unwrap());
    let mut shard = new();
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let mut commits: Vec<Commit> = Vec::new();
    let mut decide = |shard: &mut Shard, number: u128, command: Command, now: Timestamp| {
        let decided = shard.decide(Submission::new(id(number), command), now, &mut Hands::default()).unwrap();
        commits.extend(decided.commit);
    };
    let document = Json::of(document);
    let version = DefinitionVersion::FIRST;
    decide(&mut shard, 1, Command::AdoptDefinition { key: key("w"), version, document }, now);
    let begun = Instant::now();
    for number in 0..RUNS {
        let command = start(&shard, number, now);
        decide(&mut shard, number + 2, command, now);
    }
    let later = now.after(std::time::Duration::from_secs(2));
    let asleep: Vec<_> = shard.active().map(|run| run.id()).collect();
    for (number, run) in (RUNS + 2..).zip(asleep) {
        decide(&mut shard, number, Command::Run { run, command: RunCommand::FireTimers {} }, later);
    }
    assert_eq!(shard.active_runs(), 0);
    let count = commits.len() as u32;
    println!("{count} commits: decided in {:?} each", begun.elapsed() / count);
    let begun = Instant::now();
    let bytes: usize = commits.iter().map(|commit| serde_json::to_vec(commit).unwrap().len()).sum();
    println!("written in {:?} each, {} bytes", begun.elapsed() / count, bytes / commits.len());
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
