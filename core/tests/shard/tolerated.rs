//! `allowFailure`: the run goes on after a failure that no transition takes, and everybody sees it.

use headwater_core::run::{ReportOutcome, RunEvent};
use headwater_core::shard::{AggregateId, Event};
use headwater_core::{Json, RunId};
use serde_json::{Value, json};

use crate::world::{World, failed, ok};

fn job(id: &str, more: &Value) -> Value {
    let mut node = json!({"id": id, "action": {"kind": "job", "jobSlug": "work"}, "retry": {"maxAttempts": 1}});
    node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node
}

/// Runs it, and lets the job that waits first end so.
fn played(document: &Value, outcome: ReportOutcome) -> (World, RunId) {
    let mut world = World::with(document);
    let run = world.start(document["slug"].as_str().unwrap(), json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, outcome).unwrap();
    (world, run)
}

fn output(world: &World, run: RunId) -> String {
    let events = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let mut outputs = events.flat_map(|commit| &commit.events).filter_map(|event| match event {
        Event::Run(RunEvent::RunSucceeded { output, .. }) => Some(output.as_str().to_owned()),
        _ => None,
    });
    outputs.next().expect("the run succeeded")
}

#[test]
fn the_run_goes_on_with_null_once_the_tries_are_used_up() {
    let retry = json!({"maxAttempts": 2, "delay": 0});
    let document = json!({"slug": "w", "steps": [
        {"id": "a", "jobSlug": "work", "allowFailure": true, "retry": retry},
        {"id": "b", "action": {"kind": "transform", "output": ["${{ nodes.a.output }}", "${{ nodes.a.status }}"]},
            "dependsOn": ["a"]}]});
    let (mut world, run) = played(&document, failed("boom"));
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    let expected = "started a:try1 a:failed(boom) a:retry2 a:try2 a:failed(boom) a:tolerated(boom) b:ok SUCCEEDED";
    assert_eq!(world.timeline(run), expected);
    assert_eq!(output(&world, run), r#"{"b":[null,"failed"]}"#);
}

#[test]
fn only_the_codes_it_names_are_tolerated() {
    let document = json!({"slug": "w", "nodes": [job("a", &json!({"allowFailure": {"codes": ["boom"]}}))]});
    let (world, run) = played(&document, failed("boom"));
    assert_eq!(world.timeline(run), "started a:try1 a:failed(boom) a:tolerated(boom) SUCCEEDED");
    assert_eq!(output(&world, run), r#"{"a":null}"#);
    let (world, run) = played(&document, failed("bang"));
    assert_eq!(world.timeline(run), "started a:try1 a:failed(bang) a:dead(bang) FAILED(bang)");
}

#[test]
fn a_transition_on_failure_that_holds_comes_first() {
    let document = json!({"slug": "w", "nodes": [job("a", &json!({"allowFailure": true})),
        {"id": "mend", "action": "noop"}, {"id": "on", "action": "noop"}],
        "transitions": [{"from": "a", "to": "on"},
            {"from": "a", "to": "mend", "on": "failure", "when": "error.code == 'boom'"}]});
    let (world, run) = played(&document, failed("boom"));
    assert_eq!(world.timeline(run), "started a:try1 a:failed(boom) a:dead(boom) on:skipped mend:ok SUCCEEDED");
    let (world, run) = played(&document, failed("bang"));
    assert_eq!(world.timeline(run), "started a:try1 a:failed(bang) a:tolerated(bang) on:ok mend:skipped SUCCEEDED");
}

#[test]
fn a_condition_without_a_value_is_not_tolerated() {
    let on_failure = json!({"from": "a", "to": "b", "on": "failure", "when": "error.details.status == 1"});
    let on_success = json!({"from": "a", "to": "b", "when": "nodes.a.output.n > 1"});
    for (transition, expected) in [(on_failure, "dead(expression_error)"), (on_success, "tolerated(boom)")] {
        let document = json!({"slug": "w", "transitions": [transition],
            "nodes": [job("a", &json!({"allowFailure": true})), {"id": "b", "action": "noop"}]});
        let (world, run) = played(&document, failed("boom"));
        let expected = format!("started a:try1 a:failed(boom) a:{expected} FAILED(expression_error)");
        assert_eq!(world.timeline(run), expected);
    }
}

#[test]
fn conditions_on_success_see_that_it_has_failed_and_no_route_is_what_it_says() {
    let document = |on_no_route: &str| {
        json!({"slug": "w", "nodes": [job("a", &json!({"allowFailure": true, "onNoRoute": on_no_route,
                "storeResultAs": "kept"})), {"id": "good", "action": "noop"}, {"id": "bad", "action": "noop"}],
            "transitions": [{"from": "a", "to": "good", "when": "nodes.a.status == 'succeeded' && has(state.kept)"},
                {"from": "a", "to": "bad", "when": "nodes.a.output == null && !has(state.kept) && input.n"}]})
    };
    let play = |on_no_route, n: bool| {
        let mut world = World::with(&document(on_no_route));
        let run = world.start("w", json!({ "n": n }));
        let task = world.tasks().remove(0);
        world.report(&task, failed("boom")).unwrap();
        world.timeline(run)
    };
    let begun = "started a:try1 a:failed(boom) a:tolerated(boom)";
    assert_eq!(play("fail", true), format!("{begun} good:skipped bad:ok SUCCEEDED"));
    assert_eq!(play("fail", false), format!("{begun} FAILED(no_route)"));
    assert_eq!(play("end", false), format!("{begun} good:skipped bad:skipped SUCCEEDED"));
}

#[test]
fn joins_that_ask_whether_a_node_failed_hear_that_it_has() {
    let joins = ["all", "any", "allDone", "allSucceeded", "noneFailed"];
    let nodes = joins.map(|join| json!({"id": join, "action": "noop", "join": join}));
    let edges = joins.map(|join| ["a", "b"].map(|from| json!({"from": from, "to": join})));
    let mut document = json!({"slug": "w", "transitions": edges.as_flattened(),
        "nodes": [job("a", &json!({"allowFailure": true})), {"id": "b", "action": "noop"}]});
    document["nodes"].as_array_mut().unwrap().extend(nodes);
    let (world, run) = played(&document, failed("boom"));
    let timeline = world.timeline(run);
    for (join, end) in joins.into_iter().zip(["ok", "ok", "ok", "skipped", "skipped"]) {
        assert!(timeline.contains(&format!("{join}:{end}")), "{join}: {timeline}");
    }
}

#[test]
fn what_fails_without_an_attempt_is_tolerated_too_and_produces_nothing() {
    let document = json!({"slug": "w", "nodes": [
        {"id": "sum", "action": {"kind": "transform", "output": "${{ input.none }}"}, "allowFailure": true,
            "produces": [{"assetId": "x.y"}]},
        {"id": "use", "action": "noop", "consumes": [{"assetId": "x.y", "onMiss": "fail"}], "allowFailure": true},
        {"id": "end", "action": "noop"}],
        "transitions": [{"from": "sum", "to": "use"}, {"from": "use", "to": "end"}]});
    let mut world = World::with(&document);
    let run = world.start("w", json!({}));
    world.deliver_submissions();
    let expected = "started sum:tolerated(expression_error) use:awaits use:tolerated(asset_missing) end:ok SUCCEEDED";
    assert_eq!(world.timeline(run), expected);
}

#[test]
fn a_node_that_is_cancelled_with_its_run_or_late_with_it_is_not_tolerated() {
    let document = json!({"slug": "w", "timeout": "1h", "nodes": [job("a", &json!({"allowFailure": true}))]});
    let mut world = World::with(&document);
    let run = world.start("w", json!({}));
    world.pass(3600);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started a:try1 a:cancelled FAILED(run_timeout)");
}

#[test]
fn a_success_is_one_as_ever() {
    let document = json!({"slug": "w", "nodes": [job("a", &json!({"allowFailure": true}))]});
    let (world, run) = played(&document, ok(json!(7)));
    assert_eq!(output(&world, run), Json::of(&json!({"a": 7})).as_str());
}
