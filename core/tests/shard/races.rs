//! Joins that withdraw whoever is left behind.

use headwater_core::run::Budget;
use serde_json::{Value, json};

use crate::world::{World, ok};

/// A graph of nodes, with `won` behind them.
fn race(nodes: Value, transitions: Value, join: Value) -> Value {
    let mut nodes = nodes.as_array().unwrap().clone();
    nodes.push(json!({"id": "won", "action": "noop", "join": join, "cancelLosers": true}));
    json!({"slug": "race", "nodes": nodes, "transitions": transitions, "output": {}})
}

fn job(id: &str) -> Value {
    json!({"id": id, "jobSlug": "work", "input": {"id": id}})
}

/// Runs the document up to where `winners` have succeeded; returns the timeline from there on.
fn told(document: &Value, winners: &[&str]) -> String {
    let mut world = World::with(document);
    let run = world.start("race", json!({}));
    world.settle();
    let mut before = String::new();
    for winner in winners {
        let tasks = world.tasks();
        let task = tasks.iter().find(|task| task.node.node().as_str() == *winner);
        let task = task.unwrap_or_else(|| panic!("{winner} does not run: {}", world.timeline(run))).clone();
        tasks.iter().filter(|other| other.lease != task.lease).for_each(|other| world.put_back(other));
        before = world.timeline(run);
        world.report(&task, ok(json!(1))).unwrap();
        world.settle();
    }
    world.timeline(run)[before.len() + 1..].to_owned()
}

#[test]
fn whoever_leads_only_to_the_join_is_withdrawn_and_what_has_not_begun_is_skipped() {
    let nodes = json!([job("a"), job("b"), job("c")]);
    let ways = json!([{"from": "a", "to": "won"}, {"from": "b", "to": "c"}, {"from": "c", "to": "won"}]);
    let expected = "a:ok b:cancelled c:skipped won:ok SUCCEEDED";
    assert_eq!(told(&race(nodes, ways, json!("any")), &["a"]), expected);
}

#[test]
fn a_quorum_leaves_nobody_running_but_those_who_lead_elsewhere_too() {
    let nodes = json!([job("a"), job("b"), job("c"), job("d"), job("log")]);
    let ways = json!([{"from": "a", "to": "won"}, {"from": "b", "to": "won"}, {"from": "c", "to": "won"},
        {"from": "d", "to": "won"}, {"from": "d", "to": "log"}]);
    let document = race(nodes, ways, json!({"quorum": 2}));
    assert_eq!(told(&document, &["a", "b"]), "b:ok c:cancelled won:ok");
    let rest = told(&document, &["a", "b", "d", "log"]);
    assert_eq!(rest, "log:ok SUCCEEDED", "whoever leads elsewhere goes on");
}

#[test]
fn sleeps_bodies_groups_loops_and_calls_are_withdrawn_with_all_that_is_open_in_them() {
    let body = |id: &str| json!({"steps": [job(id), {"id": format!("{id}2"), "jobSlug": "work", "dependsOn": [id]}]});
    let nodes = json!([job("a"),
        {"id": "nap", "action": {"kind": "sleep", "duration": "1h"}},
        {"id": "each", "forEach": {"items": 2, "body": body("item")}},
        {"id": "group", "group": body("part")},
        {"id": "first", "jobSlug": "work"}, {"id": "second", "jobSlug": "work"},
        {"id": "call", "action": {"kind": "workflow_call", "workflow": "race", "version": 1}},
        {"id": "retried", "jobSlug": "work"}]);
    let ways = json!([{"from": "a", "to": "won"}, {"from": "nap", "to": "won"}, {"from": "each", "to": "won"},
        {"from": "group", "to": "won"}, {"from": "first", "to": "second"},
        {"from": "second", "to": "first", "maxIterations": 2}, {"from": "second", "to": "won", "priority": 1},
        {"from": "call", "to": "won"}, {"from": "retried", "to": "won"}]);
    let timeline = told(&race(nodes, ways, json!("any")), &["a"]);
    for expected in [
        "nap:cancelled",
        "each:cancelled",
        "item@3:cancelled",
        "@3:cancelled",
        "group:cancelled",
        "call:withdraws",
        "call:cancelled",
        "first:cancelled",
        "retried:cancelled",
    ] {
        assert!(timeline.contains(expected), "{expected} is not in {timeline}");
    }
    assert!(timeline.ends_with("won:ok SUCCEEDED"), "{timeline}");
}

#[test]
fn a_race_in_a_branch_is_over_in_that_branch_alone() {
    let body = json!({"nodes": [job("a"), job("b"), {"id": "won", "action": "noop", "join": "any", "cancelLosers": true}],
        "transitions": [{"from": "a", "to": "won"}, {"from": "b", "to": "won"}]});
    let document = json!({"slug": "race", "steps": [{"id": "each", "forEach": {"items": 2, "body": body}}]});
    let timeline = told(&document, &["a"]);
    assert_eq!(timeline, "a@1:ok b@1:cancelled won@1:ok @1:ok");
}

#[test]
fn many_losers_are_withdrawn_in_pieces_before_the_winner_goes_on() {
    let many: Vec<_> = (0..300).map(|n| job(&format!("n{n}"))).collect();
    let ways: Vec<_> = (0..300).map(|n| json!({"from": format!("n{n}"), "to": "won"})).collect();
    let document = race(Value::Array(many), Value::Array(ways), json!("any"));
    let mut world = World::bounded(Budget { bytes: 4_000, ..Budget::default() });
    world.apply(&document);
    let run = world.start("race", json!({}));
    world.settle();
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    assert!(world.settle() > 10, "they do not fit one decision");
    let timeline = world.timeline(run);
    assert_eq!(timeline.matches(":cancelled").count(), 299, "{timeline}");
    assert!(timeline.ends_with(":cancelled won:ok SUCCEEDED"), "{timeline}");
}
