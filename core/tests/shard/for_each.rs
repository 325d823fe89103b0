//! Bodies that happen once for each item: what they see, in which order they end, and what becomes of them.

use headwater_core::RunId;
use headwater_core::protocol::Task;
use headwater_core::run::{Budget, RunLimits, task_of};
use serde_json::{Value, json};

use crate::world::{World, failed, ok};

/// A workflow of one `forEach` whose body is a job of the input `{item, index}`.
fn each(more: Value) -> Value {
    let mut each = json!({"items": "${{ input.items }}",
        "body": {"id": "one", "jobSlug": "work", "retry": {"maxAttempts": 1},
            "input": {"item": "${{ item }}", "index": "${{ index }}"}}});
    each.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"slug": "each", "steps": [{"id": "all", "forEach": each}]})
}

pub fn started(more: Value, items: Value) -> (World, RunId) {
    let mut world = World::with(&each(more));
    let run = world.start("each", json!({"items": items}));
    (world, run)
}

/// Reports every attempt that waits, the last first, with what `outcome` makes of its input.
pub fn work_off(world: &mut World, outcome: impl Fn(&Value) -> Result<Value, &'static str>) {
    loop {
        let tasks: Vec<Task> = world.tasks();
        if tasks.is_empty() {
            return;
        }
        for task in tasks.iter().rev() {
            let outcome = outcome(&task.input.to_value());
            // Those of an item that is not waited for any more are refused.
            let _ = world.report(task, outcome.map_or_else(failed, ok));
            world.settle();
        }
    }
}

pub fn output(world: &World, node: &str) -> Option<Value> {
    world.commits.iter().flat_map(|commit| &commit.events).find_map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let done = &event["run"]["nodeSucceeded"];
        (done["node"] == node).then(|| done["output"].clone())
    })
}

#[test]
fn an_empty_list_is_done_at_once_and_a_map_and_a_number_have_items_too() {
    for join in [json!("all"), json!("any"), json!({"quorum": 2})] {
        let (world, run) = started(json!({"join": join}), json!([]));
        assert_eq!(world.timeline(run), "started all:items all:ok SUCCEEDED");
        assert_eq!(output(&world, "all"), Some(json!([])));
    }
    let (mut world, _) = started(json!({}), json!({"x": 1, "y": {"z": 2}}));
    work_off(&mut world, |input| Ok(input["item"].clone()));
    let entries = json!([{"key": "x", "value": 1}, {"key": "y", "value": {"z": 2}}]);
    assert_eq!(output(&world, "all"), Some(entries));
    let (mut world, _) = started(json!({}), json!(3));
    work_off(&mut world, |input| Ok(input["item"].clone()));
    assert_eq!(output(&world, "all"), Some(json!([0, 1, 2])));
}

#[test]
fn what_is_no_list_or_too_long_fails_the_node_clearly() {
    for (items, code) in [
        (json!("abc"), "for_each_items"),
        (json!(true), "for_each_items"),
        (json!(null), "for_each_items"),
        (json!(-1), "for_each_items"),
        (json!(1.5), "for_each_items"),
        (json!([1, 2, 3, 4]), "for_each_too_many"),
        (json!(4), "for_each_too_many"),
        (json!(1e18), "for_each_too_many"),
        (json!({"a": 1, "b": 1, "c": 1, "d": 1}), "for_each_too_many"),
    ] {
        let (world, run) = started(json!({"maxItems": 3}), items);
        assert_eq!(world.timeline(run), format!("started all:dead({code}) FAILED({code})"));
    }
}

#[test]
fn a_run_opens_so_many_branches_and_not_one_more() {
    let document = |items: u32| {
        let body = json!({"id": "part", "action": "noop"});
        json!({"slug": "each", "steps": [
            {"id": "all", "forEach": {"items": 3, "body": body}},
            {"id": "more", "dependsOn": ["all"], "forEach": {"items": items, "body": {"id": "rest", "action": "noop"}}}]})
    };
    for (items, end) in [(2, "SUCCEEDED"), (3, "FAILED(branch_limit)")] {
        let run = RunLimits { branches: 5, ..RunLimits::DEFAULT };
        let mut world = World::bounded(Budget { run, ..Budget::default() });
        world.apply(&document(items));
        let run = world.start("each", json!({}));
        world.settle();
        assert!(world.timeline(run).ends_with(end), "{items}: {}", world.timeline(run));
    }
}

#[test]
fn only_so_many_are_open_at_a_time_and_several_go_together() {
    let (mut world, run) = started(json!({"maxConcurrency": 2}), json!([1, 2, 3, 4, 5]));
    let mut most = 0;
    loop {
        let tasks = world.tasks();
        let Some(task) = tasks.first() else { break };
        most = most.max(tasks.len());
        tasks[1..].iter().for_each(|task| world.put_back(task));
        world.report(task, ok(task.input.to_value())).unwrap();
    }
    assert_eq!(most, 2, "{}", world.timeline(run));
    assert!(world.timeline(run).ends_with("SUCCEEDED"));
    let (mut world, _) = started(json!({"batch": 2}), json!([1, 2, 3]));
    work_off(&mut world, |input| Ok(input["item"].clone()));
    assert_eq!(output(&world, "all"), Some(json!([[1, 2], [3]])));
}

#[test]
fn a_join_that_has_enough_withdraws_the_rest() {
    let (mut world, run) = started(json!({"join": {"quorum": 2}}), json!(["a", "b", "c", "d"]));
    let tasks = world.tasks();
    world.report(&tasks[2], ok(json!("c"))).unwrap();
    world.report(&tasks[1], failed("boom")).unwrap();
    world.report(&tasks[0], ok(json!("a"))).unwrap();
    let end = "one@1:ok @1:ok all:enough one@4:cancelled @4:cancelled all:ok SUCCEEDED";
    assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
    assert_eq!(output(&world, "all"), Some(json!(["a", "c"])));
    assert!(world.report(&tasks[3], ok(json!("d"))).is_err(), "the run has ended");
}

#[test]
fn failing_items_are_tolerated_as_far_as_the_document_says() {
    let cases: [(Value, usize, bool); 9] = [
        // (what is said, how many of ten fail, whether it goes well)
        (json!({}), 0, true),
        (json!({}), 1, false),
        (json!({"onItemFailure": "continue"}), 10, true),
        (json!({"tolerate": 2}), 2, true),
        (json!({"tolerate": 2}), 3, false),
        (json!({"tolerate": "30%"}), 3, true),
        (json!({"tolerate": "30%"}), 4, false),
        (json!({"join": {"quorum": 7}}), 4, false),
        (json!({"join": "any"}), 9, true),
    ];
    for (more, fails, succeeds) in cases {
        let (mut world, run) = started(more.clone(), json!(10));
        work_off(&mut world, |input| {
            if (input["index"].as_u64().unwrap() as usize) < fails { Err("boom") } else { Ok(input["index"].clone()) }
        });
        let timeline = world.timeline(run);
        assert_eq!(timeline.ends_with("SUCCEEDED"), succeeds, "{more}, {fails}: {timeline}");
        if !succeeds {
            assert!(timeline.ends_with("all:dead(boom) FAILED(boom)"), "{more}, {fails}: {timeline}");
        } else if more.get("join").is_none() {
            let left: Vec<usize> = (fails..10).collect();
            assert_eq!(output(&world, "all"), Some(json!(left)), "{more}");
        }
    }
}

#[test]
fn a_join_that_can_no_longer_come_together_withdraws_the_rest_and_can_be_caught() {
    let mut document = each(json!({"join": {"quorum": 2}}));
    let each = document["steps"][0].take();
    let document = json!({"slug": "each", "nodes": [each, {"id": "caught", "action": {"kind": "transform", "output": 1}}],
        "transitions": [{"from": "all", "to": "caught", "on": "failure", "when": "error.code == 'boom'"}]});
    let mut world = World::with(&document);
    let run = world.start("each", json!({"items": [1, 2, 3]}));
    let tasks = world.tasks();
    world.report(&tasks[0], failed("boom")).unwrap();
    world.report(&tasks[2], failed("boom")).unwrap();
    let end = "all:enough one@2:cancelled @2:cancelled all:dead(boom) caught:ok SUCCEEDED";
    assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
}

#[test]
fn what_takes_too_long_fails_or_goes_on_with_what_there_is() {
    for (on_timeout, end) in [
        ("fail", "all:enough one@2:cancelled @2:cancelled all:dead(timeout) FAILED(timeout)"),
        ("proceed", "all:enough one@2:cancelled @2:cancelled all:ok SUCCEEDED"),
    ] {
        let (mut world, run) = started(json!({"timeout": "5s", "onTimeout": on_timeout}), json!([1, 2]));
        let tasks = world.tasks();
        world.report(&tasks[0], ok(json!("made"))).unwrap();
        world.pass(4);
        world.fire_timers();
        assert!(world.timeline(run).ends_with("@1:ok"), "{}", world.timeline(run));
        world.pass(2);
        world.fire_timers();
        assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
        assert_eq!(output(&world, "all"), (on_timeout == "proceed").then(|| json!(["made"])));
    }
}

#[test]
fn a_body_is_a_graph_with_a_state_and_nodes_of_its_own() {
    let body = json!({
        "nodes": [
            {"id": "draft", "jobSlug": "work", "input": "${{ doc.name + state.mark }}", "storeResultAs": "mark"},
            {"id": "long", "action": {"kind": "transform", "output": "${{ state.mark + '!' }}"}},
            {"id": "short", "action": {"kind": "transform", "output": "${{ nodes.draft.output }}"}}],
        "transitions": [
            {"from": "draft", "to": "long", "when": "size(nodes.draft.output) > 2"},
            {"from": "draft", "to": "short", "when": "size(nodes.draft.output) <= 2"}],
        "output": "${{ {'text': nodes.long.status == 'succeeded' ? nodes.long.output : nodes.short.output, 'by': nodes.first.output,
            'n': index} }}"});
    let mut world = World::with(&json!({"slug": "graph", "steps": [
        {"id": "first", "action": {"kind": "transform", "output": "me"}, "storeResultAs": "mark"},
        {"id": "all", "dependsOn": ["first"],
            "forEach": {"items": "${{ input.docs }}", "as": "doc", "body": body}},
        {"id": "last", "dependsOn": ["all"], "action": {"kind": "transform", "output": "${{ state.mark }}"}}]}));
    let run = world.start("graph", json!({"docs": [{"name": "a"}, {"name": "bb"}]}));
    let tasks = world.tasks();
    assert_eq!([&tasks[0].input.to_value(), &tasks[1].input.to_value()], [&json!("ame"), &json!("bbme")]);
    world.report(&tasks[1], ok(json!("long one"))).unwrap();
    world.report(&tasks[0], ok(json!("xy"))).unwrap();
    let merged = json!([{"text": "xy", "by": "me", "n": 0}, {"text": "long one!", "by": "me", "n": 1}]);
    assert_eq!(output(&world, "all"), Some(merged), "{}", world.timeline(run));
    assert_eq!(output(&world, "last"), Some(json!("me")), "what an item writes is gone with it");
}

#[test]
fn bodies_lie_in_one_another() {
    let inner = json!({"id": "inner", "forEach": {"items": "${{ item.cells }}", "as": "cell", "merge": "append",
        "body": {"id": "cell_of", "action": {"kind": "transform", "output": ["${{ row.name + string(cell) + string(index) }}"]}}}});
    let mut world = World::with(&json!({"slug": "nested", "steps": [{"id": "rows", "forEach": {
        "items": "${{ input.rows }}", "as": "row", "merge": "append", "body": inner}}]}));
    let rows = json!([{"name": "a", "cells": [1, 2]}, {"name": "b", "cells": []}, {"name": "c", "cells": [3]}]);
    let run = world.start("nested", json!({"rows": rows}));
    world.settle();
    assert_eq!(output(&world, "rows"), Some(json!(["a10", "a21", "c30"])), "{}", world.timeline(run));
}

#[test]
fn a_failure_in_a_body_withdraws_what_else_is_active_in_it_and_no_more() {
    let body = json!({"steps": [
        {"id": "bad", "jobSlug": "work", "retry": {"maxAttempts": 1}},
        {"id": "beside", "jobSlug": "work"},
        {"id": "nap", "action": {"kind": "sleep", "duration": "1h"}}]});
    let mut world = World::with(&json!({"slug": "wide", "steps": [{"id": "all", "forEach": {
        "items": [1, 2], "onItemFailure": "continue", "body": body}}]}));
    let run = world.start("wide", json!({}));
    let tasks = world.tasks();
    let of = |address: &str| tasks.iter().find(|task| task.node.to_string() == address).unwrap();
    world.report(of("bad@1"), failed("boom")).unwrap();
    let end = "bad@1:dead(boom) @1:closing(boom) nap@1:cancelled beside@1:cancelled @1:failed";
    let timeline = world.timeline(run);
    assert!(timeline.contains("@1:closing(boom)") && timeline.ends_with("@1:failed"), "{timeline}, like {end}");
    assert!(world.report(of("beside@1"), ok(json!(1))).is_err(), "its branch has ended");
    world.report(of("bad@2"), ok(json!(1))).unwrap();
    world.report(of("beside@2"), ok(json!(1))).unwrap();
    assert!(!world.timeline(run).ends_with("SUCCEEDED"));
    world.pass(3601);
    world.fire_timers();
    assert!(world.timeline(run).ends_with("nap@2:ok @2:ok all:ok SUCCEEDED"), "{}", world.timeline(run));
}

#[test]
fn a_run_that_is_cancelled_withdraws_its_branches() {
    use headwater_core::run::RunCommand;
    use headwater_core::shard::Command;
    let (mut world, run) = started(json!({}), json!([1, 2]));
    let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(Command::Run { run, command: cancel }).unwrap();
    let end = "one@2:cancelled @2:cancelled one@1:cancelled @1:cancelled all:cancelled CANCELLED";
    assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
}

#[test]
fn ten_thousand_items_open_in_pieces_and_one_slow_item_holds_back_none() {
    let (mut world, run) = started(json!({}), json!(10_000));
    world.settle();
    let of = |n: usize| task_of(world.shard.run(run).unwrap(), &format!("one@{n}").parse().unwrap()).unwrap();
    let tasks: Vec<Task> = (1..=10_000).map(of).collect();
    for task in &tasks[1..] {
        world.report(task, ok(json!("x".repeat(100)))).unwrap();
    }
    assert!(!world.timeline(run).ends_with("SUCCEEDED"));
    world.report(&tasks[0], ok(json!("slow"))).unwrap();
    world.settle();
    assert_eq!(output(&world, "all").unwrap().as_array().unwrap().len(), 10_000);
    let largest = world.commits.iter().map(|commit| serde_json::to_string(commit).unwrap().len()).max().unwrap();
    assert!(largest < 4 << 20, "{largest}");
}

#[test]
fn what_items_make_together_is_bounded_while_they_make_it() {
    let (mut world, run) = started(json!({}), json!(20));
    work_off(&mut world, |_| Ok(json!("x".repeat(900_000))));
    let timeline = world.timeline(run);
    assert!(timeline.contains("all:enough") && timeline.ends_with("FAILED(node_too_large)"), "{timeline}");
    // Whoever keeps the last only keeps no more than that.
    let (mut world, run) = started(json!({"merge": "last"}), json!(20));
    work_off(&mut world, |_| Ok(json!("x".repeat(900_000))));
    assert!(world.timeline(run).ends_with("SUCCEEDED"), "{}", world.timeline(run));
}

#[test]
fn large_bodies_open_as_many_at_a_time_as_have_room() {
    let body: Vec<Value> = (0..1_000).map(|n| json!({"id": format!("n{n}"), "action": "noop"})).collect();
    let mut body = json!({ "steps": body });
    body["steps"][0] = json!({"id": "n0", "jobSlug": "work"});
    let mut world =
        World::with(&json!({"slug": "large", "steps": [{"id": "all", "forEach": {"items": 150, "body": body}}]}));
    let run = world.start("large", json!({}));
    world.settle();
    assert_eq!(world.tasks().len(), 100, "a hundred of a thousand nodes each");
    world.name_again();
    for task in world.tasks() {
        world.report(&task, ok(json!(1))).unwrap();
        world.settle();
    }
    assert_eq!(world.tasks().len(), 50);
    assert!(!world.timeline(run).contains("FAILED"));
}
