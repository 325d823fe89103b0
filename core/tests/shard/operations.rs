//! What somebody does with a live run by hand: what he is answered wherever the run and its nodes stand, and what comes of it.

use headwater_core::run::{OPERATIONS_MAX, Operation, RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection};
use headwater_core::{Json, NodeAddress, RunId};
use serde_json::{Value, json};

use crate::for_each::output;
use crate::parts::is_the_same_from_checkpoints;
use crate::world::{World, failed, ok};

pub fn at(node: &str) -> NodeAddress {
    node.parse().unwrap()
}

pub fn pause(node: Option<&str>) -> Operation {
    Operation::Pause { node: node.map(|node| node.parse().unwrap()) }
}

pub fn resume(node: Option<&str>) -> Operation {
    Operation::Resume { node: node.map(|node| node.parse().unwrap()) }
}

pub fn complete(node: &str, output: &Value) -> Operation {
    Operation::Complete { node: at(node), output: Json::of(output), assets: Vec::new() }
}

/// Says whether anything came of it.
fn operate_as(world: &mut World, run: RunId, workspace: &str, operation: Operation) -> Result<bool, RunRejection> {
    let workspace = workspace.parse().unwrap();
    let id = world.fresh_id();
    let command = RunCommand::Operate { workspace, id, operation, reason: Some("by hand".to_owned()) };
    match world.decide(Command::Run { run, command }) {
        Ok(decided) => Ok(decided.commit.is_some()),
        Err(Rejection::Run(rejection)) => Err(rejection),
        Err(other) => panic!("{other:?}"),
    }
}

pub fn operate(world: &mut World, run: RunId, operation: Operation) -> Result<bool, RunRejection> {
    operate_as(world, run, "default", operation)
}

pub fn status(world: &World, run: RunId) -> RunStatus {
    world.shard.run(run).map_or_else(|| world.shard.ended_run(run).unwrap().status, |run| run.status())
}

pub fn run_of(document: &Value) -> (World, RunId) {
    let mut world = World::with(document);
    let run = world.start("w", json!({}));
    world.settle();
    (world, run)
}

pub fn job(id: &str, after: &[&str]) -> Value {
    json!({"id": id, "jobSlug": "work", "dependsOn": after, "retry": {"maxAttempts": 2, "backoff": "fixed", "delay": "10s", "jitter": "none"}})
}

pub fn sleep(id: &str, span: &str) -> Value {
    json!({"id": id, "action": {"kind": "sleep", "duration": span}})
}

pub fn two_jobs() -> (World, RunId) {
    run_of(&json!({"slug": "w", "steps": [job("a", &[]), job("b", &["a"])]}))
}

#[test]
fn nothing_begins_while_a_run_is_paused_and_what_runs_reports() {
    let (mut world, run) = two_jobs();
    let task = world.tasks().remove(0);
    assert_eq!(operate(&mut world, run, pause(None)), Ok(true));
    assert_eq!(status(&world, run), RunStatus::Paused);
    assert_eq!(operate(&mut world, run, pause(None)), Ok(false), "the same twice changes nothing");
    world.report(&task, ok(json!(1))).unwrap();
    world.settle();
    assert!(world.timeline(run).ends_with("PAUSED a:ok"), "{}", world.timeline(run));
    assert!(world.tasks().is_empty());
    is_the_same_from_checkpoints(&world, run);
    assert_eq!(operate(&mut world, run, resume(None)), Ok(true));
    assert_eq!(operate(&mut world, run, resume(None)), Ok(false));
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Running);
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(2))).unwrap();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Succeeded);
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn an_attempt_that_waits_for_a_worker_goes_to_none_while_its_run_is_paused() {
    let (mut world, run) = two_jobs();
    let (workspace, queue) = ("default".parse().unwrap(), "work".parse().unwrap());
    assert_eq!(world.shard.waiting_for(&workspace, &queue), 1);
    operate(&mut world, run, pause(None)).unwrap();
    assert_eq!(world.shard.waiting_for(&workspace, &queue), 0);
    assert!(world.tasks().is_empty());
    is_the_same_from_checkpoints(&world, run);
    operate(&mut world, run, resume(None)).unwrap();
    assert_eq!(world.shard.waiting_for(&workspace, &queue), 1);
    assert_eq!(world.tasks().len(), 1);
}

#[test]
fn what_fails_while_its_run_is_paused_is_tried_again_when_it_goes_on() {
    let (mut world, run) = two_jobs();
    let task = world.tasks().remove(0);
    operate(&mut world, run, pause(None)).unwrap();
    world.report(&task, failed("boom")).unwrap();
    assert_eq!(world.shard.next_due(), None, "nothing is due that would begin anything");
    world.pass(60);
    world.fire_timers();
    assert!(world.timeline(run).ends_with("a:failed(boom) a:retry2"), "{}", world.timeline(run));
    is_the_same_from_checkpoints(&world, run);
    operate(&mut world, run, resume(None)).unwrap();
    world.fire_timers();
    assert_eq!(world.tasks().len(), 1, "its time has come meanwhile");
}

#[test]
fn sleeps_that_end_meanwhile_end_when_it_goes_on_and_the_time_of_the_run_stands_still() {
    let document = json!({"slug": "w", "timeout": "100s", "steps": [sleep("nap", "10s"), sleep("long", "95s")]});
    let (mut world, run) = run_of(&document);
    world.pass(5);
    operate(&mut world, run, pause(None)).unwrap();
    world.pass(1_000);
    world.fire_timers();
    assert_eq!(world.shard.next_due(), None);
    assert!(world.timeline(run).ends_with("PAUSED"), "{}", world.timeline(run));
    is_the_same_from_checkpoints(&world, run);
    operate(&mut world, run, resume(None)).unwrap();
    world.fire_timers();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Succeeded, "{}", world.timeline(run));
    // Twice paused, both count.
    let (mut world, run) = run_of(&json!({"slug": "w", "timeout": "100s", "steps": [job("a", &[])]}));
    for _ in 0..2 {
        operate(&mut world, run, pause(None)).unwrap();
        world.pass(1_000);
        operate(&mut world, run, resume(None)).unwrap();
        world.pass(49);
        world.fire_timers();
        assert_eq!(status(&world, run), RunStatus::Running);
    }
    is_the_same_from_checkpoints(&world, run);
    world.pass(3);
    world.fire_timers();
    assert_eq!(status(&world, run), RunStatus::Failed, "{}", world.timeline(run));
}

#[test]
fn who_is_late_is_late_whether_or_not_his_run_is_paused() {
    let mut late = job("a", &[]);
    (late["timeout"], late["retry"]) = (json!("30s"), json!({"maxAttempts": 1}));
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [late]}));
    world.tasks();
    operate(&mut world, run, pause(None)).unwrap();
    world.pass(31);
    world.fire_timers();
    assert_eq!(status(&world, run), RunStatus::Failed, "{}", world.timeline(run));
}

#[test]
fn signals_that_come_meanwhile_are_taken_and_go_on_with_the_run() {
    let wait = |id: &str, after: &[&str]| json!({"id": id, "dependsOn": after, "action": {"kind": "wait_signal", "name": "go"}});
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [wait("a", &[]), wait("b", &["a"])], "output": {}}));
    operate(&mut world, run, pause(None)).unwrap();
    for number in 1..=2_u128 {
        let signal = headwater_core::CommandId::from_uuid(uuid::Uuid::from_u128(number));
        let (workspace, name) = ("default".parse().unwrap(), "go".parse().unwrap());
        let payload = Json::of(&json!(number as u64));
        let said = RunCommand::Signal { workspace, signal, name, key: None, payload, broadcast: false, update: false };
        world.decide(Command::Run { run, command: said }).unwrap();
        world.settle();
    }
    assert_eq!(output(&world, "a"), None);
    is_the_same_from_checkpoints(&world, run);
    operate(&mut world, run, resume(None)).unwrap();
    world.settle();
    assert_eq!(output(&world, "a").unwrap()["payload"], json!(1));
    assert_eq!(output(&world, "b").unwrap()["payload"], json!(2));
    assert_eq!(status(&world, run), RunStatus::Succeeded);
}

#[test]
fn a_node_is_paused_in_every_branch_and_its_neighbours_go_on() {
    let body = json!({"id": "in", "jobSlug": "work"});
    let each = json!({"id": "each", "forEach": {"items": 3, "body": body}});
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [each, job("other", &[]), job("last", &["other"])]}));
    assert_eq!(operate(&mut world, run, pause(Some("in"))), Ok(true));
    assert_eq!(operate(&mut world, run, pause(Some("last"))), Ok(true));
    assert_eq!(operate(&mut world, run, pause(Some("last"))), Ok(false));
    assert_eq!(status(&world, run), RunStatus::Running);
    let tasks = world.tasks();
    assert_eq!(tasks.iter().map(|task| task.node.to_string()).collect::<Vec<_>>(), ["other"]);
    world.report(&tasks[0], ok(json!(1))).unwrap();
    world.settle();
    assert!(world.tasks().is_empty(), "the last waits to be resumed");
    is_the_same_from_checkpoints(&world, run);
    operate(&mut world, run, resume(Some("last"))).unwrap();
    operate(&mut world, run, resume(Some("in"))).unwrap();
    world.settle();
    let tasks = world.tasks();
    assert_eq!(tasks.len(), 4, "{}", world.timeline(run));
    for task in tasks {
        world.report(&task, ok(json!(1))).unwrap();
    }
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Succeeded);
    let unknown = operate(&mut two_jobs().0, run, pause(Some("nowhere")));
    assert!(unknown.is_err());
}

#[test]
fn a_paused_run_that_is_cancelled_ends_and_runs_what_runs_whatever_the_end() {
    let sweep = json!({"steps": [{"id": "sweep", "jobSlug": "work"}]});
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [job("a", &[])], "finally": sweep}));
    operate(&mut world, run, pause(None)).unwrap();
    operate(&mut world, run, pause(Some("sweep"))).unwrap();
    let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(Command::Run { run, command: cancel }).unwrap();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Running, "it is on its way to its end");
    assert!(matches!(operate(&mut world, run, pause(None)), Err(RunRejection::RunClosed { .. })));
    let task = world.tasks().remove(0);
    assert_eq!(task.node.to_string(), "sweep@1");
    is_the_same_from_checkpoints(&world, run);
    world.report(&task, ok(json!(1))).unwrap();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Cancelled);
}

#[test]
fn a_run_that_is_terminated_ends_at_once_wherever_it_is() {
    let sweep = json!({"steps": [{"id": "sweep", "jobSlug": "work"}]});
    let document = json!({"slug": "w", "steps": [job("a", &[])], "finally": sweep});
    let (mut world, run) = run_of(&document);
    assert_eq!(operate(&mut world, run, Operation::Terminate {}), Ok(true));
    world.settle();
    assert_eq!(world.timeline(run), "started a:try1 TERMINATED ENDING(cancelled) a:cancelled CANCELLED");
    is_the_same_from_checkpoints(&world, run);
    let again = operate(&mut world, run, Operation::Terminate {});
    assert_eq!(again, Err(RunRejection::RunClosed { status: RunStatus::Cancelled, successor: None }));
    // While it runs what runs whatever the end, which it does not go on with.
    let (mut world, run) = run_of(&document);
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    world.settle();
    assert_eq!(operate(&mut world, run, Operation::Terminate {}), Ok(true));
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Succeeded, "how it ends was certain: {}", world.timeline(run));
    assert!(world.tasks().is_empty());
}

#[test]
fn a_run_that_is_terminated_undoes_nothing_more_and_what_undoes_can_be_taken_in_hand() {
    let mut first = job("a", &[]);
    first["compensate"] = json!({"action": {"kind": "job", "jobSlug": "undo"}});
    let document = json!({"slug": "w", "steps": [first, job("b", &["a"])]});
    let failing = || {
        let (mut world, run) = run_of(&document);
        let task = world.tasks().remove(0);
        world.report(&task, ok(json!(1))).unwrap();
        world.settle();
        let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
        world.decide(Command::Run { run, command: cancel }).unwrap();
        world.settle();
        let undo = world.tasks().pop().unwrap();
        assert_eq!(undo.node.node().as_str(), "a~undo", "{}", world.timeline(run));
        (world, run, undo)
    };
    let (mut world, run, _) = failing();
    assert!(matches!(operate(&mut world, run, pause(None)), Err(RunRejection::RunClosed { .. })));
    assert_eq!(operate(&mut world, run, Operation::Terminate {}), Ok(true));
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Cancelled, "{}", world.timeline(run));
    is_the_same_from_checkpoints(&world, run);

    let (mut world, run, undo) = failing();
    assert_eq!(operate(&mut world, run, complete(&undo.node.to_string(), &json!("by phone"))), Ok(true));
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Cancelled, "{}", world.timeline(run));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn what_was_undone_since_is_not_done_again_however_late_it_comes() {
    let (mut world, run) = two_jobs();
    let say = |world: &mut World, id: u128, operation: Operation| {
        let id = headwater_core::CommandId::from_uuid(uuid::Uuid::from_u128(id));
        let command = RunCommand::Operate { workspace: "default".parse().unwrap(), id, operation, reason: None };
        match world.decide(Command::Run { run, command }) {
            Ok(decided) => Ok(decided.commit.is_some()),
            Err(Rejection::Run(rejection)) => Err(rejection),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(say(&mut world, 1_000_001, pause(None)), Ok(true));
    assert_eq!(say(&mut world, 1_000_002, resume(None)), Ok(true));
    assert_eq!(say(&mut world, 1_000_001, pause(None)), Ok(false), "it was sent long ago");
    assert_eq!(status(&world, run), RunStatus::Running);
    is_the_same_from_checkpoints(&world, run);
    for number in 2..OPERATIONS_MAX as u128 / 2 {
        assert_eq!(say(&mut world, 2 * number, pause(None)), Ok(true));
        assert_eq!(say(&mut world, 2 * number + 1, resume(None)), Ok(true));
    }
    let mut last = 3_000_000;
    let mut exhausted = false;
    for _ in 0..8 {
        last += 1;
        let operation = if status(&world, run) == RunStatus::Paused { resume(None) } else { pause(None) };
        exhausted |= say(&mut world, last, operation) == Err(RunRejection::OperationsExhausted);
    }
    assert!(exhausted);
    assert_eq!(say(&mut world, 1_000_001, pause(None)), Ok(false), "what was done is known for as long as it lives");
    assert_eq!(say(&mut world, 4_000_000, Operation::Terminate {}), Ok(true));
}
