//! Bounds: what is too large or too deep fails where it came from, and nothing else.

use headwater_core::run::{ReportOutcome, RunRejection};
use headwater_core::shard::Rejection;
use headwater_core::{Json, RunId};
use serde_json::json;

use crate::world::{World, chain, ok, shard_zero};

fn largest_commit(world: &World) -> usize {
    world.commits.iter().map(|commit| Json::of(commit).len_bytes()).max().unwrap()
}

#[test]
fn a_fan_out_with_much_input_takes_several_decisions() {
    let big = "x".repeat(10_000);
    let mut steps = vec![json!({"id": "first", "jobSlug": "work"})];
    steps.extend((0..1_000).map(|n| {
        json!({"id": format!("n{n}"), "jobSlug": "work", "dependsOn": ["first"],
            "input": {"text": "${{ nodes.first.output }}"}})
    }));
    let mut world = World::with(&json!({"slug": "fan", "steps": steps}));
    let run = world.start("fan", json!({}));
    let tasks = world.tasks();
    world.report(&tasks[0], ok(json!(big))).unwrap();
    assert!(world.settle() > 3);
    let timeline = world.timeline(run);
    assert!(timeline.starts_with("started first:try1 first:ok n0:try1"), "{}", &timeline[..80]);
    assert!(timeline.ends_with("n999:try1"));
    assert!(largest_commit(&world) < 4 << 20, "{}", largest_commit(&world));
    assert_eq!(world.tasks().len(), 1_000);
}

#[test]
fn a_run_whose_ends_return_too_much_together_fails() {
    let steps: Vec<_> = (0..18).map(|n| json!({"id": format!("n{n}"), "jobSlug": "work"})).collect();
    let mut world = World::with(&json!({"slug": "ends", "steps": steps}));
    let run = world.start("ends", json!({}));
    for task in world.tasks() {
        world.report(&task, ok(json!("x".repeat(1_000_000)))).unwrap();
    }
    assert!(world.timeline(run).ends_with("n17:ok FAILED(decision_too_large)"), "{}", world.timeline(run));
    assert!(largest_commit(&world) < 4 << 20);
}

#[test]
fn a_start_with_too_large_an_input_is_refused() {
    let mut world = World::with(&chain(&["a"]));
    let run = RunId::new(shard_zero(), world.now, 1 << 20);
    let refusal = world.try_start(run, "chain", json!({"x": "x".repeat(2 << 20)})).unwrap_err();
    assert!(matches!(refusal, Rejection::Run(RunRejection::InputInvalid { .. })), "{refusal}");
    assert!(world.shard.run(run).is_none());
}

#[test]
fn a_result_that_is_too_large_fails_its_attempt() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!("x".repeat(5 << 20)))).unwrap();
    assert!(world.timeline(run).ends_with("FAILED(output_too_large)"), "{}", world.timeline(run));
}

#[test]
fn what_a_worker_says_of_a_failure_is_cut() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    let message = format!("\0{}", "ü".repeat(1 << 20));
    world.report(&task, ReportOutcome::failed("boom", message, true)).unwrap();
    assert!(world.timeline(run).ends_with("FAILED(boom)"));
    assert!(largest_commit(&world) < 64 << 10);
}

#[test]
fn a_result_that_cannot_be_kept_fails_its_attempt() {
    for text in [format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), r#"{"a":"\u0000"}"#.to_owned()] {
        let mut world = World::with(&chain(&["a"]));
        let run = world.start("chain", json!({}));
        let task = world.tasks().remove(0);
        let output = Json::from_text(text).unwrap();
        world.report(&task, ReportOutcome::Succeeded { output, assets: Vec::new() }).unwrap();
        let code = "output_invalid";
        let expected = format!("started a:try1 a:failed({code}) a:dead({code}) FAILED({code})");
        assert_eq!(world.timeline(run), expected);
    }
}

#[test]
fn an_expression_over_its_limit_fails_its_node_by_that_code() {
    let steps = json!([
        {"id": "a", "action": {"kind": "transform", "output": "${{ input.l.all(x, input.l == input.l) }}"}},
    ]);
    let mut world = World::with(&json!({"slug": "limit", "steps": steps}));
    let run = world.start("limit", json!({"l": (0..20_000).collect::<Vec<_>>()}));
    world.settle();
    assert_eq!(world.timeline(run), "started a:dead(expression_limit) FAILED(expression_limit)");
}
