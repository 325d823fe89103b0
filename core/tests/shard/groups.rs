//! Nodes that succeed or fail together: caught, tried again and timed as a whole.

use serde_json::{Value, json};

use crate::world::{World, failed, ok};

fn output(world: &World, node: &str) -> Option<Value> {
    world.commits.iter().flat_map(|commit| &commit.events).find_map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let done = &event["run"]["nodeSucceeded"];
        (done["node"] == node).then(|| done["output"].clone())
    })
}

/// A group of two jobs in a row, between a note before and one behind it.
fn grouped(more: &Value) -> Value {
    let mut pay = json!({"id": "pay", "group": {"steps": [
        {"id": "reserve", "jobSlug": "work", "retry": {"maxAttempts": 1}, "storeResultAs": "mark"},
        {"id": "charge", "jobSlug": "work", "dependsOn": ["reserve"], "retry": {"maxAttempts": 1},
            "input": {"seen": "${{ state.mark }}", "before": "${{ nodes.first.output }}"}}]}});
    pay.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"slug": "shop", "nodes": [
        {"id": "first", "action": {"kind": "transform", "output": "none"}, "storeResultAs": "mark"}, pay,
        {"id": "last", "action": {"kind": "transform", "output": "${{ state.mark }}"}},
        {"id": "caught", "action": {"kind": "transform", "output": "${{ state.mark }}"}}],
        "transitions": [{"from": "first", "to": "pay"}, {"from": "pay", "to": "last"},
            {"from": "pay", "to": "caught", "on": "failure", "when": "error.code != 'fatal'"}]})
}

#[test]
fn a_group_that_succeeds_keeps_what_its_nodes_stored() {
    let mut world = World::with(&grouped(&json!({})));
    let run = world.start("shop", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!("reserved"))).unwrap();
    let task = world.tasks().remove(0);
    assert_eq!(task.input.to_value(), json!({"seen": "reserved", "before": "none"}));
    world.report(&task, ok(json!("charged"))).unwrap();
    assert_eq!(
        world.timeline(run),
        "started first:ok pay:opens(1+1) reserve@1:try1 reserve@1:ok charge@1:try1 charge@1:ok @1:ok pay:ok last:ok caught:skipped \
         SUCCEEDED"
    );
    assert_eq!(output(&world, "pay"), Some(json!("charged")));
    assert_eq!(output(&world, "last"), Some(json!("reserved")));
}

#[test]
fn a_group_that_fails_is_caught_and_what_its_nodes_stored_is_dropped() {
    let mut world = World::with(&grouped(&json!({})));
    let run = world.start("shop", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!("reserved"))).unwrap();
    let task = world.tasks().remove(0);
    world.report(&task, failed("declined")).unwrap();
    let end =
        "charge@1:dead(declined) @1:failed pay:failed(declined) pay:dead(declined) last:skipped caught:ok SUCCEEDED";
    assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
    assert_eq!(output(&world, "caught"), Some(json!("none")));
}

#[test]
fn a_group_is_tried_again_as_a_whole() {
    let retry = json!({"maxAttempts": 2, "backoff": "fixed", "delay": "3s", "jitter": "none"});
    let mut world = World::with(&grouped(&json!({ "retry": retry })));
    let run = world.start("shop", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("busy")).unwrap();
    assert!(world.tasks().is_empty(), "{}", world.timeline(run));
    world.pass(3);
    world.fire_timers();
    let task = world.tasks().remove(0);
    assert_eq!(task.node.to_string(), "reserve@2");
    world.report(&task, failed("fatal")).unwrap();
    let end = "pay:retry2 pay:opens(2+1) reserve@2:try1 reserve@2:failed(fatal) reserve@2:dead(fatal) charge@2:skipped";
    let timeline = world.timeline(run);
    assert!(timeline.ends_with("pay:failed(fatal) pay:dead(fatal) FAILED(fatal)"), "{timeline}, like {end}");
}

#[test]
fn a_group_has_a_time_for_each_try() {
    let mut world = World::with(&grouped(&json!({"timeout": "5s"})));
    let run = world.start("shop", json!({}));
    let task = world.tasks().remove(0);
    world.pass(6);
    world.fire_timers();
    let end = "@1:closing(timeout) reserve@1:cancelled @1:failed pay:failed(timeout) pay:dead(timeout) last:skipped caught:ok SUCCEEDED";
    assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
    assert!(world.report(&task, ok(json!(1))).is_err());
}

#[test]
fn groups_lie_in_bodies_and_loops_and_tolerate() {
    let group = |id: &str, node: Value| json!({"id": id, "group": node, "allowFailure": true});
    let inner = group("inner", json!({"id": "bad", "action": {"kind": "fail", "code": "meant", "message": "it does"}}));
    let mut world = World::with(&json!({"slug": "deep", "nodes": [
        {"id": "turn", "group": {"steps": [{"id": "each", "forEach": {"items": 2, "body": inner}}]}},
        {"id": "end", "action": {"kind": "transform", "output": "${{ nodes.turn.output }}"}}],
        "transitions": [{"from": "turn", "to": "turn", "maxIterations": 1}, {"from": "turn", "to": "end", "priority": 1}]}));
    let run = world.start("deep", json!({}));
    world.settle();
    assert!(world.timeline(run).ends_with("SUCCEEDED"), "{}", world.timeline(run));
    assert_eq!(output(&world, "end"), Some(json!([null, null])));
    assert_eq!(world.timeline(run).matches("bad@").count(), 4, "{}", world.timeline(run));
}
