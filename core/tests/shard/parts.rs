//! A part of a workflow: only what was asked for happens, and what that depends on.

use headwater_core::run::RunCommand;
use headwater_core::run::{RunEvent, RunRejection, StartRun, StartWishes};
use headwater_core::shard::{AggregateId, Command, Event, Rejection};
use headwater_core::{NodeId, RunId};
use serde_json::{Value, json};

use crate::checkpoints::{fold, journal, owner, restore};
use crate::world::{World, failed, ok};

fn targets(of: &[&str]) -> StartWishes {
    let targets: Vec<NodeId> = of.iter().map(|id| id.parse().unwrap()).collect();
    StartWishes { targets, ..StartWishes::default() }
}

fn try_start(world: &mut World, run: RunId, wishes: StartWishes) -> Result<(), Rejection> {
    let start = StartRun { wishes: Some(Box::new(wishes)), ..world.start_of("w", json!({})) };
    world.decide(Command::Run { run, command: RunCommand::StartRun(start) }).map(drop)
}

fn started(document: &Value, of: &[&str]) -> (World, RunId) {
    let mut world = World::with(document);
    let run = RunId::new(headwater_core::ShardId::new(0).unwrap(), world.now, 7 << 20);
    try_start(&mut world, run, targets(of)).unwrap();
    (world, run)
}

fn output(world: &World, run: RunId) -> Option<String> {
    let events = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    events.flat_map(|commit| &commit.events).find_map(|event| match event {
        Event::Run(RunEvent::RunSucceeded { output, .. }) => Some(output.as_str().to_owned()),
        _ => None,
    })
}

/// A checkpoint gives the same run as the journal does (`SHD-5`), at every place of that.
pub fn is_the_same_from_checkpoints(world: &World, run: RunId) {
    let journal = journal(&world.commits, 1);
    let mut whole = owner();
    for until in 1..=journal.len() {
        fold(&mut whole, &journal[..until]);
        let bytes = whole.checkpoint();
        let restored = restore(&bytes).unwrap();
        assert_eq!(restored.shard().run(run), whole.shard().run(run));
        assert_eq!(restored.checkpoint(), bytes);
    }
}

fn noop(id: &str, before: &[&str]) -> Value {
    json!({"id": id, "action": {"kind": "transform", "output": id}, "dependsOn": before})
}

fn diamond(output: &Value) -> Value {
    let steps = [noop("a", &[]), noop("b", &["a"]), noop("c", &["a"]), noop("d", &["b", "c"]), noop("e", &[])];
    json!({"slug": "w", "steps": steps, "output": output})
}

#[test]
fn what_was_not_asked_for_is_skipped_and_what_it_depends_on_happens() {
    let (world, run) = started(&diamond(&Value::Null), &["b"]);
    assert_eq!(world.timeline(run), "started a:ok e:skipped b:ok c:skipped d:skipped SUCCEEDED");
    assert_eq!(output(&world, run).unwrap(), r#"{"b":"b"}"#);
    let (world, run) = started(&diamond(&Value::Null), &["e", "d", "e"]);
    assert_eq!(world.timeline(run), "started a:ok e:ok b:ok c:ok d:ok SUCCEEDED");
    assert_eq!(output(&world, run).unwrap(), r#"{"d":"d","e":"e"}"#);
}

#[test]
fn the_output_is_made_where_all_it_names_has_happened() {
    let document = diamond(&json!("${{ nodes.b.output + nodes.c.output }}"));
    let (world, run) = started(&document, &["b", "c"]);
    assert_eq!(output(&world, run).unwrap(), r#""bc""#);
    let (world, run) = started(&document, &["b"]);
    assert_eq!(output(&world, run).unwrap(), "null");
}

#[test]
fn nobody_outside_of_the_part_handles_its_failures() {
    let document = json!({"slug": "w", "nodes": [
        {"id": "a", "action": {"kind": "job", "jobSlug": "work"}, "retry": {"maxAttempts": 1}},
        {"id": "b", "action": "noop"}, {"id": "mend", "action": "noop"}],
        "transitions": [{"from": "a", "to": "b"}, {"from": "a", "to": "mend", "on": "failure"}]});
    for (of, expected) in [
        (&["b"][..], "started a:try1 a:failed(boom) a:dead(boom) FAILED(boom)"),
        (&["b", "mend"], "started a:try1 a:failed(boom) a:dead(boom) b:skipped mend:ok SUCCEEDED"),
    ] {
        let (mut world, run) = started(&document, of);
        is_the_same_from_checkpoints(&world, run);
        let task = world.tasks().remove(0);
        world.report(&task, failed("boom")).unwrap();
        assert_eq!(world.timeline(run), expected);
    }
}

/// Every condition is false, and what would have been true leads out of the part: the run does not fail for that.
#[test]
fn a_way_out_of_the_part_is_no_missing_route() {
    let nodes = ["a", "b", "c"].map(|id| json!({"id": id, "action": "noop"}));
    let ways = [json!({"from": "a", "to": "b", "when": "false"}), json!({"from": "a", "to": "c", "when": "true"})];
    let document = json!({"slug": "w", "nodes": nodes, "transitions": ways});
    let (world, run) = started(&document, &["b"]);
    assert_eq!(world.timeline(run), "started a:ok b:skipped c:skipped SUCCEEDED");
}

#[test]
fn loops_bodies_and_what_runs_whatever_the_end_happen_as_a_whole() {
    let document = json!({"slug": "w",
        "nodes": [{"id": "a", "action": "noop"}, {"id": "b", "action": "noop"}, {"id": "c", "action": "noop"},
            {"id": "each", "forEach": {"items": [1, 2], "body": {"id": "inner", "action": "noop"}}},
            {"id": "out", "action": "noop"}],
        "transitions": [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}, {"from": "c", "to": "a", "maxIterations": 1},
            {"from": "b", "to": "each"}, {"from": "c", "to": "out", "priority": 1}],
        "finally": {"steps": [{"id": "tidy", "action": "noop"}]}});
    let (world, run) = started(&document, &["each"]);
    let timeline = world.timeline(run);
    assert!(
        timeline.contains("out:skipped") && timeline.contains("inner@") && timeline.contains("tidy@"),
        "{timeline}"
    );
    assert!(timeline.ends_with("SUCCEEDED"), "{timeline}");
    assert_eq!(timeline.matches("c@").count(), 2, "{timeline}");
}

#[test]
fn what_is_no_target_is_refused() {
    let document = json!({"slug": "w", "steps": [
        {"id": "each", "forEach": {"items": [1], "body": {"id": "inner", "action": "noop"}}}],
        "finally": {"steps": [{"id": "tidy", "action": "noop"}]}});
    let mut world = World::with(&document);
    let run = RunId::new(headwater_core::ShardId::new(0).unwrap(), world.now, 7 << 20);
    for (bad, why) in [("nope", "no node `nope`"), ("inner", "stands in a body"), ("finally", "whatever the end")] {
        let refusal = try_start(&mut world, run, targets(&[bad])).unwrap_err();
        let Rejection::Run(RunRejection::TargetInvalid { message }) = refusal else { panic!("{refusal}") };
        assert!(message.contains(why), "{message}");
    }
    try_start(&mut world, run, targets(&["each"])).unwrap();
}

#[test]
fn the_targets_tell_two_starts_apart() {
    let mut world = World::with(&diamond(&Value::Null));
    let run = RunId::new(headwater_core::ShardId::new(0).unwrap(), world.now, 7 << 20);
    try_start(&mut world, run, targets(&["b", "a"])).unwrap();
    try_start(&mut world, run, targets(&["a", "b", "a"])).unwrap();
    for other in [targets(&["a"]), targets(&[])] {
        let refusal = try_start(&mut world, run, other).unwrap_err();
        assert!(matches!(refusal, Rejection::Run(RunRejection::KeyReused { .. })), "{refusal}");
    }
}

/// `parallelism` bounds jobs, not what takes no time of anybody's.
#[test]
fn so_many_nodes_of_a_run_are_under_way_and_the_others_wait_their_turn() {
    let job = |id: &str| json!({"id": id, "jobSlug": "work", "retry": {"maxAttempts": 2, "delay": "1h"}});
    let steps = [
        job("a"),
        job("b"),
        job("c"),
        json!({"id": "z", "action": "noop"}),
        json!({"id": "s", "action": {"kind": "sleep", "duration": "1h"}}),
    ];
    let document = json!({"slug": "w", "parallelism": 2, "steps": steps});
    let mut world = World::with(&document);
    let run = world.start("w", json!({}));
    assert_eq!(world.timeline(run), "started z:ok s:try1 a:try1 b:try1");
    let tasks = world.tasks();
    is_the_same_from_checkpoints(&world, run);
    // Between two tries it keeps its place.
    world.report(&tasks[0], failed("boom")).unwrap();
    is_the_same_from_checkpoints(&world, run);
    assert_eq!(world.tasks().len(), 0);
    world.report(&tasks[1], ok(json!(1))).unwrap();
    assert_eq!(world.timeline(run), "started z:ok s:try1 a:try1 b:try1 a:failed(boom) a:retry2 b:ok c:try1");
    world.pass(3_600);
    world.fire_timers();
    assert!(world.timeline(run).contains("a:try2") && world.timeline(run).contains("s:ok"), "{}", world.timeline(run));
    for task in world.tasks() {
        world.report(&task, ok(json!(1))).unwrap();
    }
    assert!(world.timeline(run).ends_with("SUCCEEDED"), "{}", world.timeline(run));
}
