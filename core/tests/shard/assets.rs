//! Assets: versions, lineage, and consumers that wait for a producer.

use headwater_core::protocol::Task;
use headwater_core::run::{ProducedAsset, ReportOutcome};
use headwater_core::shard::{AssetKey, Effect};
use headwater_core::{Json, RunId};
use serde_json::{Value, json};

use crate::world::{World, failed, ok};

fn producer() -> Value {
    json!({"slug": "make", "defaults": {"title": "T"}, "inputSchema": {"type": "object", "required": ["dir"]},
        "steps": [{"id": "build", "jobSlug": "work", "retry": {"maxAttempts": 1},
            "produces": [{"assetId": "site.report", "schema": {"type": "object", "required": ["path"]}}]}]})
}

fn consumer(consumes: Value) -> Value {
    json!({"slug": "use", "steps": [{"id": "pack", "jobSlug": "work", "consumes": [consumes],
        "produces": [{"assetId": "site.archive"}]}]})
}

fn with_asset(id: &str, payload: Value) -> ReportOutcome {
    let asset = ProducedAsset {
        asset_id: id.parse().unwrap(),
        payload: Json::of(&payload),
        produced_at: None,
        partition_key: None,
        schema: None,
        freshness: None,
    };
    ReportOutcome::Succeeded { output: Json::null(), assets: vec![asset] }
}

fn key(id: &str) -> AssetKey {
    AssetKey { workspace: "default".parse().unwrap(), asset: id.parse().unwrap() }
}

fn produce(world: &mut World, path: &str) -> RunId {
    let run = world.start("make", json!({"dir": "/"}));
    let task = world.tasks().remove(0);
    world.report(&task, with_asset("site.report", json!({"path": path}))).unwrap();
    world.deliver_submissions();
    run
}

fn only_task(world: &mut World) -> Task {
    let mut tasks = world.tasks();
    assert_eq!(tasks.len(), 1);
    tasks.remove(0)
}

#[test]
fn a_run_succeeds_when_its_assets_are_recorded() {
    let mut world = World::with(&producer());
    let run = world.start("make", json!({"dir": "/"}));
    let task = only_task(&mut world);
    world.report(&task, with_asset("Site.Report", json!({"path": "x"}))).unwrap();
    assert_eq!(world.timeline(run), "started build:try1 build:ok");
    world.deliver_submissions();
    assert_eq!(world.timeline(run), "started build:try1 build:ok site.report@1 SUCCEEDED");
    produce(&mut world, "y");
    let versions: Vec<_> = world
        .effects
        .iter()
        .filter_map(|e| if let Effect::PublishAsset(notice) = e { Some(notice.version.get()) } else { None })
        .collect();
    assert_eq!(versions, [1, 2], "AST-1");
}

#[test]
fn a_result_that_breaks_its_contract_fails_the_attempt_and_publishes_nothing() {
    let cases = [
        (with_asset("site.report", json!({"no": "path"})), "asset_schema"),
        (with_asset("site.other", json!({"path": "x"})), "asset_undeclared"),
        (ok(json!({})), "asset_missing_output"),
    ];
    for (outcome, code) in cases {
        let mut world = World::with(&producer());
        let run = world.start("make", json!({"dir": "/"}));
        let task = only_task(&mut world);
        world.report(&task, outcome).unwrap();
        world.deliver_submissions();
        let expected = format!("started build:try1 build:failed({code}) build:dead({code}) FAILED({code})");
        assert_eq!(world.timeline(run), expected);
        assert!(!world.effects.iter().any(|e| matches!(e, Effect::PublishAsset(_))));
    }
}

#[test]
fn a_consumer_gets_the_newest_version_and_its_own_versions_name_it() {
    let mut world = World::with(&producer());
    world.apply(&consumer(json!({"assetId": "site.report"})));
    produce(&mut world, "one");
    produce(&mut world, "two");
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    let task = only_task(&mut world);
    assert_eq!(task.assets[0].payload.as_str(), r#"{"path":"two"}"#);
    world.report(&task, with_asset("site.archive", json!(1))).unwrap();
    world.deliver_submissions();
    assert_eq!(world.timeline(run), "started pack:awaits pack:gets(2) pack:try1 pack:ok site.archive@1 SUCCEEDED");
    let text = serde_json::to_string(&world.commits).unwrap();
    assert!(text.contains(r#""inputs":[{"asset":"site.report","version":2}]"#), "{text}");
}

#[test]
fn a_missing_asset_starts_its_producer_once_for_all_waiters() {
    let mut world = World::with(&producer());
    let mapping = json!({"assetId": "site.report", "producerInput": {"dir": "${{ input.dir }}"}});
    world.apply(&consumer(mapping));
    let first = world.start("use", json!({"dir": "/data"}));
    let second = world.start("use", json!({"dir": "/data"}));
    world.deliver_submissions();
    let task = only_task(&mut world);
    assert_eq!(task.workflow.as_str(), "make");
    assert_eq!(task.input.to_value(), json!({"dir": "/data", "title": "T"}));
    assert_eq!(world.shard.asset(&key("site.report")).unwrap().producer_in_flight(&None), Some(task.run), "AST-2");
    world.report(&task, with_asset("site.report", json!({"path": "made"}))).unwrap();
    world.deliver_submissions();
    assert_eq!(world.timeline(first), "started pack:awaits pack:gets(1) pack:try1");
    assert_eq!(world.timeline(second), "started pack:awaits pack:gets(1) pack:try1");
    assert_eq!(world.shard.asset(&key("site.report")).unwrap().producer_in_flight(&None), None);
}

#[test]
fn a_producer_that_fails_fails_its_waiters_with_the_cause() {
    let mut world = World::with(&producer());
    world.apply(&consumer(json!({"assetId": "site.report", "producerInput": {"dir": "/"}})));
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    let task = only_task(&mut world);
    world.report(&task, failed("disk_full")).unwrap();
    world.deliver_submissions();
    assert_eq!(world.timeline(run), "started pack:awaits pack:dead(disk_full) FAILED(disk_full)");
    let again = world.start("use", json!({}));
    world.deliver_submissions();
    assert_eq!(world.timeline(again), "started pack:awaits");
    assert_eq!(world.tasks().len(), 1, "the next consumer starts it anew");
}

#[test]
fn a_producer_whose_input_nobody_gave_is_not_started() {
    let mut world = World::with(&producer());
    world.apply(&consumer(json!({"assetId": "site.report"})));
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    let code = "producer_input_missing";
    assert_eq!(world.timeline(run), format!("started pack:awaits pack:dead({code}) FAILED({code})"));
    let text = serde_json::to_string(&world.commits).unwrap();
    assert!(text.contains("required input: dir"), "{text}");
}

#[test]
fn a_later_materialization_reuses_the_input_of_the_last_run() {
    let mut world = World::with(&producer());
    let fresh = json!({"assetId": "site.report", "require": "fresh", "freshness": {"maxAge": "10s"}});
    world.apply(&consumer(fresh));
    produce(&mut world, "old");
    world.pass(11);
    world.start("use", json!({}));
    world.deliver_submissions();
    assert_eq!(only_task(&mut world).input.to_value(), json!({"dir": "/", "title": "T"}));
}

#[test]
fn what_follows_a_miss_is_the_consumers_choice() {
    for (on_miss, expected) in [
        ("fail", "started pack:awaits pack:dead(asset_missing) FAILED(asset_missing)"),
        ("wait", "started pack:awaits"),
        ("ignore", "started pack:awaits pack:gets(none) pack:try1"),
    ] {
        let mut world = World::with(&producer());
        world.apply(&consumer(json!({"assetId": "site.report", "onMiss": on_miss})));
        let run = world.start("use", json!({}));
        world.deliver_submissions();
        assert_eq!(world.timeline(run), expected, "{on_miss}");
        if on_miss == "wait" {
            produce(&mut world, "there");
            assert_eq!(world.timeline(run), "started pack:awaits pack:gets(1) pack:try1");
        }
    }
}

#[test]
fn an_asset_nobody_produces_fails_the_consumer() {
    let mut world = World::with(&consumer(json!({"assetId": "site.nowhere"})));
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    assert_eq!(world.timeline(run), "started pack:awaits pack:dead(asset_missing) FAILED(asset_missing)");
}

#[test]
fn a_cancelled_waiter_is_forgotten() {
    let mut world = World::with(&producer());
    world.apply(&consumer(json!({"assetId": "site.report", "onMiss": "wait"})));
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    let command = headwater_core::run::RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(headwater_core::shard::Command::Run { run, command }).unwrap();
    world.deliver_submissions();
    produce(&mut world, "late");
    assert_eq!(world.timeline(run), "started pack:awaits pack:cancelled CANCELLED");
}

#[test]
fn a_version_that_no_longer_declares_an_asset_withdraws_it() {
    let mut world = World::with(&producer());
    let mut changed = producer();
    changed["steps"][0].as_object_mut().unwrap().remove("produces");
    world.apply(&changed);
    world.apply(&consumer(json!({"assetId": "site.report"})));
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    assert_eq!(world.timeline(run), "started pack:awaits pack:dead(asset_missing) FAILED(asset_missing)");
}

#[test]
fn a_version_that_comes_too_old_refuses_its_waiters_when_its_run_ends() {
    let mut world = World::with(&producer());
    let fresh = json!({"assetId": "site.report", "require": "fresh", "freshness": {"maxAge": "10s"},
        "producerInput": {"dir": "/"}});
    world.apply(&consumer(fresh));
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    let task = only_task(&mut world);
    let ReportOutcome::Succeeded { output, mut assets } = with_asset("site.report", json!({"path": "old"})) else {
        unreachable!()
    };
    assets[0].produced_at = Some("2020-01-01T00:00:00Z".parse().unwrap());
    world.report(&task, ReportOutcome::Succeeded { output, assets }).unwrap();
    world.deliver_submissions();
    let code = "asset_not_fresh";
    assert_eq!(world.timeline(run), format!("started pack:awaits pack:dead({code}) FAILED({code})"));
    assert_eq!(world.shard.asset(&key("site.report")).unwrap().producer_in_flight(&None), None);
}

#[test]
fn a_producer_is_in_flight_until_its_run_ends() {
    let mut document = producer();
    document["steps"].as_array_mut().unwrap().push(json!({"id": "after", "jobSlug": "work", "dependsOn": ["build"]}));
    let mut world = World::with(&document);
    world.apply(&consumer(json!({"assetId": "site.report", "producerInput": {"dir": "/"}})));
    world.start("use", json!({}));
    world.deliver_submissions();
    let task = only_task(&mut world);
    world.report(&task, with_asset("site.report", json!({"path": "x"}))).unwrap();
    world.deliver_submissions();
    let in_flight = |world: &World| world.shard.asset(&key("site.report")).unwrap().producer_in_flight(&None);
    assert_eq!(in_flight(&world), Some(task.run), "AST-2");
    let after = world.tasks().into_iter().find(|task| task.node.text() == "after").unwrap();
    world.report(&after, ok(json!(1))).unwrap();
    world.deliver_submissions();
    assert_eq!(in_flight(&world), None);
}

#[test]
fn a_node_that_is_refused_one_asset_waits_for_no_other() {
    let mut world = World::with(&producer());
    let document = json!({"slug": "use", "steps": [{"id": "pack", "jobSlug": "work", "consumes": [
        {"assetId": "site.report", "onMiss": "wait"}, {"assetId": "site.nowhere", "onMiss": "fail"}]}]});
    world.apply(&document);
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    assert_eq!(world.timeline(run), "started pack:awaits pack:dead(asset_missing) FAILED(asset_missing)");
    let text = serde_json::to_string(&world.commits).unwrap();
    assert!(text.contains("waiterForgotten"), "{text}");
    produce(&mut world, "late");
    let granted = world.commits.iter().filter(|c| Json::of(c).as_str().contains("consumptionGranted")).count();
    assert_eq!(granted, 0, "nobody waits");
}

#[test]
fn a_producer_that_needs_what_it_was_started_for_is_refused_instead_of_waiting_for_ever() {
    let mut document = producer();
    document["steps"][0]["dependsOn"] = json!(["before"]);
    let before = json!({"id": "before", "jobSlug": "work", "consumes": [{"assetId": "site.report"}]});
    document["steps"].as_array_mut().unwrap().push(before);
    let mut world = World::with(&document);
    world.apply(&consumer(json!({"assetId": "site.report", "producerInput": {"dir": "/"}})));
    let run = world.start("use", json!({}));
    world.deliver_submissions();
    let code = "asset_cycle";
    assert_eq!(world.timeline(run), format!("started pack:awaits pack:dead({code}) FAILED({code})"));
    assert_eq!(world.shard.active_runs(), 0);
}

#[test]
fn producers_of_two_partitions_that_need_each_other_do_not_wait_for_ever() {
    let mut world = World::with(&json!({"slug": "make", "steps": [{"id": "build", "jobSlug": "work",
        "consumes": [{"assetId": "site.day", "partition": "${{ input.needs }}",
            "producerInput": {"needs": "${{ input.makes }}", "makes": "${{ input.needs }}"}}],
        "produces": [{"assetId": "site.other"}]},
        {"id": "day", "jobSlug": "work", "dependsOn": ["build"], "produces": [{"assetId": "site.day"}]}]}));
    let run = world.start("make", json!({"makes": "a", "needs": "b"}));
    world.deliver_submissions();
    assert!(world.timeline(run).ends_with("FAILED(asset_cycle)"), "{}", world.timeline(run));
    assert_eq!(world.shard.active_runs(), 0);
}

#[test]
fn the_output_of_a_run_sees_what_all_its_nodes_consumed() {
    let mut world = World::with(&producer());
    let document = json!({"slug": "use", "steps": [{"id": "first", "action": "noop"},
        {"id": "pack", "action": "noop", "dependsOn": ["first"], "consumes": [{"assetId": "site.report"}]},
        {"id": "last", "action": "noop", "dependsOn": ["pack"]}],
        "output": {"path": "${{ assets['site.report'].payload.path }}"}});
    world.apply(&document);
    produce(&mut world, "one");
    world.start("use", json!({}));
    world.deliver_submissions();
    let text = serde_json::to_string(world.commits.last().unwrap()).unwrap();
    assert!(text.contains(r#"{"runSucceeded":{"output":{"path":"one"}}}"#), "{text}");
}

#[test]
fn a_noop_keeps_its_contract_like_a_transform() {
    let noop = |schema: Value| {
        json!({"slug": "still", "steps": [{"id": "a", "action": "noop", "input": {"n": 1},
            "produces": [{"assetId": "site.n", "schema": schema}]}]})
    };
    let mut world = World::with(&noop(json!({"required": ["n"]})));
    let run = world.start("still", json!({}));
    world.deliver_submissions();
    assert_eq!(world.timeline(run), "started a:ok site.n@1 SUCCEEDED");
    let mut world = World::with(&noop(json!({"required": ["m"]})));
    let run = world.start("still", json!({}));
    assert_eq!(world.timeline(run), "started a:dead(asset_schema) FAILED(asset_schema)");
}

#[test]
fn the_newest_version_that_is_fresh_is_taken() {
    let mut world = World::with(&producer());
    let consumes =
        json!({"assetId": "site.report", "require": "fresh", "freshness": {"maxAge": "1h"}, "onMiss": "fail"});
    world.apply(&consumer(consumes));
    produce(&mut world, "fresh");
    // Of a day ago, and recorded afterwards.
    world.start("make", json!({"dir": "/"}));
    let task = only_task(&mut world);
    let ReportOutcome::Succeeded { output, mut assets } = with_asset("site.report", json!({"path": "old"})) else {
        panic!()
    };
    assets[0].produced_at = Some(headwater_core::Timestamp::from_micros(world.now.as_micros() - 86_400_000_000));
    world.report(&task, ReportOutcome::Succeeded { output, assets }).unwrap();
    world.deliver_submissions();
    world.start("use", json!({}));
    world.deliver_submissions();
    let task = only_task(&mut world);
    assert_eq!((task.assets[0].version.get(), task.assets[0].payload.as_str()), (1, r#"{"path":"fresh"}"#));
    world.pass(2 * 60 * 60);
    let late = world.start("use", json!({}));
    world.deliver_submissions();
    assert!(world.timeline(late).ends_with("FAILED(asset_missing)"), "{}", world.timeline(late));
}
