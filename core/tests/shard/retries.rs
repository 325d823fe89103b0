//! Retry rules, the bound over all tries, and what the failing side asks for.

use headwater_core::run::{ReportOutcome, RunEvent};
use headwater_core::shard::Event;
use headwater_core::{Json, RunId};
use serde_json::{Value, json};

use crate::checkpoints;
use crate::world::{World, failed};

fn world(retry: &Value) -> (World, RunId) {
    let mut world = World::with(&json!({"slug": "w", "steps": [{"id": "a", "jobSlug": "work", "retry": retry}]}));
    let run = world.start("w", json!({}));
    (world, run)
}

fn says(code: &str, details: Value, retry_after_ms: Option<u64>) -> ReportOutcome {
    let details = Some(Json::of(&details));
    ReportOutcome::Failed { code: code.into(), message: "it did".into(), permanent: false, details, retry_after_ms }
}

/// How many milliseconds after the report the next attempt begins. `None`: there is none.
fn next_in(world: &mut World, outcome: ReportOutcome) -> Option<u64> {
    let task = world.tasks().remove(0);
    world.report(&task, outcome).unwrap();
    let commit = world.commits.last().unwrap();
    commit.events.iter().find_map(|event| match event {
        Event::Run(RunEvent::RetryArmed { due_at, .. }) => Some((due_at.as_micros() - commit.time.as_micros()) / 1000),
        _ => None,
    })
}

/// The waits between tries that all fail so, by the world's clock.
fn waits(world: &mut World, outcome: &ReportOutcome) -> Vec<u64> {
    let mut waits = Vec::new();
    while let Some(wait) = next_in(world, outcome.clone()) {
        waits.push(wait);
        world.now = world.now.after(std::time::Duration::from_millis(wait));
        world.fire_timers();
    }
    waits
}

#[test]
fn the_first_rule_that_is_about_a_failure_says_how_it_is_tried_again() {
    let retry = json!({"maxAttempts": 4, "backoff": "fixed", "delay": "1s", "jitter": false, "rules": [
        {"codes": ["bad_input", "gone"], "maxAttempts": 1},
        {"when": "error.code == 'busy' && error.details.status == 429", "maxAttempts": 3, "delay": "30s"},
        {"codes": ["busy"], "backoff": "linear", "delay": "2s"},
        {"codes": ["bad_input"], "maxAttempts": 9}]});
    let cases: [(ReportOutcome, &[u64]); 5] = [
        (failed("gone"), &[]),
        (failed("bad_input"), &[]),
        (says("busy", json!({"status": 429}), None), &[30_000, 30_000]),
        (says("busy", json!({"status": 503}), None), &[2_000, 4_000, 6_000]),
        (failed("boom"), &[1_000, 1_000, 1_000]),
    ];
    for (outcome, expected) in cases {
        let (mut world, _) = world(&retry);
        assert_eq!(waits(&mut world, &outcome), expected, "{outcome:?}");
    }
}

#[test]
fn a_condition_without_a_value_is_about_no_failure() {
    let retry = json!({"maxAttempts": 2, "delay": "1s", "jitter": false, "rules": [
        {"when": "error.details.status >= 500", "delay": "9s"}, {"when": "error.message", "delay": "8s"}]});
    for outcome in [failed("boom"), says("boom", json!({"status": "high"}), None)] {
        let (mut world, _) = world(&retry);
        assert_eq!(next_in(&mut world, outcome), Some(1_000));
    }
    let (mut world, _) = world(&retry);
    assert_eq!(next_in(&mut world, says("boom", json!({"status": 500}), None)), Some(9_000));
}

#[test]
fn a_condition_that_goes_over_a_limit_fails_the_node_and_the_attempt_keeps_its_failure() {
    let heavy = "lists.range(100000).all(x, size(lists.range(100000)) > 0)";
    let (mut world, run) = world(&json!({"rules": [{"when": heavy, "maxAttempts": 2}]}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    let timeline = world.timeline(run);
    assert!(timeline.starts_with("started a:try1 a:failed(boom) a:dead("), "{timeline}");
    assert!(timeline.ends_with("_limit)"), "{timeline}");
}

#[test]
fn tries_of_all_kinds_count_together_and_those_given_back_do_not() {
    let retry = json!({"maxAttempts": 5, "delay": "0s", "rules": [{"codes": ["busy"], "maxAttempts": 2}]});
    let (mut world, run) = world(&retry);
    assert_eq!(next_in(&mut world, failed("boom")), Some(0));
    assert_eq!(next_in(&mut world, failed("busy")), None, "it was the second try of the node");
    assert!(world.timeline(run).ends_with("a:dead(busy) FAILED(busy)"));
}

#[test]
fn what_no_rule_can_change_is_looked_at_first() {
    let retry = json!({"nonRetryable": ["fatal"], "rules": [{"when": "true", "maxAttempts": 9}]});
    let (mut world, _) = world(&retry);
    assert_eq!(next_in(&mut world, failed("fatal")), None);
    let (mut world, _) = self::world(&retry);
    assert_eq!(next_in(&mut world, ReportOutcome::failed("boom", "for good", true)), None);
}

#[test]
fn nothing_is_tried_again_that_would_begin_after_the_longest_time() {
    let retry = json!({"maxAttempts": "unlimited", "backoff": "fixed", "delay": "10s", "jitter": false,
        "maxDuration": "25s"});
    let (mut world, run) = world(&retry);
    assert_eq!(waits(&mut world, &failed("boom")), [10_000, 10_000]);
    assert!(world.timeline(run).ends_with("a:dead(boom) FAILED(boom)"));
    // At its last moment it still is.
    let (mut world, _) = self::world(&retry);
    world.pass(15);
    assert_eq!(next_in(&mut world, failed("boom")), Some(10_000));
    let (mut world, _) = self::world(&retry);
    world.pass(16);
    assert_eq!(next_in(&mut world, failed("boom")), None);
}

#[test]
fn whoever_fails_can_ask_for_time_within_bounds() {
    let day = 24 * 60 * 60 * 1000;
    let retry = json!({"maxAttempts": 2, "delay": "10s", "maxDelay": "20s", "jitter": false});
    let asked = [(Some(0), 10_000), (Some(9_999), 10_000), (Some(90_000), 90_000), (Some(day + 1), day)];
    for (retry_after_ms, expected) in asked.into_iter().chain([(None, 10_000), (Some(u64::MAX), day)]) {
        let (mut world, _) = world(&retry);
        assert_eq!(next_in(&mut world, says("busy", json!({}), retry_after_ms)), Some(expected), "{retry_after_ms:?}");
    }
    let patient = json!({"maxDelay": "2d", "delay": 0});
    let (mut world, _) = world(&patient);
    assert_eq!(next_in(&mut world, says("busy", json!({}), Some(u64::MAX))), Some(2 * day));
    let bounded = json!({"maxAttempts": 2, "delay": "1s", "jitter": false, "maxDuration": "1m"});
    let (mut world, _) = self::world(&bounded);
    assert_eq!(next_in(&mut world, says("busy", json!({}), Some(60_001))), None);
}

#[test]
fn when_the_first_attempt_was_scheduled_is_in_checkpoints_where_it_counts() {
    for (retry, counts) in [(json!({"delay": "10s", "maxDuration": "25s"}), true), (json!({"delay": "10s"}), false)] {
        let (mut world, _) = world(&retry);
        let first = world.now.as_micros();
        world.pass(3);
        next_in(&mut world, failed("boom")).unwrap();
        world.pass(10);
        world.fire_timers();
        let mut owner = checkpoints::owner();
        checkpoints::fold(&mut owner, &checkpoints::journal(&world.commits, 2));
        let written = owner.checkpoint();
        let text = String::from_utf8(written.clone()).unwrap();
        assert_eq!(text.contains(&format!("\"firstScheduledAt\":{first}")), counts);
        assert_eq!(checkpoints::restore(&written).unwrap().checkpoint(), written);
    }
}
