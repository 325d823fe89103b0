//! Results that were made with assets: a memo hears of them once these are recorded, and whoever reuses one has their versions.

use headwater_core::memo::{KEPT_BYTES_MAX, MemoEvent};
use headwater_core::run::{Budget, ReportOutcome, RunCommand, RunLimits, read_assets};
use headwater_core::shard::{AssetKey, Command, Effect, Event};
use headwater_core::{Json, RunId};
use serde_json::{Value, json};

use crate::checkpoints;
use crate::reuse::{exchange, output, start};
use crate::world::{World, empty, failed};

fn producing(reuse: Value) -> Value {
    let produces = json!([{"assetId": "site.map"}, {"assetId": "site.log", "optional": true}]);
    json!({"slug": "w", "steps": [{"id": "a", "jobSlug": "work", "input": "${{ input.n }}", "reuse": reuse,
        "retry": {"maxAttempts": 1}, "produces": produces}]})
}

/// Ends the only task there is with these assets; what is to be recorded is on its way.
fn produce(world: &mut World, assets: &[&str]) {
    let tasks = world.tasks();
    assert_eq!(tasks.len(), 1, "one flies at a time");
    let assets: Vec<Value> = assets.iter().map(|asset| json!({"assetId": asset, "payload": {"of": asset}})).collect();
    let assets = read_assets(&Value::Array(assets).to_string(), "/assets").unwrap();
    world.report(&tasks[0], ReportOutcome::Succeeded { output: Json::of(&"map"), assets }).unwrap();
}

/// Takes what is on its way to assets out.
fn hold_back(world: &mut World) -> Vec<Effect> {
    let is_record = |effect: &Effect| match effect {
        Effect::Submit(submission) => matches!(submission.command, Command::Asset { .. }),
        _ => false,
    };
    let (held, rest) = std::mem::take(&mut world.effects).into_iter().partition(is_record);
    world.effects = rest;
    held
}

/// What is folded and what is restored from a checkpoint of that are the same runs.
fn restored_alike(world: &World) {
    let mut folded = checkpoints::owner();
    checkpoints::fold(&mut folded, &checkpoints::journal(&world.commits, 1));
    let restored = checkpoints::restore(&folded.checkpoint()).unwrap();
    for run in world.shard.active() {
        assert_eq!(folded.shard().run(run.id()), Some(run));
        assert_eq!(restored.shard().run(run.id()), Some(run));
    }
}

fn folds(world: &World) {
    let mut shard = empty();
    for bundle in world.bundles(1) {
        assert_eq!(shard.fold(&bundle, None), []);
    }
}

fn cancel(world: &mut World, run: RunId) {
    let command = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
    world.decide(Command::Run { run, command }).unwrap();
}

#[test]
fn what_was_produced_with_a_result_is_the_runs_own_when_it_is_reused() {
    let mut world = World::with(&producing(json!({"key": 1})));
    let first = start(&mut world, json!(1));
    let waits = start(&mut world, json!(2));
    produce(&mut world, &["site.map", "site.log"]);
    let held = hold_back(&mut world);
    exchange(&mut world);
    assert_eq!(world.timeline(waits), "started a:asks", "nobody is told before it is recorded");
    restored_alike(&world);
    world.effects.extend(held);
    exchange(&mut world);
    let later = start(&mut world, json!(3));
    assert_eq!(world.timeline(first), "started a:asks a:flies a:try1 a:ok site.map@1 site.log@1 SUCCEEDED");
    for run in [waits, later] {
        assert_eq!(world.timeline(run), "started a:asks a:reuses(a) site.map@1 site.log@1 SUCCEEDED");
        assert_eq!(output(&world, run).as_deref(), Some(r#"{"a":"map"}"#));
    }
    let key = AssetKey { workspace: "default".parse().unwrap(), asset: "site.map".parse().unwrap() };
    assert_eq!(world.shard.asset(&key).unwrap().latest(&None).unwrap().get(), 1, "nothing is recorded again");
    // Whoever needs what this run did not make makes it anew.
    world.apply(&{
        let mut other = producing(json!({"key": 1}));
        other["steps"][0]["produces"] = json!([{"assetId": "site.map"}, {"assetId": "site.index"}]);
        other
    });
    let other = start(&mut world, json!(4));
    assert_eq!(world.timeline(other), "started a:asks a:flies a:try1");
    produce(&mut world, &["site.map", "site.index"]);
    exchange(&mut world);
    assert!(world.timeline(other).ends_with("site.map@2 site.index@1 SUCCEEDED"), "{}", world.timeline(other));
}

#[test]
fn a_result_whose_run_ends_before_it_is_recorded_is_none() {
    let mut document = producing(json!({"key": 1}));
    document["steps"].as_array_mut().unwrap().push(json!({"id": "b", "jobSlug": "other", "retry": {"maxAttempts": 1}}));
    let mut world = World::with(&document);
    let first = start(&mut world, json!(1));
    let waits = start(&mut world, json!(2));
    let fails = world.tasks().into_iter().find(|task| task.run == first && task.queue.as_str() == "other").unwrap();
    world.name_again();
    let made = world.tasks().into_iter().find(|task| task.run == first && task.queue.as_str() == "work").unwrap();
    let assets = read_assets(&json!([{"assetId": "site.map", "payload": {}}]).to_string(), "/assets").unwrap();
    world.report(&made, ReportOutcome::Succeeded { output: Json::of(&"map"), assets }).unwrap();
    let held = hold_back(&mut world);
    exchange(&mut world);
    world.report(&fails, failed("boom")).unwrap();
    exchange(&mut world);
    assert!(world.timeline(first).contains("a:leaves"), "{}", world.timeline(first));
    assert!(world.timeline(waits).contains("a:flies a:try1"), "the next makes it: {}", world.timeline(waits));
    world.effects.extend(held);
    exchange(&mut world);
    folds(&world);
}

#[test]
fn what_a_body_produced_lands_though_its_branch_has_ended() {
    let mut node = producing(json!({"key": "${{ item }}"}))["steps"][0].clone();
    node["input"] = json!("${{ item }}");
    let each = json!({"slug": "w", "steps": [{"id": "all", "forEach": {"items": "${{ input.n }}", "body": node}}]});
    let mut world = World::with(&each);
    let first = start(&mut world, json!([7]));
    produce(&mut world, &["site.map"]);
    let held = hold_back(&mut world);
    exchange(&mut world);
    assert!(world.timeline(first).contains("@1:ok"), "{}", world.timeline(first));
    restored_alike(&world);
    world.effects.extend(held);
    exchange(&mut world);
    let later = start(&mut world, json!([7]));
    assert!(world.timeline(later).contains("a@1:reuses(a@1) site.map@1"), "{}", world.timeline(later));
    assert!(world.timeline(later).ends_with("SUCCEEDED"), "{}", world.timeline(later));
}

/// Somebody needs a new version of an asset: an old one would be no answer.
#[test]
fn a_run_that_is_to_make_an_asset_anew_takes_no_version_that_there_is() {
    let mut world = World::with(&producing(json!({"key": 1})));
    start(&mut world, json!(1));
    produce(&mut world, &["site.map"]);
    exchange(&mut world);
    let freshness = json!({"maxAge": "5s"});
    let consumes =
        json!([{"assetId": "site.map", "require": "fresh", "freshness": freshness, "producerInput": {"n": 2}}]);
    world.apply(&json!({"slug": "reads", "steps": [{"id": "r", "jobSlug": "work", "consumes": consumes}]}));
    world.pass(60);
    let reads = world.start("reads", json!({}));
    exchange(&mut world);
    produce(&mut world, &["site.map"]);
    exchange(&mut world);
    assert!(world.timeline(reads).contains("r:gets(2)"), "{}", world.timeline(reads));
}

/// A run has as many results on their way to memos as it has items. Its end says so of each, in as many turns as that takes.
/// The key does not tell what a node produces, and a later version of it may produce something else.
#[test]
fn a_result_with_other_assets_than_the_node_produces_now_is_none() {
    let version = |produces: Value| {
        let mut document = producing(json!({"key": 1}));
        document["steps"][0]["produces"] = produces;
        document
    };
    let another = json!([{"assetId": "site.log", "optional": true}]);
    for produces in [another, json!([{"assetId": "site.map"}, {"assetId": "site.log"}])] {
        let mut world = World::with(&producing(json!({"key": 1})));
        start(&mut world, json!(1));
        produce(&mut world, &["site.map"]);
        exchange(&mut world);
        world.apply(&version(json!([{"assetId": "site.map"}])));
        let as_before = start(&mut world, json!(2));
        assert!(world.timeline(as_before).ends_with("SUCCEEDED"), "{}", world.timeline(as_before));
        world.apply(&version(produces));
        let other = start(&mut world, json!(3));
        assert_eq!(world.timeline(other), "started a:asks a:flies a:try1");
        folds(&world);
    }
}

#[test]
fn many_results_that_are_not_recorded_are_left_in_pieces_before_the_end() {
    const ITEMS: usize = 60;
    let small = Budget {
        work: 1_000_000,
        bytes: 16_000,
        stored: 1 << 20,
        held: usize::MAX,
        work_at_once: 100_000,
        run: RunLimits::DEFAULT,
    };
    let mut node = producing(json!({"key": "${{ item }}"}))["steps"][0].clone();
    node["input"] = json!("${{ item }}");
    let mut world = World::bounded(small);
    let late = json!({"id": "late", "action": {"kind": "sleep", "duration": "1h"}});
    world.apply(&json!({"slug": "w", "steps": [late, {"id": "all", "forEach": {"items": ITEMS, "body": node}}]}));
    let run = start(&mut world, json!(0));
    let tasks = world.tasks();
    assert_eq!(tasks.len(), ITEMS);
    for task in &tasks {
        let assets = read_assets(&json!([{"assetId": "site.map", "payload": 1}]).to_string(), "/assets").unwrap();
        world.report(task, ReportOutcome::Succeeded { output: Json::of(&1), assets }).unwrap();
        world.settle();
    }
    hold_back(&mut world);
    cancel(&mut world, run);
    assert!(!world.timeline(run).contains("CANCELLED"), "not all of it fits the decision");
    while world.settle() > 0 {}
    assert_eq!(world.timeline(run).matches(":leaves").count(), ITEMS);
    assert!(world.timeline(run).ends_with("CANCELLED"), "{}", world.timeline(run));
    let largest = world.commits.iter().map(|commit| Json::of(commit).len_bytes()).max().unwrap();
    assert!(largest < 2 * 16_000, "{largest}");
    folds(&world);
}

/// What a memo has heard of is no memory that the run takes any longer.
#[test]
fn a_result_that_has_landed_is_let_go() {
    let mut document = producing(json!({"key": 1}));
    let late = json!({"id": "late", "action": {"kind": "sleep", "duration": "1h"}});
    document["steps"].as_array_mut().unwrap().push(late);
    let mut world = World::with(&document);
    let run = start(&mut world, json!(1));
    produce(&mut world, &["site.map"]);
    let held = hold_back(&mut world);
    let has_landings = |world: &World| {
        let mut folded = checkpoints::owner();
        checkpoints::fold(&mut folded, &checkpoints::journal(&world.commits, 1));
        String::from_utf8_lossy(&folded.checkpoint()).contains("landings")
    };
    assert!(has_landings(&world));
    world.effects.extend(held);
    exchange(&mut world);
    assert!(world.timeline(run).ends_with("site.map@1") && world.shard.run(run).is_some());
    assert!(!has_landings(&world));
    restored_alike(&world);
}

/// Memos are for all workspaces: one result must not take the room of all others.
#[test]
fn a_result_with_more_assets_than_a_result_may_be_large_is_not_kept() {
    for (count, is_kept) in [(100, true), (1_000, false)] {
        let mut world = World::with(&producing(json!({"key": 1})));
        start(&mut world, json!(1));
        let task = world.tasks().remove(0);
        let partition = |n: usize| json!({"assetId": "site.map", "payload": 1, "partitionKey": format!("day-{n:05}")});
        let assets: Vec<Value> = (0..count).map(partition).collect();
        let assets = read_assets(&Value::Array(assets).to_string(), "/assets").unwrap();
        world.report(&task, ReportOutcome::Succeeded { output: Json::of(&1), assets }).unwrap();
        exchange(&mut world);
        let later = start(&mut world, json!(2));
        assert_eq!(world.timeline(later).contains("a:reuses(a)"), is_kept, "{count}");
        let kept = world.commits.iter().flat_map(|commit| &commit.events).filter_map(|event| match event {
            Event::Memo(MemoEvent::ResultKept { assets, .. }) => Some(assets.len()),
            _ => None,
        });
        assert!(kept.max().unwrap_or_default() * 256 < KEPT_BYTES_MAX / 4);
    }
}
