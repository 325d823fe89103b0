//! Runs that are cancelled with a grace: nothing begins, and what workers hold may still report.

use headwater_core::run::{RunCommand, RunEvent, RunStatus};
use headwater_core::shard::{Command, Event};
use headwater_core::{RunId, Timestamp};
use serde_json::{Value, json};

use crate::operations::{job, operate, pause, run_of, sleep, status, two_jobs};
use crate::parts::is_the_same_from_checkpoints;
use crate::world::{World, failed, ok};

fn cancel(world: &mut World, run: RunId, grace_ms: u64) -> Result<bool, headwater_core::shard::Rejection> {
    let command = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms };
    world.decide(Command::Run { run, command }).map(|decided| decided.commit.is_some())
}

/// A run of this whose first attempt a worker holds.
fn held(document: &Value) -> (World, RunId, headwater_core::task::Task) {
    use headwater_core::run::Grant;
    let (mut world, run) = run_of(document);
    let mut task = world.tasks().remove(0);
    let (node, attempt) = (task.node.clone(), task.attempt);
    let session = headwater_core::SessionId::from_bits(1);
    let grants = vec![Grant { node: node.clone(), attempt, worker: crate::world::worker(), session }];
    world.decide(Command::Run { run, command: RunCommand::GrantAttempts { grants } }).unwrap();
    task.lease = world.shard.run(run).unwrap().current_lease(&node).unwrap().1;
    (world, run, task)
}

fn two() -> Value {
    json!({"slug": "w", "steps": [job("a", &[]), job("b", &["a"]), sleep("nap", "1h")]})
}

#[test]
fn what_a_worker_holds_may_report_within_the_grace_and_nothing_else_happens() {
    let (mut world, run, task) = held(&two());
    world.effects.clear();
    assert_eq!(cancel(&mut world, run, 30_000), Ok(true));
    world.settle();
    assert!(format!("{:?}", world.effects).contains("CancelTasks"), "its worker is told");
    assert_eq!(status(&world, run), RunStatus::Running);
    assert!(world.shard.run(run).unwrap().is_stopping());
    assert_eq!(cancel(&mut world, run, 90_000), Ok(false), "a grace does not grow");
    is_the_same_from_checkpoints(&world, run);
    world.report(&task, ok(json!(1))).unwrap();
    world.settle();
    assert!(world.timeline(run).contains("STOPPING a:ok"), "{}", world.timeline(run));
    assert!(world.timeline(run).ends_with("CANCELLED"), "{}", world.timeline(run));
    assert!(!world.timeline(run).contains("b:scheduled"), "{}", world.timeline(run));
    assert_eq!(status(&world, run), RunStatus::Cancelled);
}

#[test]
fn when_the_grace_is_over_what_is_active_is_withdrawn() {
    let (mut world, run, task) = held(&two());
    let due: Timestamp = world.now.after(std::time::Duration::from_secs(30));
    assert_eq!(cancel(&mut world, run, 30_000), Ok(true));
    assert_eq!(world.shard.run(run).unwrap().next_due(), Some(due));
    world.pass(29);
    world.fire_timers();
    assert_eq!(status(&world, run), RunStatus::Running);
    world.pass(1);
    world.fire_timers();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Cancelled);
    assert!(world.timeline(run).contains("a:cancelled"), "{}", world.timeline(run));
    assert!(world.report(&task, ok(json!(1))).is_err());
}

#[test]
fn whatever_fails_within_the_grace_the_run_was_cancelled_and_nothing_is_tried_again() {
    for attempts in [1, 2] {
        let mut node = job("a", &[]);
        node["retry"]["maxAttempts"] = json!(attempts);
        let (mut world, run, task) = held(&json!({"slug": "w", "steps": [node]}));
        assert_eq!(cancel(&mut world, run, 30_000), Ok(true));
        world.report(&task, failed("boom")).unwrap();
        world.settle();
        assert_eq!(status(&world, run), RunStatus::Cancelled, "{}", world.timeline(run));
    }
}

#[test]
fn a_run_that_nobody_works_on_and_one_that_is_cancelled_again_without_grace_end_at_once() {
    let (mut world, run) = two_jobs();
    assert_eq!(cancel(&mut world, run, 30_000), Ok(true));
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Cancelled, "no worker holds anything");
    let (mut world, run, _) = held(&two());
    operate(&mut world, run, pause(None)).unwrap();
    assert_eq!(cancel(&mut world, run, 30_000), Ok(true));
    assert_eq!(cancel(&mut world, run, 0), Ok(true));
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Cancelled);
}

#[test]
fn what_succeeds_within_the_grace_is_undone_with_the_rest_and_then_comes_what_runs_whatever_the_end() {
    let mut node = job("a", &[]);
    node["compensate"] = json!({"jobSlug": "work"});
    let document = json!({"slug": "w", "steps": [node], "finally": {"steps": [job("f", &[])]}});
    let (mut world, run, task) = held(&document);
    assert_eq!(cancel(&mut world, run, 30_000), Ok(true));
    world.report(&task, ok(json!(1))).unwrap();
    world.settle();
    for _ in 0..2 {
        let task = world.tasks().remove(0);
        world.report(&task, ok(json!(2))).unwrap();
        world.settle();
    }
    assert_eq!(status(&world, run), RunStatus::Cancelled);
    let order: Vec<_> = world
        .commits
        .iter()
        .flat_map(|commit| &commit.events)
        .filter_map(|event| match event {
            Event::Run(RunEvent::RunStopping { .. }) => Some("stopping".to_owned()),
            Event::Run(RunEvent::RunEnding { .. }) => Some("ending".to_owned()),
            Event::Run(RunEvent::NodeSucceeded { node, .. }) => Some(node.node().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(order[..3], ["stopping", "a", "ending"].map(str::to_owned));
    assert!(order.iter().any(|node| node.starts_with("a~undo")) && order.iter().any(|node| node == "f"), "{order:?}");
}
