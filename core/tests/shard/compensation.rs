//! What undoes a node that has succeeded, when its run fails or is cancelled.

use std::collections::BTreeMap;

use headwater_core::RunId;
use headwater_core::protocol::Task;
use headwater_core::run::{ReportOutcome, RunCommand};
use headwater_core::shard::Command;
use serde_json::{Value, json};

use crate::world::{World, failed, ok};

/// A step that is tried once, and undone by a job that is tried twice.
pub fn step(id: &str, after: &[&str]) -> Value {
    json!({"id": id, "jobSlug": "work", "dependsOn": after, "retry": {"maxAttempts": 1},
        "compensate": {"jobSlug": "work", "retry": {"maxAttempts": 2, "backoff": "none"},
            "input": {"made": "${{ output }}"}}})
}

fn without(mut step: Value, field: &str) -> Value {
    step.as_object_mut().unwrap().remove(field);
    step
}

/// Five steps that are undone, of which one stands in a group and one happens for each of two items; and one in a loop.
pub fn saga() -> Value {
    let each = json!({"id": "each", "dependsOn": ["a"], "forEach": {"items": ["x", "y"], "body": without(step("item", &[]), "dependsOn")}});
    let group = json!({"id": "group", "dependsOn": ["each"], "retry": {"maxAttempts": 2, "backoff": "none"},
        "group": {"steps": [step("b", &[]), step("c", &["b"])]}});
    json!({"slug": "saga", "steps": [step("a", &[]), each, group, without(step("last", &["group"]), "compensate")]})
}

fn plain() -> Value {
    json!({"slug": "saga", "steps": [step("a", &[]), step("b", &["a"]), without(step("last", &["b"]), "compensate")]})
}

pub fn cancel(run: RunId) -> Command {
    Command::Run { run, command: RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 } }
}

fn next(world: &mut World) -> Task {
    world.settle();
    let mut tasks = world.tasks();
    assert_eq!(tasks.len(), 1, "one after the other: {tasks:?}");
    tasks.remove(0)
}

/// Reports what each task waits for, in order: its node, and how it ends.
fn play(world: &mut World, story: &[(&str, ReportOutcome)]) {
    for (node, outcome) in story {
        let task = next(world);
        assert_eq!(task.node.text(), *node);
        world.report(&task, outcome.clone()).unwrap();
    }
    world.settle();
}

fn one() -> ReportOutcome {
    ok(json!(1))
}

#[test]
fn what_has_succeeded_is_undone_in_reverse_when_the_run_fails() {
    let mut world = World::with(&plain());
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one()), ("b", one()), ("last", failed("boom"))]);
    play(&mut world, &[("b~undo@1", one()), ("a~undo@2", one())]);
    assert_eq!(
        world.timeline(run),
        "started a:try1 a:ok a:keeps b:try1 b:ok b:keeps last:try1 last:failed(boom) last:dead(boom) ENDING(failed) \
         compensation:items compensation:opens(1+1) b~undo@1:try1 b~undo@1:ok @1:ok \
         compensation:opens(2+1) a~undo@2:try1 a~undo@2:ok @2:ok compensation:ok FAILED(boom)"
    );
    assert_eq!(world.shard.active_runs(), 0);
}

#[test]
fn nothing_is_undone_where_the_run_succeeds_or_is_told_to_keep_it() {
    let mut world = World::with(&plain());
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one()), ("b", one()), ("last", one())]);
    assert!(world.timeline(run).ends_with("last:ok SUCCEEDED"), "{}", world.timeline(run));
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one())]);
    let keeping = RunCommand::CancelRunKeeping { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(Command::Run { run, command: keeping }).unwrap();
    world.settle();
    assert!(world.timeline(run).ends_with("ENDING(cancelled) b:cancelled CANCELLED"), "{}", world.timeline(run));
}

#[test]
fn a_cancelled_run_undoes_and_a_second_cancel_changes_nothing() {
    let mut world = World::with(&plain());
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one())]);
    let late = next(&mut world);
    world.decide(cancel(run)).unwrap();
    let undo = next(&mut world);
    assert!(world.decide(cancel(run)).is_err());
    assert!(world.report(&late, one()).is_err(), "what was withdrawn is not heard of");
    let said = RunCommand::Signal {
        workspace: "default".parse().unwrap(),
        signal: world.fresh_id(),
        name: "go".parse().unwrap(),
        key: None,
        payload: headwater_core::Json::null(),
        broadcast: false,
        update: false,
    };
    assert!(world.decide(Command::Run { run, command: said }).is_err());
    world.report(&undo, one()).unwrap();
    world.settle();
    assert!(world.timeline(run).ends_with("@1:ok compensation:ok CANCELLED"), "{}", world.timeline(run));
}

#[test]
fn a_timeout_of_the_run_undoes_and_takes_no_time_from_that() {
    let mut document = plain();
    document["timeout"] = json!("1m");
    let mut world = World::with(&document);
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one())]);
    world.tasks();
    world.pass(61);
    world.fire_timers();
    let undo = next(&mut world);
    world.pass(3600);
    world.fire_timers();
    world.report(&undo, one()).unwrap();
    world.settle();
    assert!(world.timeline(run).ends_with("compensation:ok FAILED(run_timeout)"), "{}", world.timeline(run));
}

#[test]
fn one_that_fails_twice_is_shown_and_the_others_are_undone() {
    let mut world = World::with(&plain());
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one()), ("b", one()), ("last", failed("boom"))]);
    play(&mut world, &[("b~undo@1", failed("stuck")), ("b~undo@1", failed("stuck")), ("a~undo@2", one())]);
    let timeline = world.timeline(run);
    let end = "b~undo@1:failed(stuck) b~undo@1:dead(stuck) @1:failed compensation:opens(2+1) a~undo@2:try1 a~undo@2:ok @2:ok \
               compensation:dead(compensation_failed) FAILED(boom)";
    assert!(timeline.ends_with(end), "{timeline}");
    let events = serde_json::to_value(&world.commits).unwrap().to_string();
    assert!(events.contains("1 of 2 could not be undone"), "{events}");
}

#[test]
fn nested_branches_are_undone_too_and_tries_that_failed() {
    let mut world = World::with(&saga());
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one())]);
    world.settle();
    let items = world.tasks();
    for item in items.iter().rev() {
        world.report(item, ok(json!(item.node.text()))).unwrap();
    }
    play(
        &mut world,
        &[("b@3", one()), ("c@3", failed("no")), ("b@4", one()), ("c@4", one()), ("last", failed("boom"))],
    );
    // The group's second try, then the first, whose `b` had been done; then the items as they have ended, and `a`.
    let mut made = BTreeMap::new();
    for undo in ["c~undo", "b~undo", "b~undo", "item~undo", "item~undo", "a~undo"] {
        let task = next(&mut world);
        assert_eq!(task.node.node().as_str(), undo);
        made.insert(task.node.to_string(), task.input.to_value()["made"].clone());
        world.report(&task, one()).unwrap();
    }
    world.settle();
    assert_eq!((&made["item~undo@8"], &made["item~undo@9"]), (&json!("item@1"), &json!("item@2")));
    assert!(world.timeline(run).ends_with("compensation:ok FAILED(boom)"), "{}", world.timeline(run));
}

#[test]
fn turns_of_a_loop_are_undone_one_by_one() {
    let mut turn = without(step("turn", &[]), "dependsOn");
    turn["compensate"]["input"] = json!("${{ [output, nodes.turn.output, nodeInput.n] }}");
    turn["input"] = json!({"n": "${{ input.n }}"});
    let mut world = World::with(
        &json!({"slug": "turns", "nodes": [turn, without(without(step("last", &[]), "compensate"), "dependsOn")],
        "transitions": [{"from": "turn", "to": "turn", "maxIterations": 1}, {"from": "turn", "to": "last", "priority": 1}]}),
    );
    let run = world.start("turns", json!({"n": 5}));
    play(&mut world, &[("turn@1", ok(json!("one"))), ("turn@2", ok(json!("two"))), ("last", failed("boom"))]);
    for made in ["two", "one"] {
        let task = next(&mut world);
        assert_eq!(task.input.to_value(), json!([made, made, 5]));
        world.report(&task, one()).unwrap();
    }
    world.settle();
    assert!(world.timeline(run).ends_with("compensation:ok FAILED(boom)"), "{}", world.timeline(run));
}

#[test]
fn a_failure_that_is_caught_undoes_nothing() {
    let mut world = World::with(&json!({"slug": "caught", "nodes": [
        without(step("a", &[]), "dependsOn"), without(step("bad", &[]), "dependsOn"), {"id": "mend", "jobSlug": "work"}],
        "transitions": [{"from": "a", "to": "bad"}, {"from": "bad", "to": "mend", "on": "failure"}]}));
    let run = world.start("caught", json!({}));
    play(&mut world, &[("a", one()), ("bad", failed("boom")), ("mend", one())]);
    assert!(world.timeline(run).ends_with("mend:ok SUCCEEDED"), "{}", world.timeline(run));
}

#[test]
fn finally_runs_when_all_is_undone_and_sees_how_that_went() {
    let mut document = plain();
    document["finally"] = json!({"id": "told", "action": {"kind": "transform",
        "output": ["${{ run.status }}", "${{ nodes.compensation.status }}", "${{ nodes.compensation.output.undone }}"]}});
    let mut world = World::with(&document);
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one()), ("b", one()), ("last", failed("boom")), ("b~undo@1", one()), ("a~undo@2", one())]);
    let timeline = world.timeline(run);
    assert!(
        timeline.ends_with("compensation:ok finally:opens(3+1) told@3:ok @3:ok finally:ok FAILED(boom)"),
        "{timeline}"
    );
    let events = serde_json::to_value(&world.commits).unwrap().to_string();
    assert!(events.contains(r#"["failed","succeeded",2]"#), "{events}");
}

#[test]
fn what_is_not_said_of_its_input_is_what_the_node_was_given_and_made_and_how_the_run_ends() {
    let mut first = without(step("a", &[]), "compensate");
    first["compensate"] = json!({"jobSlug": "work"});
    first["input"] = json!({"room": "${{ input.room }}"});
    let mut world =
        World::with(&json!({"slug": "saga", "steps": [first, without(step("last", &["a"]), "compensate")]}));
    world.start("saga", json!({"room": 7}));
    play(&mut world, &[("a", ok(json!({"booking": 1}))), ("last", failed("boom"))]);
    let given = next(&mut world).input.to_value();
    assert_eq!((&given["input"], &given["output"]), (&json!({"room": 7}), &json!({"booking": 1})));
    assert_eq!((&given["status"], &given["error"]["code"]), (&json!("failed"), &json!("boom")));
}

#[test]
fn pure_actions_undo_inside_the_decision_and_what_cannot_be_rendered_fails_the_node() {
    let mut document = plain();
    document["steps"][0]["compensate"] = json!({"action": {"kind": "transform", "output": {"was": "${{ output }}"}}});
    document["steps"][1]["compensate"] = json!({"action": "noop"});
    let mut world = World::with(&document);
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one()), ("b", one()), ("last", failed("boom"))]);
    assert!(world.timeline(run).ends_with("a~undo@2:ok @2:ok compensation:ok FAILED(boom)"), "{}", world.timeline(run));
    document["steps"][1]["compensate"] = json!({"jobSlug": "work", "input": "${{ output.booking }}"});
    let mut world = World::with(&document);
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one()), ("b", one())]);
    let timeline = world.timeline(run);
    assert!(timeline.contains("b:dead(") && !timeline.contains("b:keeps"), "{timeline}");
    assert!(timeline.contains("a~undo@1:ok"), "{timeline}");
}

#[test]
fn a_part_of_a_workflow_undoes_what_it_has_done() {
    let mut world = World::with(&plain());
    let mut start = world.start_of("saga", json!({}));
    start.wishes =
        Some(Box::new(headwater_core::run::StartWishes { targets: vec!["b".parse().unwrap()], ..Default::default() }));
    let run = RunId::new(crate::world::shard_zero(), world.now, 77 << 12);
    world.decide(Command::Run { run, command: RunCommand::StartRun(start) }).unwrap();
    play(&mut world, &[("a", one()), ("b", failed("boom")), ("a~undo@1", one())]);
    assert!(world.timeline(run).ends_with("compensation:ok FAILED(boom)"), "{}", world.timeline(run));
}

#[test]
fn an_output_that_breaks_its_schema_undoes_too() {
    let mut document = plain();
    document["outputSchema"] = json!({"required": ["other"]});
    let mut world = World::with(&document);
    let run = world.start("saga", json!({}));
    play(&mut world, &[("a", one()), ("b", one()), ("last", one()), ("b~undo@1", one()), ("a~undo@2", one())]);
    assert!(world.timeline(run).ends_with("compensation:ok FAILED(output_schema)"), "{}", world.timeline(run));
}

#[test]
fn a_node_that_could_not_be_undone_any_more_fails_and_the_others_are_undone() {
    let undo = json!({"action": {"kind": "transform", "output": "${{ input.blob }}"}});
    let item = json!({"id": "item", "action": "noop", "compensate": undo});
    let mut world =
        World::with(&json!({"slug": "large", "steps": [{"id": "each", "forEach": {"items": 20, "body": item}}]}));
    let run = world.start("large", json!({"blob": "x".repeat(1_000_000)}));
    world.settle();
    let timeline = world.timeline(run);
    let kept = timeline.matches(":keeps").count();
    assert_eq!((kept, timeline.matches("item~undo@").count()), (16, 16), "{timeline}");
    assert!(timeline.ends_with("compensation:ok FAILED(compensation_limit)"), "{timeline}");
}
