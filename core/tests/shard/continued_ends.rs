//! Whoever called a run that goes on as another hears from the end of the chain, and can let go of it at every moment.

use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, RunStatus};
use headwater_core::shard::{Command, Submission};
use headwater_core::{Json, RunId};
use serde_json::{Value, json};

use crate::calls::{deliver, next_submission, output, runs_of, status};
use crate::continued_as::{countdown, is_the_same};
use crate::world::{World, ok};

fn caller(more: Value) -> Value {
    let mut action = json!({"kind": "workflow_call", "workflow": "down", "input": {"n": 3}});
    action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"slug": "up", "steps": [{"id": "sub", "action": action}], "output": {"sub": "${{ nodes.sub.output }}"}})
}

/// Counts down, with a job at the end.
fn slow() -> Value {
    let mut document = countdown(json!({}));
    document["nodes"][2] = json!({"id": "done", "jobSlug": "work"});
    document
}

#[test]
fn a_caller_hears_from_the_end_of_the_chain() {
    let mut world = World::with(&countdown(json!({})));
    world.apply(&caller(json!({})));
    let run = world.start("up", json!({}));
    deliver(&mut world);
    assert_eq!(runs_of(&world, "down").len(), 4);
    assert_eq!(output(&world, run), json!({"sub": {"n": 0}}));
    is_the_same(&world);
}

#[test]
fn a_caller_that_is_cancelled_lets_go_of_the_chain_at_whichever_moment() {
    for moment in 0..40 {
        let mut world = World::with(&slow());
        world.apply(&caller(json!({})));
        let run = world.start("up", json!({}));
        for _ in 0..moment {
            if !step(&mut world) {
                break;
            }
        }
        let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
        let _ended = world.decide(Command::Run { run, command: cancel });
        deliver(&mut world);
        world.settle();
        deliver(&mut world);
        assert_eq!(world.shard.active_runs(), 0, "after {moment}");
        assert_eq!(status(&world, run), Some(RunStatus::Cancelled));
        is_the_same(&world);
    }
}

/// Has the next command between aggregates arrive; says whether there was one.
fn step(world: &mut World) -> bool {
    let Some(submission) = next_submission(world) else { return false };
    let follows = match world.decide_as(submission.clone(), &mut Hands::default()) {
        Ok(decided) => decided.granted.and_then(|granted| submission.granted(&granted)),
        Err(rejection) => submission.refused(&rejection),
    };
    world.effects.splice(0..0, follows.map(|follows| headwater_core::shard::Effect::Submit(Box::new(follows))));
    true
}

#[test]
fn whatever_comes_twice_starts_one_successor() {
    let mut world = World::with(&countdown(json!({})));
    world.start("down", json!({"n": 2}));
    let mut sent: Vec<Submission> = Vec::new();
    while let Some(submission) = next_submission(&mut world) {
        sent.push(submission.clone());
        for submission in sent.clone() {
            let _late = world.decide_as(submission, &mut Hands::default());
        }
    }
    assert_eq!(runs_of(&world, "down").len(), 3);
    is_the_same(&world);
}

#[test]
fn a_run_whose_successor_cannot_start_fails() {
    let mut world = World::with(&json!({"slug": "after", "steps": [{"id": "a", "action": "noop"}],
        "inputSchema": {"type": "object", "required": ["must"]}}));
    world.apply(&json!({"slug": "before", "steps": [
        {"id": "on", "action": {"kind": "continue_as", "workflow": "after", "input": {"x": 1}}}]}));
    let first = world.start("before", json!({}));
    deliver(&mut world);
    assert!(world.timeline(first).ends_with("calls FAILED(successor_not_started)"), "{}", world.timeline(first));
    assert_eq!(world.shard.active_runs(), 0);
    is_the_same(&world);
    world.apply(&json!({"slug": "lost", "steps": [
        {"id": "on", "action": {"kind": "continue_as", "workflow": "nowhere"}}]}));
    let lost = world.start("lost", json!({}));
    deliver(&mut world);
    let told = world.timeline(lost);
    assert_eq!(
        told,
        "started on:try1 on:failed(call_unknown_workflow) on:dead(call_unknown_workflow) FAILED(call_unknown_workflow)"
    );
}

#[test]
fn an_input_that_its_own_workflow_would_not_take_fails_the_node() {
    let mut document = countdown(json!({"input": {"n": "none"}}));
    document["nodes"].as_array_mut().unwrap().push(json!({"id": "caught", "action": "noop"}));
    document["transitions"].as_array_mut().unwrap().push(json!({"from": "next", "to": "caught", "on": "failure"}));
    let mut world = World::with(&document);
    let first = world.start("down", json!({"n": 1}));
    assert_eq!(world.timeline(first), "started at:ok next:dead(input_invalid) done:skipped caught:ok SUCCEEDED");
}

#[test]
fn a_cancelled_run_starts_no_successor_and_one_that_was_called_is_cancelled() {
    let mut document = slow();
    document["finally"] = json!({"nodes": [{"id": "clean", "jobSlug": "work"}]});
    let mut world = World::with(&document);
    let first = world.start("down", json!({"n": 1}));
    let cancel = |world: &mut World, run: RunId| {
        let command = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
        world.decide(Command::Run { run, command }).map(drop)
    };
    cancel(&mut world, first).unwrap();
    let task = world.tasks().into_iter().find(|task| task.node.to_string().starts_with("clean")).unwrap();
    world.report(&task, ok(json!(null))).unwrap();
    world.settle();
    assert_eq!(status(&world, first), Some(RunStatus::Cancelled), "{}", world.timeline(first));
    deliver(&mut world);
    assert_eq!(runs_of(&world, "down").len(), 1);
    // The other is called already.
    let mut world = World::with(&slow());
    let first = world.start("down", json!({"n": 1}));
    cancel(&mut world, first).unwrap();
    cancel(&mut world, first).unwrap();
    deliver(&mut world);
    let second = runs_of(&world, "down")[1];
    assert_eq!(status(&world, first), Some(RunStatus::Succeeded));
    assert_eq!(status(&world, second), Some(RunStatus::Cancelled));
    is_the_same(&world);
}

#[test]
fn a_caller_learns_which_versions_the_whole_chain_recorded() {
    let mut document = countdown(json!({}));
    document["nodes"][0] =
        json!({"id": "at", "jobSlug": "work", "produces": [{"assetId": "a.first", "optional": true}]});
    let mut world = World::with(&document);
    let mut calls = caller(json!({"input": {"n": 2}}));
    calls["steps"][0]["produces"] = json!([{"assetId": "a.first"}]);
    world.apply(&calls);
    let run = world.start("up", json!({}));
    deliver(&mut world);
    for number in 0..3 {
        let task = world.tasks().remove(0);
        let made = headwater_core::run::ReportOutcome::Succeeded {
            output: Json::null(),
            assets: if number == 0 {
                serde_json::from_value(json!([{"assetId": "a.first", "payload": 1}])).unwrap()
            } else {
                Vec::new()
            },
        };
        world.report(&task, made).unwrap();
        world.settle();
        deliver(&mut world);
        world.settle();
        deliver(&mut world);
    }
    assert_eq!(status(&world, run), Some(RunStatus::Succeeded), "{}", world.timeline(run));
    assert!(world.timeline(run).contains("a.first@1"), "{}", world.timeline(run));
    is_the_same(&world);
}
