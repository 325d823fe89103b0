//! What a called run produces, for the node that promised it.

use headwater_core::run::{ReportOutcome, read_assets};
use headwater_core::{Json, RunId};
use serde_json::{Value, json};

use crate::calls::{caller, deliver, output, runs_of};
use crate::checkpoints;
use crate::world::{World, failed};

/// A workflow of two jobs: the first produces `a`, the second `b`.
fn child() -> Value {
    json!({"slug": "child", "steps": [
        {"id": "first", "jobSlug": "work", "produces": [{"assetId": "a"}], "retry": {"maxAttempts": 1}},
        {"id": "second", "jobSlug": "work", "dependsOn": ["first"], "retry": {"maxAttempts": 1},
            "produces": [{"assetId": "b", "optional": true}]}]})
}

fn called(action: Value, produces: Value) -> (World, RunId) {
    let mut world = World::with(&child());
    world.apply(&caller(action, json!({ "produces": produces })));
    let run = world.start("parent", json!({}));
    deliver(&mut world);
    (world, run)
}

/// Does the next task of the child, whose result holds these assets.
fn work(world: &mut World, assets: &[&str]) {
    let task = world.tasks().remove(0);
    let assets: Vec<Value> = assets.iter().map(|asset| json!({"assetId": asset, "payload": {"of": asset}})).collect();
    let assets = read_assets(&Value::Array(assets).to_string(), "/assets").unwrap();
    world.report(&task, ReportOutcome::Succeeded { output: Json::of(&1), assets }).unwrap();
    deliver(world);
}

#[test]
fn a_call_that_waits_for_assets_goes_on_when_they_are_recorded_and_the_child_goes_on_too() {
    let (mut world, run) = called(json!({"wait": "assets"}), json!([{"assetId": "a"}]));
    work(&mut world, &["a"]);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1 sub:ok a@1 SUCCEEDED");
    let child = runs_of(&world, "child")[0];
    let version = json!({"asset": "a", "version": 1});
    assert_eq!(output(&world, run), json!({"sub": {"runId": child, "assets": {"a": version}}}));
    assert!(world.shard.run(child).is_some(), "nobody withdraws it");
    work(&mut world, &["b"]);
    assert!(world.timeline(child).ends_with("SUCCEEDED"), "{}", world.timeline(child));
}

/// Of one record two hear: each is a command of its own.
#[test]
fn a_memo_hears_of_what_is_recorded_though_the_caller_does_too() {
    let mut child = child();
    child["steps"][0]["reuse"] = json!({"key": 1});
    let mut world = World::with(&child);
    world.apply(&caller(json!({"wait": "assets"}), json!({"produces": [{"assetId": "a"}]})));
    let run = world.start("parent", json!({}));
    deliver(&mut world);
    work(&mut world, &["a"]);
    assert!(world.timeline(run).ends_with("sub:ok a@1 SUCCEEDED"), "{}", world.timeline(run));
    let again = world.start("child", json!({}));
    deliver(&mut world);
    assert!(world.timeline(again).contains("first:reuses(first) a@1"), "{}", world.timeline(again));
}

#[test]
fn it_waits_for_all_of_them_and_fails_where_the_child_ends_without_one() {
    let both = json!([{"assetId": "a"}, {"assetId": "b"}]);
    let (mut world, run) = called(json!({"wait": "assets"}), both.clone());
    work(&mut world, &["a"]);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1");
    work(&mut world, &["b"]);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1 sub:ok a@1 b@1 SUCCEEDED");
    for action in [json!({"wait": "assets"}), json!({})] {
        let (mut world, run) = called(action, both.clone());
        work(&mut world, &["a"]);
        work(&mut world, &[]);
        let code = "asset_missing_output";
        let expected = format!("started sub:try1 sub:calls@1 sub:failed({code}) sub:dead({code}) FAILED({code})");
        assert_eq!(world.timeline(run), expected);
    }
}

#[test]
fn a_child_that_fails_first_fails_the_call_or_is_caught() {
    for (action, end) in [
        (json!({"wait": "assets"}), "sub:failed(boom) sub:dead(boom) FAILED(boom)"),
        (json!({"wait": "assets", "onFailure": "catch"}), "sub:calls@1 sub:ok SUCCEEDED"),
    ] {
        let (mut world, run) = called(action, json!([{"assetId": "a"}]));
        let task = world.tasks().remove(0);
        world.report(&task, failed("boom")).unwrap();
        deliver(&mut world);
        assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
    }
}

#[test]
fn what_is_promised_through_two_calls_is_known_to_the_first_caller() {
    let mut world = World::with(&child());
    world.apply(&caller(json!({}), json!({"produces": [{"assetId": "a"}, {"assetId": "b", "optional": true}]})));
    let outer = json!({"kind": "workflow_call", "workflow": "parent", "wait": "assets"});
    world.apply(&json!({"slug": "outer", "steps": [{"id": "up", "action": outer, "produces": [{"assetId": "a"}]}]}));
    let run = world.start("outer", json!({}));
    deliver(&mut world);
    work(&mut world, &["a"]);
    assert_eq!(
        world.timeline(run),
        "started up:try1 up:calls@1",
        "its child has not promised anything before its own call is over"
    );
    work(&mut world, &["b"]);
    assert_eq!(world.timeline(run), "started up:try1 up:calls@1 up:ok a@1 SUCCEEDED");
}

#[test]
fn whoever_folds_the_promise_keeps_it() {
    let (mut world, run) = called(json!({}), json!([{"assetId": "a"}]));
    work(&mut world, &["a"]);
    let child = runs_of(&world, "child")[0];
    let mut folded = checkpoints::owner();
    checkpoints::fold(&mut folded, &checkpoints::journal(&world.commits, 1));
    assert_eq!(folded.shard().run(child), world.shard.run(child));
    let restored = checkpoints::restore(&folded.checkpoint()).unwrap();
    assert_eq!(restored.shard().run(child), world.shard.run(child));
    work(&mut world, &["b"]);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1 sub:ok a@1 SUCCEEDED");
}
