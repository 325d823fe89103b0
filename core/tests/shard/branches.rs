//! What names a branch that is not there names nothing: in commands, in events and in checkpoints.

use std::path::PathBuf;

use headwater_core::expr::ConsumedAsset;
use headwater_core::run::{Grant, ReportOutcome, RunCommand, RunEvent, RunRejection};
use headwater_core::shard::{Command, Event, Rejection};
use headwater_core::{AssetId, Attempt, Json, LeaseToken, NodeAddress, RunFailure, RunId, SessionId, Version};
use serde_json::{Value, json};

use crate::world::{World, empty, failed, ok, worker};

/// A run in which `build` is at an attempt, `pack` waits for an asset, and what `make` produced is not recorded.
fn open_run() -> (World, RunId) {
    let mut world = World::with(&json!({"slug": "open", "timeout": "1h", "nodes": [
        {"id": "build", "action": {"kind": "job", "jobSlug": "work"}},
        {"id": "pack", "action": "noop", "consumes": [{"assetId": "site.report", "onMiss": "wait"}]},
        {"id": "make", "action": {"kind": "transform", "output": 1}, "produces": [{"assetId": "site.made"}]}]}));
    let run = world.start("open", json!({}));
    (world, run)
}

fn asset(id: &str) -> AssetId {
    id.parse().unwrap()
}

/// Where among [`commands`] one grants the attempt.
const GRANT: usize = 2;

/// Every command that is about a node, of [`open_run`] where `branch` is empty, else of that branch.
fn commands(world: &mut World, branch: &str) -> Vec<RunCommand> {
    let task = world.tasks().remove(0);
    world.put_back(&task);
    let at = |node: &str| -> NodeAddress { format!("{node}{branch}").parse().unwrap() };
    let (attempt, lease, build, pack, make) = (task.attempt, task.lease, at("build"), at("pack"), at("make"));
    let report = |outcome: ReportOutcome| {
        let Command::Run { command: RunCommand::ReportAttempt(mut report), .. } = world.report_of(&task, outcome)
        else {
            panic!("it is a report")
        };
        report.node = build.clone();
        RunCommand::ReportAttempt(report)
    };
    let session = SessionId::from_bits(9);
    let grant = Grant { node: build.clone(), attempt, worker: worker(), session };
    let chosen =
        ConsumedAsset { asset: asset("site.report"), partition: None, version: Version::new(1), payload: Json::null() };
    let commands = vec![
        report(ok(json!(1))),
        report(failed("boom")),
        RunCommand::GrantAttempts { grants: vec![grant] },
        RunCommand::StartAttempt { node: build.clone(), attempt, lease, worker: worker(), started_at: world.now },
        RunCommand::LoseAttempt { node: build.clone(), attempt, lease },
        RunCommand::ResolveAsset { node: pack.clone(), asset: asset("site.report"), chosen: Some(chosen) },
        RunCommand::RefuseAsset { node: pack, asset: asset("site.report"), failure: RunFailure::new("no", "none") },
        RunCommand::AcknowledgeAsset {
            node: make,
            asset: asset("site.made"),
            partition: None,
            version: Version::new(1),
        },
        RunCommand::ReturnAttempt { node: build, attempt, lease },
    ];
    assert!(matches!(commands[GRANT], RunCommand::GrantAttempts { .. }));
    commands
}

#[test]
fn a_command_about_another_branch_is_about_no_node_of_the_run() {
    let (mut world, run) = open_run();
    let before = world.shard.run(run).unwrap().clone();
    let elsewhere = commands(&mut world, "@17");
    for command in elsewhere {
        let named = format!("{command:?}");
        let decided = world.decide(Command::Run { run, command: command.clone() });
        match command {
            RunCommand::ReportAttempt(_)
            | RunCommand::ReturnAttempt { .. }
            | RunCommand::StartAttempt { .. }
            | RunCommand::LoseAttempt { .. } => {
                let refused = decided.expect_err(&named);
                assert!(matches!(refused, Rejection::Run(RunRejection::StaleAttempt)), "{refused}: {named}");
            }
            RunCommand::GrantAttempts { .. }
            | RunCommand::ResolveAsset { .. }
            | RunCommand::RefuseAsset { .. }
            | RunCommand::AcknowledgeAsset { .. }
            | RunCommand::AnswerCall { .. }
            | RunCommand::CallBack { .. }
            | RunCommand::InheritSignal(_)
            | RunCommand::HearSuccessor { .. }
            | RunCommand::AnswerMemo { .. }
            | RunCommand::WithdrawRun { .. }
            | RunCommand::StartRun(_)
            | RunCommand::Signal { .. }
            | RunCommand::Operate { .. }
            | RunCommand::MigrateRun(_)
            | RunCommand::AnswerPerson { .. }
            | RunCommand::Recall { .. }
            | RunCommand::ReassignPerson { .. }
            | RunCommand::CancelRun { .. }
            | RunCommand::CancelRunKeeping { .. }
            | RunCommand::FireTimers {}
            | RunCommand::Continue {} => {
                let decided = decided.expect(&named);
                assert!(decided.commit.is_none() && decided.effects.is_empty(), "{named}");
            }
        }
        assert!(*world.shard.run(run).unwrap() == before, "{named}");
    }
    // The same of the run itself changes it.
    for position in 0..commands(&mut world, "").len() {
        let (mut world, run) = open_run();
        let mut command = commands(&mut world, "").remove(position);
        if let RunCommand::ReturnAttempt { node, lease, .. } = &mut command {
            // Only who was given an attempt returns it.
            let grant = commands(&mut world, "").remove(GRANT);
            world.decide(Command::Run { run, command: grant }).unwrap();
            *lease = world.shard.run(run).unwrap().current_lease(node).unwrap().1;
        }
        let before = world.shard.run(run).unwrap().clone();
        let named = format!("{command:?}");
        assert!(world.decide(Command::Run { run, command }).unwrap().commit.is_some(), "{named}");
        assert!(world.shard.run(run) != Some(&before), "{named}");
    }
}

/// Every event that was ever written about a node, as the golden files have it.
fn golden_events() -> Vec<RunEvent> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let texts = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let events = texts.map(|text| serde_json::from_str::<Event>(&text).unwrap());
    let of_run = events.filter_map(|event| if let Event::Run(event) = event { Some(event) } else { None });
    of_run.filter(|event| event.node().is_some()).collect()
}

/// The event, of a node of another address.
fn moved(event: &RunEvent, to: &str) -> RunEvent {
    let Event::Run(moved) = ({
        let mut value = serde_json::to_value(Event::Run(event.clone())).unwrap();
        let own = event.node().unwrap().to_string();
        rename(&mut value, &own, to);
        serde_json::from_value(value).unwrap()
    }) else {
        panic!("it is an event of a run")
    };
    assert_eq!(moved.node().unwrap().to_string(), to);
    moved
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(entries) => {
            for (key, entry) in entries {
                if key == "node" && *entry == from {
                    *entry = json!(to);
                } else {
                    rename(entry, from, to);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn an_event_of_another_branch_quarantines_the_run_as_one_of_an_unknown_node_does() {
    let (world, run) = open_run();
    let events = golden_events();
    assert!(events.len() >= 13, "{}", events.len());
    for event in events {
        for nowhere in ["build@17", "build@4294967295", "nowhere", "nowhere@17"] {
            let mut told = world.commits.last().unwrap().clone();
            told.revision = world.shard.run(run).unwrap().revision().next();
            told.events = vec![Event::Run(moved(&event, nowhere))];
            let mut shard = empty();
            for bundle in world.bundles(1) {
                assert_eq!(shard.fold(&bundle, None), []);
            }
            let mut bundle = world.bundles(usize::MAX).remove(0);
            bundle.commits = vec![told];
            let corrupt = shard.fold(&bundle, None);
            assert_eq!(corrupt.len(), 1, "{event:?}");
            let expected = format!("names a node that the definition does not have: {nowhere}");
            assert!(corrupt[0].reason.contains(&expected), "{} is not {expected}", corrupt[0].reason);
            assert!(shard.run(run).is_none());
        }
    }
}

#[test]
fn what_is_asked_of_another_branch_has_no_answer() {
    let (mut world, run) = open_run();
    let task = world.tasks().remove(0);
    let elsewhere: NodeAddress = "build@17".parse().unwrap();
    let seen = |world: &World, node: &NodeAddress| {
        let run = world.shard.run(run).unwrap();
        let lease: Option<(Attempt, LeaseToken)> = run.current_lease(node);
        (run.node_status(node), lease, run.queue_of(node).cloned(), headwater_core::run::task_of(run, node))
    };
    let (status, lease, queue, own) = seen(&world, &task.node);
    assert!(status.is_some() && lease == Some((task.attempt, task.lease)) && queue.is_some() && own.is_some());
    assert_eq!(seen(&world, &elsewhere), (None, None, None, None));
}
