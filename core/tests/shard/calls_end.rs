//! How calls end before their children do, and what the next owner of a shard knows of them.

use std::time::Duration;

use headwater_core::run::{RunCommand, RunStatus};
use headwater_core::shard::{Command, Effect, Shard};
use headwater_core::workflow::WorkflowCommand;
use headwater_core::{NodeAddress, RunId};
use serde_json::{Value, json};

use crate::calls::{called, caller, child, deliver, next_submission, runs_of, status};
use crate::world::{World, empty, failed, ok};

fn cancel(world: &mut World, run: RunId) {
    let command = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
    world.decide(Command::Run { run, command }).unwrap();
}

#[test]
fn a_cancel_goes_down_to_the_last_child() {
    let mut world = World::with(&child());
    world.apply(&caller(json!({}), json!({})));
    let mut top = caller(json!({"workflow": "parent"}), json!({}));
    top["slug"] = json!("top");
    world.apply(&top);
    let run = world.start("top", json!({"n": 1}));
    deliver(&mut world);
    cancel(&mut world, run);
    deliver(&mut world);
    for workflow in ["top", "parent", "child"] {
        let [run] = runs_of(&world, workflow)[..] else { panic!("one of {workflow}") };
        assert_eq!(status(&world, run), Some(RunStatus::Cancelled), "{workflow}");
    }
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1 sub:withdraws sub:cancelled CANCELLED");
    let told = world.effects.iter().filter(|effect| matches!(effect, Effect::CancelTasks { .. })).count();
    assert_eq!(told, 3, "whoever works for one of them is told: {:?}", world.effects);
}

#[test]
fn a_child_that_somebody_cancels_fails_its_node() {
    let (mut world, run) = called(json!({}), json!({}));
    let [child] = runs_of(&world, "child")[..] else { panic!("one child") };
    cancel(&mut world, child);
    deliver(&mut world);
    assert!(
        world.timeline(run).ends_with("sub:failed(call_cancelled) sub:dead(call_cancelled) FAILED(call_cancelled)")
    );
}

#[test]
fn the_time_of_the_node_is_that_of_the_whole_child() {
    let (mut world, run) = called(json!({}), json!({"timeout": "10s", "retry": {"maxAttempts": 2, "backoff": "none"}}));
    world.pass(11);
    world.fire_timers();
    deliver(&mut world);
    let [first, second] = runs_of(&world, "child")[..] else { panic!("two children") };
    assert_eq!((status(&world, first), status(&world, second)), (Some(RunStatus::Cancelled), Some(RunStatus::Running)));
    assert!(world.timeline(run).contains("sub:withdraws sub:failed(timeout) sub:retry2 sub:try2 sub:calls@1"));
}

#[test]
fn a_node_that_fails_beside_it_has_the_child_cancelled() {
    let mut world = World::with(&child());
    let mut parent = caller(json!({}), json!({}));
    let beside = json!({"id": "beside", "jobSlug": "work", "queue": "beside", "retry": {"maxAttempts": 1}});
    parent["steps"].as_array_mut().unwrap().push(beside);
    world.apply(&parent);
    let run = world.start("parent", json!({"n": 1}));
    deliver(&mut world);
    let tasks = world.tasks();
    let beside = tasks.iter().find(|task| task.node.text() == "beside").unwrap();
    world.report(beside, failed("boom")).unwrap();
    deliver(&mut world);
    let [child] = runs_of(&world, "child")[..] else { panic!("one child") };
    assert_eq!((status(&world, run), status(&world, child)), (Some(RunStatus::Failed), Some(RunStatus::Cancelled)));
}

#[test]
fn a_parent_that_ends_before_the_version_is_named_calls_nobody() {
    let mut world = World::with(&child());
    world.apply(&caller(json!({}), json!({})));
    let run = world.start("parent", json!({"n": 1}));
    let asked = next_submission(&mut world).unwrap();
    cancel(&mut world, run);
    let granted = world.decide_as(asked.clone(), &mut Default::default()).unwrap().granted.unwrap();
    let named = asked.granted(&granted).unwrap();
    world.effects.push(Effect::Submit(Box::new(named)));
    deliver(&mut world);
    assert_eq!(runs_of(&world, "child"), []);
}

fn each() -> Value {
    json!({"slug": "parent", "steps": [{"id": "all", "forEach": {"items": 3, "join": "any", "body":
        {"id": "sub", "action": {"kind": "workflow_call", "workflow": "child", "input": {"n": "${{ index }}"}}}}}]})
}

#[test]
fn items_call_each_their_own_and_the_losers_are_cancelled() {
    let mut world = World::with(&child());
    world.apply(&each());
    let run = world.start("parent", json!({}));
    world.settle();
    deliver(&mut world);
    let children = runs_of(&world, "child");
    assert_eq!(children.len(), 3);
    let second: NodeAddress = "sub@2".parse().unwrap();
    assert!(world.shard.run(run).unwrap().node_status(&second).is_some());
    let task = world.tasks().remove(1);
    assert_eq!(task.run, children[1]);
    world.report(&task, ok(json!(1))).unwrap();
    for _ in 0..3 {
        deliver(&mut world);
        world.settle();
    }
    let ends: Vec<_> = children.iter().map(|child| status(&world, *child).unwrap()).collect();
    assert_eq!(ends, [RunStatus::Cancelled, RunStatus::Succeeded, RunStatus::Cancelled]);
    assert_eq!(status(&world, run), Some(RunStatus::Succeeded));
    assert!(world.timeline(run).contains("sub@1:withdraws sub@1:cancelled"), "{}", world.timeline(run));
}

/// Folds the journal so far into another shard.
fn taken_over(world: &World) -> Shard {
    let mut shard = empty();
    for bundle in world.bundles(2) {
        assert_eq!(shard.fold(&bundle, None), []);
    }
    shard
}

#[test]
fn the_next_owner_asks_which_version_is_called_and_starts_nothing_again() {
    let mut world = World::with(&child());
    world.apply(&caller(json!({}), json!({})));
    let run = world.start("parent", json!({"n": 1}));
    world.effects.clear();
    world.shard = taken_over(&world);
    let asked = world.shard.outstanding();
    let [Effect::Submit(question)] = &asked[..] else { panic!("one question: {asked:?}") };
    assert!(matches!(&question.command, Command::Workflow { command: WorkflowCommand::NameCurrent { .. }, .. }));
    assert_eq!(world.shard.still_outstanding(asked.clone()), asked);
    world.effects.extend(asked.clone());
    deliver(&mut world);
    assert_eq!(runs_of(&world, "child").len(), 1);
    assert_eq!(world.shard.still_outstanding(asked), [], "it is answered");
    // Its start is an effect of a commit, which is sent until it is heard.
    assert_eq!(taken_over(&world).outstanding(), []);
    world.shard = taken_over(&world);
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    deliver(&mut world);
    assert_eq!(status(&world, run), Some(RunStatus::Succeeded));
}

#[test]
fn a_fold_in_the_middle_of_a_call_is_the_state_that_decided_it() {
    let (mut world, run) = called(json!({}), json!({"timeout": "1h"}));
    let folded = taken_over(&world);
    assert!(folded.run(run) == world.shard.run(run));
    assert_eq!(folded.next_due(), Some(world.now.after(Duration::from_secs(3_600))));
    cancel(&mut world, run);
    deliver(&mut world);
    assert!(taken_over(&world).run(run).is_none());
}
