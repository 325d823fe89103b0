//! One history with everything in it that a shard can fold.

use headwater_core::protocol::Task;
use headwater_core::run::{Budget, ProducedAsset, ReportOutcome, RunCommand, RunLimits};
use headwater_core::shard::{AggregateId, Command, Effect};
use headwater_core::workflow::{PinVersion, WorkflowCommand};
use headwater_core::{Json, Revision, RunId};
use serde_json::{Value, json};

use crate::world::{World, failed, hands, ok, shard_zero, worker};

/// So small that what many nodes do takes more than one decision.
const SMALL: Budget = Budget {
    work: 100_000,
    bytes: 10_000,
    stored: 32 << 20,
    held: usize::MAX,
    work_at_once: 10_000,
    run: RunLimits::DEFAULT,
};

fn documents() -> [Value; 9] {
    let many = |action: Value| (0..30).map(|n| json!({"id": format!("n{n:02}"), "action": action})).collect::<Vec<_>>();
    let retry = json!({"maxAttempts": 3, "backoff": "fixed", "delay": "1m"});
    let bounded = json!({"maxAttempts": 3, "backoff": "fixed", "delay": "1m", "maxDuration": "10m",
        "rules": [{"codes": ["denied"], "maxAttempts": 1}]});
    [
        json!({"slug": "make", "defaults": {"title": "T"}, "inputSchema": {"type": "object", "required": ["dir"]},
            "steps": [{"id": "build", "jobSlug": "work", "retry": retry,
                "produces": [{"assetId": "site.report", "schema": {"type": "object", "required": ["path"]}}]},
                {"id": "after", "jobSlug": "work", "dependsOn": ["build"]}]}),
        json!({"slug": "use", "steps": [{"id": "pack", "jobSlug": "work",
            "consumes": [{"assetId": "site.report", "require": "fresh", "freshness": {"maxAge": "10s"},
                "producerInput": {"dir": "/"}}],
            "produces": [{"assetId": "site.archive"}]}]}),
        json!({"slug": "patient", "steps": [{"id": "wait", "jobSlug": "work", "consumes": [
            {"assetId": "site.day", "partition": "${{ input.day }}", "onMiss": "wait"},
            {"assetId": "site.report", "onMiss": "ignore"}]}]}),
        json!({"slug": "day", "steps": [{"id": "make", "jobSlug": "work", "produces": [{"assetId": "site.day"}]}]}),
        json!({"slug": "long", "timeout": "2h", "nodes": [
            {"id": "scan", "action": {"kind": "job", "jobSlug": "work"}, "storeResultAs": "found", "timeout": "30m"},
            {"id": "nap", "action": {"kind": "sleep", "duration": "1h"}},
            {"id": "sum", "action": {"kind": "transform", "output": {"n": "${{ input.n }}"}}},
            {"id": "other", "action": {"kind": "job", "jobSlug": "work"}, "retry": bounded, "input": {"n": "${{ input.n }}"}},
            {"id": "more", "action": {"kind": "job", "jobSlug": "work"}},
            {"id": "frail", "action": {"kind": "job", "jobSlug": "work"}, "retry": {"maxAttempts": 1}},
            {"id": "mend", "action": {"kind": "sleep", "duration": "1h"}},
            {"id": "never", "action": "noop"},
            {"id": "spare", "action": {"kind": "transform", "output": "${{ input.none }}"}, "allowFailure": true},
            {"id": "join", "action": "noop", "join": "all"}],
            "transitions": [{"from": "scan", "to": "more"}, {"from": "frail", "to": "mend", "on": "failure"},
                {"from": "spare", "to": "more"},
                {"from": "scan", "to": "nap"}, {"from": "scan", "to": "sum"},
                {"from": "scan", "to": "never", "when": "input.n > 100"},
                {"from": "nap", "to": "join"}, {"from": "sum", "to": "join"}, {"from": "other", "to": "join"}]}),
        json!({"slug": "wide", "timeout": "2h", "nodes": many(json!("noop"))}),
        json!({"slug": "busy", "timeout": "2h", "nodes": many(json!({"kind": "job", "jobSlug": "busy"}))}),
        json!({"slug": "each", "nodes": [
            {"id": "mark", "action": {"kind": "transform", "output": 1}, "storeResultAs": "mark"},
            {"id": "all", "forEach": {"items": "${{ input.items }}", "as": "doc", "maxConcurrency": 3, "tolerate": 1,
                "timeout": "2h", "merge": "keyed", "body": {"steps": [
                    {"id": "one", "jobSlug": "work", "retry": {"maxAttempts": 1}, "storeResultAs": "mark", "input": "${{ doc }}"},
                    {"id": "rest", "dependsOn": ["one"], "when": "index == 1", "action": {"kind": "sleep", "duration": "1h"}}]}}},
            {"id": "turn", "jobSlug": "work"}, {"id": "out", "action": "noop"},
            {"id": "tries", "retry": {"maxAttempts": 2, "backoff": "none"}, "timeout": "1h",
                "group": {"steps": [{"id": "try", "jobSlug": "work", "retry": {"maxAttempts": 1}, "storeResultAs": "tried"}]}}],
            "finally": {"steps": [{"id": "sweep", "jobSlug": "work"}]},
            "transitions": [{"from": "mark", "to": "all"}, {"from": "turn", "to": "out"},
                {"from": "turn", "to": "turn", "maxIterations": 5}]}),
        json!({"slug": "calls", "steps": [
            {"id": "asked", "action": {"kind": "workflow_call", "workflow": "day"}, "timeout": "2h"},
            {"id": "named", "action": {"kind": "workflow_call", "workflow": "day", "version": 1}}]}),
    ]
}

fn with_asset(id: &str, partition: Option<&str>) -> ReportOutcome {
    let asset = ProducedAsset {
        asset_id: id.parse().unwrap(),
        payload: Json::from_text(r#"{ "path":"\u00fc",  "size":1.0e2 }"#.to_owned()).unwrap(),
        produced_at: None,
        partition_key: partition.map(|key| key.parse().unwrap()),
        schema: None,
        freshness: None,
    };
    ReportOutcome::Succeeded { output: Json::null(), assets: vec![asset] }
}

fn task(world: &mut World, workflow: &str, node: &str) -> Task {
    let mut tasks = world.tasks();
    let at = tasks.iter().position(|task| (task.workflow.as_str(), &*task.node.text()) == (workflow, node)).unwrap();
    let found = tasks.remove(at);
    tasks.iter().for_each(|task| world.put_back(task));
    found
}

/// Lets a commit that leaves a revision out follow: the history of that aggregate breaks the rules.
fn break_history(world: &mut World, aggregate: &AggregateId) {
    let mut hole = world.commits.iter().rfind(|commit| commit.aggregate == *aggregate).unwrap().clone();
    hole.revision = Revision::new(90);
    hole.command = world.fresh_id();
    hole.time = world.commits.last().unwrap().time;
    world.commits.push(hole);
}

/// A shard with runs in every phase, kept and forgotten commands, keys, assets, waiters and broken histories.
pub fn world() -> World {
    let mut world = World::bounded(SMALL);
    for document in documents() {
        world.apply(&document);
    }
    let mut changed = documents()[1].clone();
    changed["description"] = json!("edition 2");
    world.apply(&changed);
    // Pinned: what is current does not start.
    let pin = PinVersion { version: Some(headwater_core::DefinitionVersion::FIRST) };
    let command = Command::Workflow { key: crate::world::key("day"), command: WorkflowCommand::PinVersion(pin) };
    world.decide(command).unwrap();
    changed = documents()[3].clone();
    changed["description"] = json!("edition 2");
    world.apply(&changed);
    // Ended: with a key, without, failed, cancelled.
    let keyed = |number: u128| RunId::new(shard_zero(), headwater_core::Timestamp::from_micros(1), number << 20);
    world.try_start_keyed(keyed(1), "make", json!({"dir": "/a"})).unwrap();
    let build = task(&mut world, "make", "build");
    world.report(&build, with_asset("site.report", None)).unwrap();
    world.deliver_submissions();
    let after = task(&mut world, "make", "after");
    world.report(&after, ok(json!([1, 2.50, null]))).unwrap();
    world.start("day", json!({}));
    let make = task(&mut world, "day", "make");
    world.report(&make, with_asset("site.day", Some("monday"))).unwrap();
    world.deliver_submissions();
    let cancelled = world.start("long", json!({"n": 1}));
    let enough = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(Command::Run { run: cancelled, command: enough }).unwrap();
    world.tasks();
    // In every phase: handed over, seen to run, asleep, retrying, stored, skipped.
    world.pass(60);
    world.try_start_keyed(keyed(2), "long", json!({"n": 2})).unwrap();
    let scan = task(&mut world, "long", "scan");
    let id = world.fresh_id();
    let command = world.report_of(&scan, ok(json!({"files": "many"})));
    world.decide_as(headwater_core::shard::Submission::new(id, command), &mut hands(3)).unwrap();
    let other = task(&mut world, "long", "other");
    world.report(&other, failed("chance")).unwrap();
    let frail = task(&mut world, "long", "frail");
    world.report(&frail, failed("chance")).unwrap();
    let again = world.start("long", json!({"n": 3}));
    let scan = task(&mut world, "long", "scan");
    let command = RunCommand::StartAttempt {
        node: scan.node,
        attempt: scan.attempt,
        lease: scan.lease,
        worker: worker(),
        started_at: world.now,
    };
    world.decide(Command::Run { run: again, command }).unwrap();
    // Waiting for a producer that is in flight, and for a partition that nobody has made.
    world.start("use", json!({}));
    world.start("patient", json!({"day": "tuesday"}));
    world.start("patient", json!({"day": "monday"}));
    world.deliver_submissions();
    // Produced and not recorded yet: the submission is still to be delivered.
    world.start("day", json!({}));
    let make = task(&mut world, "day", "make");
    world.report(&make, with_asset("site.day", Some("sunday"))).unwrap();
    // With branches: ended and failed, with a state of its own and asleep, and one more to come; in the second turn of a loop.
    world.start("each", json!({"items": ["a", "b", "c", "d", "e"]}));
    world.settle();
    for (node, outcome) in
        [("try@2", failed("chance")), ("one@3", failed("chance")), ("one@4", ok(json!("x"))), ("turn@1", ok(json!(1)))]
    {
        let one = task(&mut world, "each", node);
        world.report(&one, outcome).unwrap();
        world.settle();
    }
    // Calling: whoever knows which version is asked, and a child that goes on.
    world.start("calls", json!({}));
    let is_question = |effect: &Effect| format!("{effect:?}").contains("NameCurrent");
    world.effects.retain(|effect| !is_question(effect));
    world.deliver_submissions();
    // With more to do than was done: to begin, and to withdraw.
    world.start("wide", json!({}));
    let busy = world.start("busy", json!({}));
    world.settle();
    world.start("wide", json!({}));
    let enough = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(Command::Run { run: busy, command: enough }).unwrap();
    assert_eq!(world.shard.unfinished().len(), 2);
    // Broken: a run that holds a key, and an asset.
    world.try_start_keyed(keyed(3), "long", json!({"n": 4})).unwrap();
    break_history(&mut world, &AggregateId::Run(keyed(3)));
    let archive = world.commits.iter().rfind(|c| c.aggregate.to_string().ends_with("site.archive")).unwrap();
    let archive = archive.aggregate.clone();
    break_history(&mut world, &archive);
    world
}
