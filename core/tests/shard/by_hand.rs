//! Nodes that somebody ends, or puts off, by hand.

use headwater_core::run::{Operation, RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection};
use serde_json::{Value, json};

use crate::for_each::output;
use crate::operations::{at, complete, job, operate, run_of, sleep, status};
use crate::parts::is_the_same_from_checkpoints;
use crate::world::{World, failed, ok};

#[test]
fn a_node_that_is_skipped_by_hand_leaves_dead_ways_and_its_worker_is_told() {
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [job("a", &[]), job("b", &["a"]), job("c", &[])]}));
    let tasks = world.tasks();
    assert_eq!(operate(&mut world, run, Operation::Skip { node: at("a") }), Ok(true));
    world.settle();
    assert!(world.timeline(run).contains("a:overruled a:skipped b:skipped"), "{}", world.timeline(run));
    assert_eq!(operate(&mut world, run, Operation::Skip { node: at("a") }), Ok(false));
    let late = world.report(&tasks[0], ok(json!(1))).unwrap_err();
    assert!(matches!(late, Rejection::Run(RunRejection::StaleAttempt)), "{late}");
    world.report(&tasks[1], ok(json!(1))).unwrap();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Succeeded);
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn a_node_that_is_completed_by_hand_has_made_what_is_said_wherever_it_stands() {
    let node = |more: Value| {
        let mut node = job("a", &[]);
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"slug": "w", "steps": [node, job("b", &["a"])]})
    };
    type Gets = fn(&mut World);
    let cases: [(&str, Value, Gets); 4] = [
        ("waiting for a worker", node(json!({})), |_| {}),
        ("held", node(json!({})), |world| drop(world.tasks())),
        ("between two attempts", node(json!({})), |world| {
            let task = world.tasks().remove(0);
            world.report(&task, failed("boom")).unwrap();
        }),
        ("waiting for an asset", node(json!({"consumes": [{"assetId": "raw", "onMiss": "wait"}]})), |_| {}),
    ];
    for (stands, document, gets) in cases {
        let (mut world, run) = run_of(&document);
        gets(&mut world);
        assert_eq!(operate(&mut world, run, complete("a", &json!({"by": "hand"}))), Ok(true), "{stands}");
        world.settle();
        assert_eq!(output(&world, "a"), Some(json!({"by": "hand"})), "{stands}");
        assert_eq!(operate(&mut world, run, complete("a", &json!({"by": "hand"}))), Ok(false), "{stands}");
        let other = operate(&mut world, run, complete("a", &json!(2)));
        assert!(matches!(other, Err(RunRejection::NodeNotActive { .. })), "{stands}: {other:?}");
        is_the_same_from_checkpoints(&world, run);
        let task = world.tasks().pop().unwrap();
        assert_eq!(task.node, at("b"), "{stands}");
        world.report(&task, ok(json!(1))).unwrap();
        world.settle();
        assert_eq!(status(&world, run), RunStatus::Succeeded, "{stands}");
    }
}

#[test]
fn nobody_completes_a_node_with_what_it_could_not_have_made() {
    let mut makes = job("a", &[]);
    makes["produces"] = json!([{"assetId": "report", "schema": {"type": "object"}}]);
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [makes]}));
    let before = world.shard.run(run).unwrap().clone();
    let missing = operate(&mut world, run, complete("a", &json!(1)));
    assert!(matches!(missing, Err(RunRejection::OutputInvalid { .. })), "{missing:?}");
    assert_eq!(world.shard.run(run), Some(&before));
}

#[test]
fn a_timer_is_due_when_somebody_says() {
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [sleep("nap", "10s"), job("a", &[])]}));
    let now = world.shard.run(run).unwrap().next_due().unwrap();
    let later = now.after(std::time::Duration::from_secs(90));
    let set = |due_at| Operation::SetTimer { node: at("nap"), due_at };
    assert_eq!(operate(&mut world, run, set(later)), Ok(true));
    assert_eq!(operate(&mut world, run, set(later)), Ok(false));
    assert_eq!(world.shard.next_due(), Some(later));
    is_the_same_from_checkpoints(&world, run);
    assert_eq!(operate(&mut world, run, set(headwater_core::Timestamp::from_micros(1))), Ok(true));
    world.fire_timers();
    assert!(world.timeline(run).ends_with("nap:ok"), "{}", world.timeline(run));
    let none = operate(&mut world, run, Operation::SetTimer { node: at("a"), due_at: later });
    assert!(matches!(none, Err(RunRejection::TimerInvalid { .. })), "{none:?}");
    let far = operate(&mut world, run, Operation::SetTimer { node: at("a"), due_at: headwater_core::Timestamp::MAX });
    assert!(matches!(far, Err(RunRejection::TimerInvalid { .. })), "{far:?}");
}

#[test]
fn what_undoes_a_node_that_was_completed_by_hand_gets_what_its_attempt_was_given() {
    let mut first = job("a", &[]);
    first["input"] = json!({"seat": "${{ 3 + 4 }}"});
    first["compensate"] = json!({"action": {"kind": "job", "jobSlug": "undo"}});
    let (mut world, run) = run_of(&json!({"slug": "w", "steps": [first, job("b", &["a"])]}));
    assert_eq!(operate(&mut world, run, complete("a", &json!("booked by phone"))), Ok(true));
    world.settle();
    let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(Command::Run { run, command: cancel }).unwrap();
    world.settle();
    let undo = world.tasks().pop().unwrap().input.to_value();
    assert_eq!((&undo["input"], &undo["output"]), (&json!({"seat": 7}), &json!("booked by phone")), "{undo}");
}
