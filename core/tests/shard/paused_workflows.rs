//! Workflows that nothing starts.

use headwater_core::run::RunStatus;
use headwater_core::shard::{Command, Effect, Rejection};
use headwater_core::workflow::{PauseStarts, WorkflowCommand, WorkflowRejection};
use serde_json::json;

use crate::operations::status;
use crate::parts::is_the_same_from_checkpoints;
use crate::world::{World, key};

fn pause(world: &mut World, workflow: &str, pauses: bool) -> Result<bool, Rejection> {
    let wish = PauseStarts { reason: Some("the vault is shut".to_owned()) };
    let command = if pauses { WorkflowCommand::PauseStarts(wish) } else { WorkflowCommand::ResumeStarts(wish) };
    let decided = world.decide(Command::Workflow { key: key(workflow), command });
    world.deliver_submissions();
    decided.map(|decided| decided.commit.is_some())
}

#[test]
fn a_paused_workflow_says_so_to_every_process_and_the_same_again_changes_nothing() {
    let mut world = World::new();
    let unknown = Err(Rejection::Workflow(WorkflowRejection::WorkflowNotFound));
    assert_eq!(pause(&mut world, "w", true), unknown);
    world.apply(&json!({"slug": "w", "steps": [{"id": "a", "jobSlug": "work"}]}));
    assert_eq!(pause(&mut world, "w", false), Ok(false));
    world.effects.clear();
    assert_eq!(pause(&mut world, "w", true), Ok(true));
    assert_eq!(pause(&mut world, "w", true), Ok(false));
    let told = |world: &World| {
        let published = world.effects.iter().filter_map(|effect| match effect {
            Effect::PublishDefinition { paused, starts, .. } => Some((*starts, *paused)),
            _ => None,
        });
        published.collect::<Vec<_>>()
    };
    assert_eq!(told(&world), [(true, true)]);
    // What is applied meanwhile does not start it either.
    world.effects.clear();
    world.apply(&json!({"slug": "w", "steps": [{"id": "b", "jobSlug": "work"}]}));
    assert_eq!(told(&world), [(true, true)]);
    world.effects.clear();
    assert_eq!(pause(&mut world, "w", false), Ok(true));
    assert_eq!(told(&world), [(true, false)]);
    let run = world.start("w", json!({}));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn a_call_of_a_paused_workflow_fails_and_one_that_is_resumed_is_called() {
    let mut world = World::new();
    world.apply(&json!({"slug": "child", "steps": [{"id": "a", "action": {"kind": "noop"}}]}));
    let call = json!({"id": "c", "action": {"kind": "workflow_call", "workflow": "child"},
        "retry": {"maxAttempts": 2, "backoff": "fixed", "delay": "10s", "jitter": "none"}});
    world.apply(&json!({"slug": "w", "steps": [call]}));
    assert_eq!(pause(&mut world, "child", true), Ok(true));
    let run = world.start("w", json!({}));
    crate::calls::deliver(&mut world);
    assert!(world.timeline(run).contains("failed(workflow_paused)"), "{}", world.timeline(run));
    assert_eq!(pause(&mut world, "child", false), Ok(true));
    world.pass(11);
    world.fire_timers();
    crate::calls::deliver(&mut world);
    assert_eq!(status(&world, run), RunStatus::Succeeded, "{}", world.timeline(run));
}

#[test]
fn nobody_waits_for_an_asset_that_a_paused_workflow_would_make() {
    let mut world = World::new();
    let make = json!({"slug": "make", "steps": [{"id": "m", "jobSlug": "work", "produces": [{"assetId": "raw"}]}]});
    world.apply(&make);
    world.apply(&json!({"slug": "w", "steps": [{"id": "use", "jobSlug": "work", "consumes": [{"assetId": "raw"}]}]}));
    assert_eq!(pause(&mut world, "make", true), Ok(true));
    let run = world.start("w", json!({}));
    crate::laws::exchange(&mut world);
    assert_eq!(status(&world, run), RunStatus::Failed);
    assert!(world.timeline(run).contains("workflow_paused"), "{}", world.timeline(run));
    assert_eq!(pause(&mut world, "make", false), Ok(true));
    let run = world.start("w", json!({}));
    crate::laws::exchange(&mut world);
    assert_eq!(status(&world, run), RunStatus::Running);
    assert_eq!(world.tasks().len(), 1, "it is made");
}
