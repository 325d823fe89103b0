//! Histories that break the rules: set aside, and nothing is due of them.

use headwater_core::credit::Hands;
use headwater_core::run::{Ending, RunCommand, RunEvent, RunRejection};
use headwater_core::shard::{Command, Event, Rejection, Shard};
use headwater_core::{CommandId, Json, Revision, RunFailure, RunId};
use serde_json::json;

use crate::world::{World, chain, empty, failed, ok};

/// A shard that folded a run with a timer, and then a commit of it that leaves a revision out.
fn with_corrupt_run() -> (World, Shard, RunId) {
    let mut document = chain(&["a"]);
    document["timeout"] = json!("1h");
    let mut world = World::with(&document);
    let run = world.start("chain", json!({}));
    let mut hole = world.commits.last().unwrap().clone();
    hole.revision = Revision::new(9);
    hole.events.remove(0);
    world.commits.push(hole);
    let mut shard = empty();
    let corrupt: Vec<_> = world.bundles(1).iter().flat_map(|bundle| shard.fold(bundle, None)).collect();
    assert_eq!(corrupt.len(), 1);
    world.pass(3600);
    (world, shard, run)
}

#[test]
fn a_quarantined_run_has_nothing_due_and_asks_for_nothing() {
    let (world, shard, run) = with_corrupt_run();
    assert_eq!(shard.next_due(), None);
    assert_eq!(shard.due(world.now, usize::MAX), []);
    assert_eq!(shard.outstanding(), []);
    assert!(shard.run(run).is_none());
}

/// What no run can learn where it stands, alone or behind something that it can.
#[test]
fn what_cannot_be_is_named_and_quarantines() {
    let retry = json!({"maxAttempts": 2, "backoff": "fixed", "delay": "1s"});
    let mut document = json!({"slug": "chain", "steps": [
        {"id": "a", "jobSlug": "work", "retry": retry},
        {"id": "b", "jobSlug": "work", "dependsOn": ["a"]},
        {"id": "c", "action": {"kind": "noop"}, "dependsOn": ["a"]}]});
    document["timeout"] = json!("1h");
    let mut world = World::with(&document);
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    world.pass(2);
    world.fire_timers();
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    let before = world.commits.len();
    let learned: Vec<Event> = world.commits.iter().flat_map(|commit| commit.events.clone()).collect();
    let node = |name: &str| name.parse().unwrap();
    let (nowhere, cancelled) = (node("nowhere"), |name| RunEvent::NodeCancelled { node: node(name) });
    let succeeded = RunEvent::RunSucceeded { output: Json::null(), successor: None };
    let ending = RunEvent::RunEnding { ending: Ending::Cancelled { reason: "enough".into(), keeps: false } };
    let failed = RunEvent::RunFailed { failure: RunFailure::new("boom", "it broke") };
    let mut cases: Vec<(Vec<RunEvent>, String)> = vec![
        (vec![RunEvent::NodeSkipped { node: nowhere }], "names a node that the definition does not have".into()),
        (vec![cancelled("b@1")], "names a node that the definition does not have: b@1".into()),
        (vec![cancelled("a")], "the node a is succeeded and learns nodeCancelled".into()),
        (vec![RunEvent::NodeSkipped { node: node("b") }], "the node b is at an attempt and learns nodeSkipped".into()),
        (vec![cancelled("b"), cancelled("b")], "the node b is cancelled and learns nodeCancelled".into()),
        (vec![succeeded.clone()], "the run has active nodes and learns runSucceeded".into()),
        (vec![cancelled("b"), succeeded.clone(), failed.clone()], "the run has ended and learns runFailed".into()),
        (vec![ending.clone(), ending.clone()], "the run is ending and learns runEnding".into()),
        (vec![ending.clone(), cancelled("b"), succeeded], "the run is ending and learns runSucceeded".into()),
        (vec![ending.clone(), cancelled("b"), failed], "the run is ending and learns runFailed".into()),
    ];
    // What was learned once is not learned again: of an attempt that is over, a node that has ended.
    for event in learned {
        let Event::Run(event) = event else { continue };
        if event.node().is_some_and(|node| matches!(&*node.text(), "a" | "c")) {
            cases.push((vec![event], "succeeded and learns".into()));
        } else if event.node().is_none() {
            cases.push((vec![event], "the run has started and learns runStarted".into()));
        }
    }
    assert!(cases.len() > 14, "{}", cases.len());
    for (events, expected) in cases {
        let mut told = world.commits[before - 1].clone();
        told.revision = world.shard.run(run).unwrap().revision().next();
        told.events = events.into_iter().map(Event::Run).collect();
        let mut shard = empty();
        for bundle in world.bundles(1) {
            assert_eq!(shard.fold(&bundle, None), []);
        }
        let mut bundle = world.bundles(usize::MAX).remove(0);
        bundle.commits = vec![told];
        let corrupt = shard.fold(&bundle, None);
        assert_eq!(corrupt.len(), 1, "{expected}");
        assert!(corrupt[0].reason.contains(&expected), "{} is not {expected}", corrupt[0].reason);
        assert!(shard.run(run).is_none());
    }
}

#[test]
fn a_quarantined_run_takes_no_command() {
    let (world, mut shard, run) = with_corrupt_run();
    let id = CommandId::from_uuid(uuid::Uuid::from_u128(99));
    let command = Command::Run { run, command: RunCommand::FireTimers {} };
    let refusal = shard
        .decide(headwater_core::shard::Submission::new(id, command), world.now, &mut Hands::default())
        .unwrap_err();
    assert!(matches!(refusal, Rejection::Quarantined { .. }), "{refusal}");
}

#[test]
fn what_is_said_of_another_branch_is_not_taken_for_the_node_itself() {
    let mut world = World::with(&chain(&["a", "b"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    let mut elsewhere = task.clone();
    elsewhere.node = "a@1".parse().unwrap();
    assert_ne!(elsewhere.idempotency_key(), task.idempotency_key());
    let refused = world.report(&elsewhere, ok(json!(1))).unwrap_err();
    assert!(matches!(refused, Rejection::Run(RunRejection::StaleAttempt)), "{refused}");
    let (node, attempt, lease) = (elsewhere.node, task.attempt, task.lease);
    let lost = Command::Run { run, command: RunCommand::LoseAttempt { node, attempt, lease } };
    assert!(world.decide(lost).is_err());
    assert!(world.report(&task, ok(json!(1))).unwrap().commit.is_some());
}
