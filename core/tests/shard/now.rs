//! What time it is where a run decides.

use headwater_core::Json;
use headwater_core::run::RunEvent;
use headwater_core::shard::Event;
use serde_json::{Value, json};

use crate::world::{World, ok};

fn outputs(world: &World) -> Vec<(String, Value, String)> {
    let events = world.commits.iter().flat_map(|commit| commit.events.iter().map(move |event| (event, commit.time)));
    let said = events.filter_map(|(event, time)| match event {
        Event::Run(RunEvent::NodeSucceeded { node, output, .. }) => {
            Some((node.to_string(), output.to_value(), time.to_string()))
        }
        Event::Run(RunEvent::RunSucceeded { output }) => Some(("run".to_owned(), output.to_value(), time.to_string())),
        _ => None,
    });
    said.collect()
}

#[test]
fn everything_that_is_evaluated_in_a_decision_sees_the_time_of_its_commit() {
    let now = json!({"kind": "transform", "output": "${{ now }}"});
    let mut world = World::with(&json!({"slug": "clock", "output": "${{ now }}",
        "nodes": [{"id": "first", "action": now}, {"id": "job", "jobSlug": "work", "input": {"at": "${{ now }}"}},
            {"id": "late", "action": now}, {"id": "early", "action": now}],
        "transitions": [{"from": "first", "to": "job"},
            {"from": "job", "to": "late", "when": "now - timestamp(run.startedAt) > duration('1m')"},
            {"from": "job", "to": "early", "when": "now - timestamp(run.startedAt) <= duration('1m')"}]}));
    let run = world.start("clock", json!({}));
    let started = world.now;
    let task = world.tasks().remove(0);
    world.pass(61);
    let ended = world.now;
    assert!(ended > started);
    world.report(&task, ok(json!(null))).unwrap();
    assert_eq!(world.timeline(run), "started first:ok job:try1 job:ok late:ok early:skipped SUCCEEDED");
    let same = |text: &str, time: &str| {
        let known = headwater_core::Timestamp::from_micros(0).to_string();
        assert_ne!(text, known);
        text.parse::<headwater_core::Timestamp>().unwrap() == time.parse().unwrap()
    };
    assert_eq!(task.input, Json::of(&json!({"at": "2025-06-15T15:06:40Z"})));
    for (node, output, time) in outputs(&world).iter().filter(|(node, ..)| node != "job") {
        assert!(same(output.as_str().unwrap(), time), "{node}: {output} at {time}");
    }
}

#[test]
fn a_sleep_may_last_until_a_time() {
    let mut world = World::with(&json!({"slug": "until", "steps": [
        {"id": "nap", "action": {"kind": "sleep", "duration": "${{ timestamp(input.until) - now }}"}}]}));
    let until = world.now.after(std::time::Duration::from_micros(90_000_001)).to_string();
    let run = world.start("until", json!({"until": until}));
    world.pass(89);
    world.fire_timers();
    assert!(!world.timeline(run).contains("nap:ok"));
    world.pass(2);
    world.fire_timers();
    assert!(world.timeline(run).contains("nap:ok"), "{}", world.timeline(run));
    let past = world.start("until", json!({"until": until}));
    assert!(world.timeline(past).contains("FAILED"), "{}", world.timeline(past));
}
