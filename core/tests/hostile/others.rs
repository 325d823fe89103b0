//! How long the other runs of a shard wait while one decides.

use std::time::{Duration, Instant};

use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{Command, Owner, Shard, ShardMap, Submission, WorkflowKey};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Json, RunId, ShardId, Timestamp};
use serde_json::{Value, json};

use crate::numbers;

/// So many pure nodes side by side, whose failures are caught.
fn swarm(count: usize, output: &str) -> Value {
    let transform = |n: usize| json!({"id": format!("t{n:04}"), "action": {"kind": "transform", "output": output}});
    let mut nodes: Vec<_> = (0..count).map(transform).collect();
    nodes.push(json!({"id": "end", "action": "noop", "join": "any"}));
    let edge = |n: usize| {
        let from = format!("t{n:04}");
        [json!({"from": from, "to": "end"}), json!({"from": from, "to": "end", "on": "failure"})]
    };
    let edges: Vec<_> = (0..count).flat_map(edge).collect();
    json!({"slug": "hostile", "nodes": nodes, "transitions": edges, "output": {"done": true}})
}

fn crowd(count: usize, node: &Value) -> Value {
    let nodes = (0..count).map(|n| {
        let mut node = node.clone();
        node["id"] = json!(format!("n{n:04}"));
        node
    });
    json!({"slug": "hostile", "nodes": nodes.collect::<Vec<_>>(), "output": {"done": true}})
}

/// Definitions that keep a shard busy, and inputs for them.
fn busy() -> Vec<(&'static str, Value, Value)> {
    let l = numbers(1000);
    let long = "x".repeat(900_000);
    let route = |n: usize| {
        let when = format!("size(input.l.map(a, input.l.map(b, a * b))) < {n}");
        json!({"from": "a", "to": format!("b{n}"), "when": when})
    };
    let routes: Vec<_> = (0..8).map(route).collect();
    let mut targets: Vec<_> = (0..8).map(|n| json!({"id": format!("b{n}"), "action": "noop"})).collect();
    targets.push(json!({"id": "a", "action": "noop", "onNoRoute": "end"}));
    vec![
        ("100 products", swarm(100, "${{ size(input.l.map(a, input.l.map(b, a * b))) }}"), json!({"l": numbers(300)})),
        (
            "100 loops of patterns",
            swarm(100, r#"${{ input.l.all(x, !"a".matches("(?i)[\\w\\s]{1,60}b" + string(x))) }}"#),
            json!({"l": l}),
        ),
        ("100 splits", swarm(100, r#"${{ input.l.all(x, size(input.s.split("")) > 0) }}"#), json!({"l": l, "s": long})),
        (
            "100 comparisons",
            swarm(100, "${{ input.l.all(x, input.o == input.o) }}"),
            json!({"l": numbers(2000), "o": numbers(100_000)}),
        ),
        ("25 outputs of 900 KB", swarm(25, "${{ input.s }}"), json!({"s": long})),
        (
            "8 conditions",
            json!({"slug": "hostile", "nodes": targets, "transitions": routes}),
            json!({"l": numbers(300)}),
        ),
        ("2,000 nodes that do nothing", crowd(2_000, &json!({"action": "noop"})), json!({})),
        ("10,000 nodes that do nothing, 50,000 transitions", layers(10_000, &json!({"action": "noop"})), json!({})),
        (
            "10,000 jobs, 50,000 transitions",
            layers(10_000, &json!({"action": {"kind": "job", "jobSlug": "work"}})),
            json!({}),
        ),
        ("20,000 nodes that do nothing", crowd(20_000, &json!({"action": "noop"})), json!({})),
        ("2,000 jobs", crowd(2_000, &json!({"action": {"kind": "job", "jobSlug": "work"}})), json!({})),
        (
            "1,000 jobs of 100 KB",
            crowd(1_000, &json!({"action": {"kind": "job", "jobSlug": "work"}, "input": {"s": "${{ input.s }}"}})),
            json!({"s": "x".repeat(100_000)}),
        ),
    ]
}

/// Layers of 100, each node behind five of the layer before.
fn layers(count: usize, action: &Value) -> Value {
    let step = |n: usize| {
        let before = (0..5)
            .map(|way| format!("n{}", (n / 100).wrapping_sub(1).wrapping_mul(100).wrapping_add((n + way * 7) % 100)));
        let mut step = action.clone();
        step["id"] = json!(format!("n{n}"));
        step["dependsOn"] = if n < 100 { json!([]) } else { before.collect() };
        step
    };
    json!({"slug": "hostile", "steps": (0..count).map(step).collect::<Vec<_>>()})
}

/// Run with `--release -- --ignored --nocapture` to see how long a shard is at one decision at most, its bundle written:
/// so long do other runs wait before they are looked at.
#[test]
#[ignore = "prints figures"]
fn how_long_other_runs_wait_meanwhile() {
    let shard = ShardId::new(0).unwrap();
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let workspace: headwater_core::WorkspaceId = "default".parse().unwrap();
    let version = DefinitionVersion::FIRST;
    let mut worst = Duration::ZERO;
    for (name, document, input) in busy() {
        let (definition, _) =
            headwater_core::definition::compile(&document).unwrap_or_else(|p| panic!("{name}: {p:?}"));
        let workflow = definition.slug.clone();
        let key = WorkflowKey { workspace: workspace.clone(), workflow: workflow.clone() };
        let mut owner: Owner<()> = Owner::new(Shard::new(shard, ShardMap::even(1).unwrap()));
        let mut ids = 0_u128;
        let mut decide = |owner: &mut Owner<()>, command| {
            ids += 1;
            let started = Instant::now();
            let submission = Submission::new(CommandId::from_uuid(uuid::Uuid::from_u128(ids)), command);
            owner.submit((), submission, now, &mut Hands::default());
            let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(ids)));
            let took = started.elapsed();
            owner.appended(append.unwrap().expected.next());
            took
        };
        decide(&mut owner, Command::AdoptDefinition { key, version, document: definition.source });
        let run = RunId::new(shard, now, 1 << 20);
        let (workspace, input) = (workspace.clone(), Json::of(&input));
        let start =
            StartRun { workspace, workflow, version, input, trigger: Trigger::Manual {}, keyed: false, wishes: None };
        let first = decide(&mut owner, Command::Run { run, command: RunCommand::StartRun(start) });
        let (mut turns, mut longest, mut total) = (0, first, first);
        while let Some(run) = owner.next_unfinished() {
            let took = decide(&mut owner, Command::Run { run, command: RunCommand::Continue {} });
            (turns, longest, total) = (turns + 1, longest.max(took), total + took);
        }
        let reason = "enough".to_owned();
        let cancel = Command::Run { run, command: RunCommand::CancelRun { workspace: None, reason, grace_ms: 0 } };
        let cancelled = decide(&mut owner, cancel);
        worst = worst.max(longest).max(cancelled);
        println!(
            "{longest:>10.1?} at most, {first:>10.1?} to start, {cancelled:>10.1?} to cancel, {total:>10.1?} in {turns:>3} turns: {name}"
        );
    }
    println!("worst {worst:.1?}");
}
