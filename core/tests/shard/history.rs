//! What was seen of a run at each moment of its history.

use std::sync::Arc;

use headwater_core::definition::compile;
use headwater_core::run::{Context, History, RunEvent};
use headwater_core::shard::{AggregateId, Event};
use headwater_core::{BranchId, RunId, Timestamp};
use serde_json::{Value, json};

use crate::world::{World, ok};

fn document() -> Value {
    json!({"slug": "told", "steps": [
        {"id": "first", "jobSlug": "work", "storeResultAs": "kept"},
        {"id": "all", "dependsOn": ["first"], "forEach": {"items": ["a", "b"], "body": {"steps": [
            {"id": "part", "jobSlug": "work", "storeResultAs": "own"},
            {"id": "rest", "action": "noop", "dependsOn": ["part"]}]}}},
        {"id": "last", "dependsOn": ["all"], "action": {"kind": "transform", "output": "${{ state.kept }}"}}]})
}

fn events(world: &World, run: RunId) -> Vec<(RunEvent, Timestamp)> {
    let commits = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let events = commits.flat_map(|commit| commit.events.iter().map(|event| (event, commit.time)));
    let own = events.filter_map(|(event, time)| match event {
        Event::Run(event) => Some((event.clone(), time)),
        _ => None,
    });
    own.collect()
}

fn told() -> (World, RunId) {
    let mut world = World::with(&document());
    let run = world.start("told", json!({"n": 1}));
    loop {
        world.settle();
        let tasks = world.tasks();
        let Some(task) = tasks.first() else { break };
        tasks[1..].iter().for_each(|task| world.put_back(task));
        world.report(task, ok(json!(task.node.text()))).unwrap();
    }
    (world, run)
}

#[test]
fn a_history_shows_what_each_node_saw_before_and_after() {
    let (world, run) = told();
    let definition = Arc::new(compile(&document()).unwrap().0);
    let mut history = History::of(run, definition);
    assert_eq!(history.seen_in(BranchId::ROOT), None);
    let mut seen: Vec<(String, Context)> = Vec::new();
    for (event, time) in events(&world, run) {
        history.learn(&event, time).unwrap();
        if let RunEvent::NodeSucceeded { node, .. } = &event {
            seen.push((node.text().to_string(), history.seen_in(node.branch()).unwrap()));
        }
    }
    let state = |of: &str| {
        let (_, context) = seen.iter().find(|(node, _)| node == of).unwrap_or_else(|| panic!("{of} in {seen:?}"));
        serde_json::to_value(&context.state).unwrap()
    };
    assert_eq!(state("first"), json!({"kept": "first"}));
    assert_eq!(state("part@1"), json!({"kept": "first", "own": "part@1"}), "an item writes to a copy of its own");
    assert_eq!(state("last"), json!({"kept": "first"}));
    let (_, part) = seen.iter().find(|(node, _)| node == "part@2").unwrap();
    let shown = serde_json::to_value(part).unwrap();
    assert_eq!((&shown["item"], &shown["index"], &shown["input"]), (&json!("b"), &json!(1), &json!({"n": 1})));
    assert_eq!(shown["nodes"]["part"], json!({"status": "succeeded", "attempts": 1, "output": "part@2"}));
    assert_eq!(shown["nodes"]["first"]["output"], "first", "what is around a branch is seen in it");
    assert_eq!(shown["nodes"].get("last"), None, "what has not begun is not seen");
    assert_eq!(history.seen_in(BranchId::new(2)), None, "its branch has ended");
}

#[test]
fn what_cannot_have_happened_is_said() {
    let (world, run) = told();
    let definition = Arc::new(compile(&document()).unwrap().0);
    let events = events(&world, run);
    let mut history = History::of(run, definition);
    let (second, time) = &events[1];
    assert!(history.learn(second, *time).unwrap_err().contains("begins with its start"));
    for (event, time) in &events {
        history.learn(event, *time).unwrap();
    }
    let (first, time) = &events[0];
    assert!(history.learn(first, *time).unwrap_err().contains("has ended"));
}
