//! Runs that go on as others: one ends, and its successor starts with what it carries over.

use headwater_core::credit::Hands;
use headwater_core::run::{
    Continuation, ContinuedFrom, RunCommand, RunRejection, RunStatus, SIGNALS_KEPT_MAX, StartRun, StartWishes,
};
use headwater_core::shard::{AggregateId, Command, Commit, Effect, Rejection};
use headwater_core::{CommandId, Json, Revision, RunId};
use serde_json::{Value, json};

use crate::calls::{deliver, next_submission, output, runs_of, status};
use crate::parts::is_the_same_from_checkpoints;
use crate::world::{World, key, ok, shard_zero};

/// Counts down: at each number there is one run. `more` goes into the action.
pub fn countdown(more: Value) -> Value {
    let mut action = json!({"kind": "continue_as", "input": {"n": "${{ input.n - 1 }}"}});
    action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"slug": "down",
        "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        "output": {"n": "${{ input.n }}"},
        "nodes": [{"id": "at", "action": "noop"}, {"id": "next", "action": action}, {"id": "done", "action": "noop"}],
        "transitions": [
            {"from": "at", "to": "next", "when": "input.n > 0"},
            {"from": "at", "to": "done", "when": "input.n <= 0"}]})
}

/// A checkpoint at each moment gives what the journal gives.
pub fn is_the_same(world: &World) {
    let started = |commit: &Commit| match commit.aggregate {
        AggregateId::Run(run) if commit.revision == Revision::FIRST => Some(run),
        _ => None,
    };
    let last = world.commits.iter().rev().find_map(started).expect("some run has started");
    is_the_same_from_checkpoints(world, last);
}

pub fn say(world: &mut World, run: RunId, number: u128, name: &str) -> Result<(), RunRejection> {
    let command = RunCommand::Signal {
        workspace: "default".parse().unwrap(),
        signal: CommandId::from_uuid(uuid::Uuid::from_u128(number)),
        name: name.parse().unwrap(),
        key: None,
        payload: Json::of(&json!(number as u64)),
        broadcast: false,
        update: false,
    };
    match world.decide(Command::Run { run, command }) {
        Ok(_) => Ok(()),
        Err(Rejection::Run(rejection)) => Err(rejection),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_run_ends_and_its_successor_starts_with_what_it_carries_over() {
    let mut world = World::with(&countdown(json!({})));
    let first = world.start("down", json!({"n": 2}));
    assert_eq!(
        world.timeline(first),
        "started at:ok next:try1 done:skipped next:ok next:succeeds@1 ENDING(succeeded) calls"
    );
    assert_eq!(status(&world, first), Some(RunStatus::Running), "it has ended when its successor has begun");
    deliver(&mut world);
    let runs = runs_of(&world, "down");
    assert_eq!(runs.len(), 3);
    assert_eq!(
        runs.iter().map(|run| output(&world, *run)).collect::<Vec<_>>(),
        [json!({"n": 2}), json!({"n": 1}), json!({"n": 0})]
    );
    assert!(world.timeline(first).ends_with(" calls SUCCEEDED"));
    assert_eq!(world.shard.successor_of(first), Some(runs[1]));
    assert_eq!(world.shard.successor_of(runs[2]), None);
    assert!(runs.iter().all(|run| run.shard() == first.shard()));
    is_the_same(&world);
}

#[test]
fn a_successor_says_from_which_run_it_goes_on() {
    let mut world = World::with(&countdown(json!({})));
    let first = world.start("down", json!({"n": 2}));
    let _start = next_submission(&mut world).map(|start| world.decide_as(start, &mut Hands::default()).unwrap());
    let second = runs_of(&world, "down")[1];
    let from = world.shard.run(second).unwrap().continued_from().unwrap();
    let ContinuedFrom { run, revision, how, reason: _, pieces: _ } = from;
    assert_eq!((*run, revision.get()), (first, 8));
    let Continuation::Successor { first: of, number, .. } = how else { panic!("{how:?}") };
    assert_eq!((*of, *number), (first, 1));
    deliver(&mut world);
    let third = runs_of(&world, "down")[2];
    let started = serde_json::to_value(
        &world.commits.iter().find(|c| c.aggregate.to_string().ends_with(&third.to_string())).unwrap().events[0],
    )
    .unwrap();
    assert_eq!(started["run"]["runStarted"]["continued"]["how"]["successor"], json!({"first": first, "number": 2}));
}

#[test]
fn the_successor_is_of_the_current_version_where_that_is_said() {
    let mut world = World::with(&countdown(json!({"version": "current"})));
    let start = world.start_of("down", json!({"n": 1}));
    let mut later = countdown(json!({"version": "current"}));
    later["output"] = json!({"later": true});
    assert_eq!(world.apply(&later).get(), 2);
    let first = RunId::new(shard_zero(), world.now, 7 << 12);
    world.decide(Command::Run { run: first, command: RunCommand::StartRun(start) }).unwrap();
    deliver(&mut world);
    let runs = runs_of(&world, "down");
    assert_eq!(output(&world, runs[0]), json!({"n": 1}), "{}", world.timeline(first));
    assert_eq!(output(&world, runs[1]), json!({"later": true}));
    assert!(world.timeline(first).contains("next:try1 done:skipped next:calls@2 next:ok next:succeeds@2 ENDING"));
    is_the_same(&world);
}

#[test]
fn a_run_can_go_on_as_another_workflow() {
    let mut world = World::with(&json!({"slug": "after", "steps": [{"id": "a", "action": "noop"}],
        "output": {"got": "${{ input }}"}}));
    world.apply(&json!({"slug": "before", "steps": [
        {"id": "on", "action": {"kind": "continue_as", "workflow": "after", "input": {"x": 1}}}]}));
    let first = world.start("before", json!({}));
    deliver(&mut world);
    assert_eq!(output(&world, first), Value::Null);
    assert_eq!(output(&world, runs_of(&world, "after")[0]), json!({"got": {"x": 1}}));
}

#[test]
fn what_is_active_is_withdrawn_and_what_runs_whatever_the_end_runs() {
    let mut document = countdown(json!({}));
    document["nodes"].as_array_mut().unwrap().push(json!({"id": "slow", "jobSlug": "work"}));
    document["finally"] = json!({"nodes": [{"id": "clean", "jobSlug": "work"}]});
    let mut world = World::with(&document);
    let first = world.start("down", json!({"n": 1}));
    let task = world.tasks().into_iter().find(|task| task.node.to_string().starts_with("clean")).expect("it cleans up");
    assert!(world.timeline(first).contains("ENDING(succeeded) slow:cancelled"), "{}", world.timeline(first));
    deliver(&mut world);
    assert_eq!(runs_of(&world, "down").len(), 1, "it is not over yet");
    world.report(&task, ok(json!(null))).unwrap();
    world.settle();
    deliver(&mut world);
    assert_eq!((runs_of(&world, "down").len(), status(&world, first)), (2, Some(RunStatus::Succeeded)));
    is_the_same(&world);
}

#[test]
fn signals_that_nobody_has_taken_are_handed_over_each_once_and_in_order() {
    let document = json!({"slug": "ears", "nodes": [
        {"id": "go", "action": {"kind": "wait_signal", "name": "go"}},
        {"id": "next", "action": {"kind": "continue_as"}}],
        "transitions": [{"from": "go", "to": "next"}]});
    let mut world = World::with(&document);
    let first = world.start("ears", json!({}));
    for number in 10..13 {
        say(&mut world, first, number, "other").unwrap();
    }
    say(&mut world, first, 1, "go").unwrap();
    world.settle();
    // What comes now is refused, with the name of who goes on.
    let refused = say(&mut world, first, 2, "go").unwrap_err();
    assert!(matches!(refused, RunRejection::RunClosed { successor: Some(_), .. }), "{refused}");
    deliver(&mut world);
    world.settle();
    deliver(&mut world);
    let runs = runs_of(&world, "ears");
    assert_eq!(runs.len(), 2, "{}", world.timeline(first));
    let refused = say(&mut world, first, 20, "go").unwrap_err();
    assert_eq!(refused, RunRejection::RunClosed { status: RunStatus::Succeeded, successor: Some(runs[1]) });
    let heard = world.timeline(runs[1]);
    assert_eq!(heard, "started go:try1 inherits(other) inherits(other) inherits(other)");
    is_the_same(&world);
    say(&mut world, runs[1], 21, "go").unwrap();
    world.settle();
    deliver(&mut world);
    world.settle();
    let third = *runs_of(&world, "ears").last().unwrap();
    assert_eq!(world.shard.run(third).unwrap().signals_kept(), 3);
}

/// One that waits for a signal before it goes on, and keeps others.
fn ears() -> Value {
    json!({"slug": "ears", "nodes": [
        {"id": "go", "action": {"kind": "wait_signal", "name": "go"}},
        {"id": "next", "action": {"kind": "continue_as"}}],
        "transitions": [{"from": "go", "to": "next"}]})
}

#[test]
fn what_a_run_inherits_takes_room_before_it_comes() {
    let mut world = World::with(&ears());
    let first = world.start("ears", json!({}));
    for number in 0..SIGNALS_KEPT_MAX as u128 {
        say(&mut world, first, 1_000 + number, "other").unwrap();
    }
    say(&mut world, first, 1, "go").unwrap();
    world.settle();
    let start = next_submission(&mut world).unwrap();
    world.decide_as(start, &mut Hands::default()).unwrap();
    let second = runs_of(&world, "ears")[1];
    assert_eq!(world.shard.run(second).unwrap().signals_kept(), 0);
    let full = say(&mut world, second, 5, "other").unwrap_err();
    assert!(matches!(full, RunRejection::SignalsFull { .. }), "{full}");
    // It goes on with what it waits for, and as another only when all has come.
    say(&mut world, second, 6, "go").unwrap();
    world.settle();
    assert!(world.timeline(second).ends_with("ENDING(succeeded)"), "{}", world.timeline(second));
    while runs_of(&world, "ears").len() == 2 {
        let submission = next_submission(&mut world).expect("the rest is on its way");
        world.decide_as(submission, &mut Hands::default()).unwrap();
        world.settle();
    }
    deliver(&mut world);
    let third = runs_of(&world, "ears")[2];
    assert_eq!(world.shard.run(third).unwrap().signals_kept(), SIGNALS_KEPT_MAX);
}

#[test]
fn an_update_that_nobody_has_answered_stays_behind() {
    let mut world = World::with(&ears());
    let first = world.start("ears", json!({}));
    let update = RunCommand::Signal {
        workspace: "default".parse().unwrap(),
        signal: CommandId::from_uuid(uuid::Uuid::from_u128(77)),
        name: "other".parse().unwrap(),
        key: None,
        payload: Json::null(),
        broadcast: false,
        update: true,
    };
    world.decide(Command::Run { run: first, command: update }).unwrap();
    say(&mut world, first, 1, "go").unwrap();
    world.settle();
    deliver(&mut world);
    assert_eq!(world.timeline(runs_of(&world, "ears")[1]), "started go:try1");
}

#[test]
fn a_run_in_a_sandbox_goes_on_as_no_other() {
    let mut world = World::with(&countdown(json!({})));
    let run = RunId::new(shard_zero(), world.now, 9 << 12);
    let how = Continuation::Fork { sandbox: true };
    let from = ContinuedFrom {
        run: RunId::new(shard_zero(), world.now, 8 << 12),
        revision: Revision::FIRST,
        how,
        reason: None,
        pieces: 0,
    };
    let wishes = StartWishes { continued: Some(from), ..StartWishes::default() };
    let start = StartRun { wishes: Some(Box::new(wishes)), ..world.start_of("down", json!({"n": 1})) };
    world.decide(Command::Run { run, command: RunCommand::StartRun(start) }).unwrap();
    assert!(world.timeline(run).ends_with("FAILED(sandbox)"), "{}", world.timeline(run));
}

#[test]
fn ten_thousand_go_on_from_one_without_growth() {
    let mut world = World::with(&countdown(json!({})));
    world.start("down", json!({"n": 10_000}));
    let mut most = 0;
    while let Some(submission) = next_submission(&mut world) {
        world.decide_as(submission, &mut Hands::default()).unwrap();
        most = most.max(world.shard.active_runs());
        world.effects.retain(|effect| matches!(effect, Effect::Submit(_)));
    }
    assert_eq!(runs_of(&world, "down").len(), 10_001);
    assert!(most <= 2, "{most} at once");
    let last = *runs_of(&world, "down").last().unwrap();
    assert_eq!(output(&world, last), json!({"n": 0}));
    let sizes = world.commits.iter().map(|commit| serde_json::to_vec(commit).unwrap().len());
    assert!(sizes.clone().max().unwrap() < 4_000, "{:?}", sizes.max());
    assert_eq!(world.shard.workflow(&key("down")).unwrap().current().unwrap().get(), 1);
}
