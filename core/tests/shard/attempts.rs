//! Whose an attempt is: granted, given back, lost, and waited for.

use headwater_core::protocol::Task;
use headwater_core::run::{Grant, RunCommand, RunRejection};
use headwater_core::shard::{Command, Submission};
use headwater_core::{Attempt, LeaseToken, RunId, SessionId};
use serde_json::json;

use crate::runs::refused;
use crate::world::{World, chain, failed, hands, ok};

#[test]
fn only_the_current_lease_reports() {
    let mut world = World::with(&chain(&["a", "b"]));
    world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    let mut forged = task.clone();
    forged.lease = LeaseToken::from_bits(task.lease.bits() ^ 1);
    assert_eq!(world.report(&forged, ok(json!(1))).unwrap_err(), refused(RunRejection::StaleAttempt));
    world.report(&task, ok(json!(1))).unwrap();
    assert_eq!(world.report(&task, ok(json!(2))).unwrap_err(), refused(RunRejection::StaleAttempt));
}

#[test]
fn a_lost_attempt_counts_and_is_tried_again() {
    let mut world = World::with(&json!({"slug": "lost", "steps": [
        {"id": "a", "jobSlug": "work", "retry": {"maxAttempts": 2, "backoff": "none"}}]}));
    let run = world.start("lost", json!({}));
    let task = world.tasks().remove(0);
    let lose = RunCommand::LoseAttempt { node: task.node.clone(), attempt: task.attempt, lease: task.lease };
    world.decide(Command::Run { run, command: lose }).unwrap();
    assert_eq!(world.timeline(run), "started a:try1 a:failed(worker_lost) a:retry2 a:try2");
    assert_eq!(world.report(&task, ok(json!(1))).unwrap_err(), refused(RunRejection::StaleAttempt));
}

#[test]
fn a_worker_with_room_is_handed_what_follows() {
    let mut world = World::with(&chain(&["a", "b"]));
    let mut hands = hands(2);
    let (run, decided) = world.start_with("chain", json!({}), &mut hands);
    let [(_, task)] = &decided.tasks[..] else { panic!("handed over at once: {:?}", decided.tasks) };
    let id = world.fresh_id();
    let command = world.report_of(task, ok(json!(1)));
    let submission = Submission::new(id, command);
    let decided = world.decide_as(submission.clone(), &mut hands).unwrap();
    assert_eq!(decided.tasks.len(), 1);
    assert_eq!(hands.free(&task.workspace, &task.queue), 0);
    assert!(world.tasks().is_empty(), "nothing waits");
    assert_eq!(world.timeline(run), "started a:handed1 a:ok b:handed1");
    // SHD-3: the same report again gets the same answer, and changes nothing.
    let commits = world.commits.len();
    let again = world.decide_as(submission, &mut hands).unwrap();
    assert_eq!(again.tasks, decided.tasks);
    assert_eq!(world.commits.len(), commits);
}

/// A grant of what the run's first attempt is, for a worker of that name.
fn grant(run: RunId, attempt: u32, session: u64) -> Command {
    let worker = format!("worker-{session}").parse().unwrap();
    let session = SessionId::from_bits(session);
    let grants = vec![Grant { node: "a".parse().unwrap(), attempt: Attempt::new(attempt), worker, session }];
    Command::Run { run, command: RunCommand::GrantAttempts { grants } }
}

#[test]
fn an_attempt_is_granted_once_and_under_a_lease_of_its_own() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let before = world.tasks().remove(0);
    let granted = world.decide(grant(run, 1, 1)).unwrap();
    let [(session, task)] = &granted.tasks[..] else { panic!("one task: {granted:?}") };
    assert_eq!(session.bits(), 1);
    assert_ne!(task.lease, before.lease, "nobody can have heard of it");
    assert!(world.decide(grant(run, 1, 2)).unwrap().commit.is_none(), "it is taken");
    assert_eq!(world.shard.waiting_for(&task.workspace, &task.queue), 0);
    assert_eq!(world.report(&before, ok(json!(1))).unwrap_err(), refused(RunRejection::StaleAttempt));
    world.report(task, ok(json!(1))).unwrap();
    assert_eq!(world.timeline(run), "started a:try1 a:granted1 a:ok SUCCEEDED");
}

#[test]
fn what_is_given_back_before_it_began_does_not_count_as_a_try() {
    let mut document = chain(&["a"]);
    document["steps"][0]["retry"] = json!({"maxAttempts": 1});
    let mut world = World::with(&document);
    let run = world.start("chain", json!({}));
    let task = world.decide(grant(run, 1, 1)).unwrap().tasks.remove(0).1;
    let give_back = |task: &Task| {
        let (node, attempt, lease) = (task.node.clone(), task.attempt, task.lease);
        Command::Run { run, command: RunCommand::ReturnAttempt { node, attempt, lease } }
    };
    world.decide(give_back(&task)).unwrap();
    assert_eq!(world.decide(give_back(&task)).unwrap_err(), refused(RunRejection::StaleAttempt), "once");
    let task = world.decide(grant(run, 2, 1)).unwrap().tasks.remove(0).1;
    // Who said that it runs cannot say that it was never begun.
    let (node, attempt, lease) = (task.node.clone(), task.attempt, task.lease);
    let started_at = world.now;
    let starts = RunCommand::StartAttempt { node, attempt, lease, worker: "worker-1".parse().unwrap(), started_at };
    world.decide(Command::Run { run, command: starts }).unwrap();
    assert!(world.decide(give_back(&task)).unwrap().commit.is_none());
    // Its one try fails.
    world.report(&task, failed("boom")).unwrap();
    let told = "started a:try1 a:granted1 a:returned a:try2 a:granted2 a:runs a:failed(boom) a:dead(boom) FAILED(boom)";
    assert_eq!(world.timeline(run), told);
}

#[test]
fn a_worker_that_is_lost_after_its_grant_has_used_the_only_try() {
    let mut document = chain(&["a"]);
    document["steps"][0]["retry"] = json!({"maxAttempts": 1});
    let mut world = World::with(&document);
    let run = world.start("chain", json!({}));
    let task = world.decide(grant(run, 1, 1)).unwrap().tasks.remove(0).1;
    let lose = RunCommand::LoseAttempt { node: task.node.clone(), attempt: task.attempt, lease: task.lease };
    world.decide(Command::Run { run, command: lose }).unwrap();
    let told = "started a:try1 a:granted1 a:failed(worker_lost) a:dead(worker_lost) FAILED(worker_lost)";
    assert_eq!(world.timeline(run), told);
}

#[test]
fn what_waits_goes_with_the_end_of_its_run() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    assert_eq!(world.shard.waiting_for(&task.workspace, &task.queue), 1);
    world
        .decide(Command::Run {
            run,
            command: RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 },
        })
        .unwrap();
    assert_eq!(world.shard.waiting_for(&task.workspace, &task.queue), 0);
    assert!(world.decide(grant(run, 1, 1)).unwrap().tasks.is_empty(), "nobody gets it any more");
}

#[test]
fn runs_that_wait_take_turns() {
    let mut document = chain(&["a"]);
    let more = (0..5).map(|n| json!({"id": format!("a{n}"), "jobSlug": "work"}));
    document["steps"].as_array_mut().unwrap().extend(more);
    let mut world = World::with(&document);
    let runs: Vec<_> = (0..3).map(|_| world.start("chain", json!({}))).collect();
    let queue = ("default".parse().unwrap(), "work".parse().unwrap());
    assert_eq!(world.shard.take_stirred(), *std::slice::from_ref(&queue));
    let mut counts = std::collections::BTreeMap::new();
    let mut left = 18;
    while left > 0 {
        let turn = world.shard.next_turn(&queue, 2);
        assert_eq!(turn.iter().map(|(_, waiting)| waiting.len()).sum::<usize>(), 2.min(left));
        for (run, waiting) in turn {
            left -= waiting.len();
            *counts.entry(run).or_insert(0) += waiting.len();
            let grants = waiting.into_iter().map(|(node, attempt)| Grant {
                node,
                attempt,
                worker: "w".parse().unwrap(),
                session: SessionId::from_bits(1),
            });
            let command = RunCommand::GrantAttempts { grants: grants.collect() };
            world.decide(Command::Run { run, command }).unwrap();
            let (most, least) =
                (counts.values().max().unwrap(), runs.iter().map(|r| counts.get(r).unwrap_or(&0)).min());
            assert!(most - least.unwrap() <= 1, "no run gets two before each has one: {counts:?}");
        }
    }
    assert!(world.shard.next_turn(&queue, 2).is_empty());
}

#[test]
fn who_is_handed_what_is_over_in_the_same_moment_is_not_expected_to_speak_of_it() {
    let mut world = World::with(&json!({"slug": "hasty", "timeout": "2m", "nodes": [
        {"id": "a", "action": {"kind": "job", "jobSlug": "work"},
            "retry": {"maxAttempts": 3, "backoff": "fixed", "delay": "1m"}},
    ]}));
    let run = world.start("hasty", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("chance")).unwrap();
    world.pass(200);
    let mut hands = hands(1);
    let submission = Submission::new(world.fresh_id(), Command::Run { run, command: RunCommand::FireTimers {} });
    let decided = world.decide_as(submission, &mut hands).unwrap();
    assert!(world.timeline(run).contains("a:handed2 a:cancelled FAILED"), "{}", world.timeline(run));
    assert!(decided.tasks.is_empty(), "nobody is to begin it");
    let room = hands.room(headwater_core::SessionId::from_bits(1)).unwrap();
    assert_eq!(room.standing(false).unheard, 0, "or nothing would be lent again");
}
