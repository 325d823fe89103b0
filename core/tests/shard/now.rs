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
        Event::Run(RunEvent::RunSucceeded { output, .. }) => {
            Some(("run".to_owned(), output.to_value(), time.to_string()))
        }
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

#[test]
fn a_node_may_wait_for_a_time_however_far_and_not_for_one_that_has_passed() {
    let mut world = World::with(&json!({"slug": "until", "steps": [
        {"id": "nap", "action": {"kind": "wait_until", "time": "${{ input.until }}"}}]}));
    let until = world.now.after(std::time::Duration::from_micros(90_000_001)).to_string();
    let run = world.start("until", json!({"until": until}));
    world.pass(90);
    world.fire_timers();
    assert!(!world.timeline(run).contains("nap:ok"), "a microsecond too early");
    world.pass(1);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started nap:try1 nap:ok SUCCEEDED");
    for past in [until.as_str(), "1969-07-20T20:17:40Z", "0001-01-01T00:00:00Z"] {
        let run = world.start("until", json!({"until": past}));
        assert_eq!(world.timeline(run), "started nap:ok SUCCEEDED", "{past}");
    }
    let far = world.now.after(std::time::Duration::from_secs(10 * 366 * 24 * 3600));
    let run = world.start("until", json!({"until": far.to_string()}));
    assert_eq!(world.timeline(run), "started nap:try1");
    let too_far = far.after(std::time::Duration::from_micros(1)).to_string();
    for odd in [
        json!(too_far),
        json!("tomorrow"),
        json!(7),
        json!(null),
        json!("9999-12-31T23:59:59Z"),
        json!("x".repeat(9000)),
    ] {
        let run = world.start("until", json!({"until": odd}));
        assert_eq!(world.timeline(run), "started nap:dead(wait_until_time) FAILED(wait_until_time)", "{odd}");
    }
    let run = world.start("until", json!({}));
    assert_eq!(world.timeline(run), "started nap:dead(wait_until_time) FAILED(wait_until_time)");
}

#[test]
fn a_time_can_be_reckoned_and_releases_before_do_not_know_it() {
    use headwater_core::definition::compile;
    let step = |action: Value| json!({"slug": "w", "steps": [{"id": "nap", "action": action}]});
    let reckoned = step(json!({"kind": "wait_until", "time": "${{ now + duration('90s') }}"}));
    assert!(compile(&reckoned).unwrap().0.has_later_words);
    assert!(compile(&step(json!({"kind": "wait_until", "time": "2030-01-01T00:00:00Z"}))).unwrap().0.has_later_words);
    assert!(!compile(&step(json!({"kind": "sleep", "duration": "90s"}))).unwrap().0.has_later_words);
    let mut world = World::with(&reckoned);
    let run = world.start("w", json!({}));
    world.pass(89);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started nap:try1");
    world.pass(1);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started nap:try1 nap:ok SUCCEEDED");
}
