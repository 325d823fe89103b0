//! Runs that go on from others: what is done again, what is not, and in what they differ.

use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::Engine;

/// Jobs that nobody does but by hand.
fn document(last: &str) -> Value {
    json!({"slug": "report", "steps": [
        {"id": "read", "jobSlug": "nobody", "input": {"n": "${{ input.n }}"}, "produces": [{"assetId": "raw", "optional": true}]},
        {"id": "count", "dependsOn": ["read"], "action": {"kind": "transform", "output": {"n": "${{ nodes.read.output.n + 1 }}"}}},
        {"id": "write", "dependsOn": ["count"], "jobSlug": last, "input": {"all": "${{ nodes.count.output }}"}}],
        "output": {"written": "${{ nodes.write.output }}"}})
}

async fn started(engine: &Engine, input: Value) -> String {
    let started = engine.post("/workflows/report/runs", json!({"input": input, "labels": {"of": "tests"}})).await;
    started.data(202)["runId"].as_str().unwrap().to_owned()
}

async fn completed(engine: &Engine, run: &str, node: &str, output: Value, assets: Value) -> Value {
    let path = format!("/runs/{run}/nodes/{node}/complete");
    let done = engine.post(&path, json!({"output": output, "assets": assets})).await.data(200).clone();
    let seen = engine.get(&format!("/runs/{run}?minSeq={}", done["token"].as_str().unwrap())).await;
    seen.data(200).clone()
}

/// A run that has read, and was cancelled before it wrote.
async fn half_done(engine: &Engine) -> String {
    let run = started(engine, json!({"n": 1})).await;
    completed(engine, &run, "read", json!({"n": 7}), json!([{"assetId": "raw", "payload": [7]}])).await;
    engine.post(&format!("/runs/{run}/cancel"), json!({"reason": "rain"})).await.data(200);
    run
}

async fn node(engine: &Engine, run: &str, node: &str) -> Value {
    let seen = engine.get(&format!("/runs/{run}")).await.data(200).clone();
    let nodes = seen["nodes"].as_array().unwrap();
    nodes.iter().find(|found| found["nodeId"] == node).unwrap_or_else(|| panic!("{node} of {seen}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_run_goes_on_where_the_run_before_it_ended() {
    let engine = Engine::start().await;
    engine.apply(document("nobody")).await;
    let run = started(&engine, json!({"n": 1})).await;
    engine.post(&format!("/runs/{run}/retry"), json!({})).await.problem("run/active");
    engine.post(&format!("/runs/{run}/cancel"), json!({})).await.data(200);
    let first = half_done(&engine).await;
    let path = format!("/runs/{first}/retry");
    engine.post(&path, json!({"node": "read"})).await.problem("request/unknown_field");
    let other = engine.request(reqwest::Method::POST, &path).header("headwater-workspace", "other").json(&json!({}));
    engine.send(other).await.problem("run/not_found");

    let keyed = || engine.request(reqwest::Method::POST, &path).header("idempotency-key", "once");
    let wish = json!({"reason": "the sun shines"});
    let begun = engine.send(keyed().json(&wish)).await.data(202).clone();
    assert_eq!((&begun["recalled"], &begun["replayed"]), (&json!(2), &json!(false)), "{begun}");
    let again = engine.send(keyed().json(&wish)).await.data(202).clone();
    assert_eq!((&again["runId"], &again["replayed"]), (&begun["runId"], &json!(true)));
    let retry = begun["runId"].as_str().unwrap();
    let seen =
        engine.get(&format!("/runs/{retry}?minSeq={}", again["token"].as_str().unwrap())).await.data(200).clone();
    let from = &seen["continuedFrom"];
    assert_eq!((&from["run"], &from["how"], &from["reason"]), (&json!(first), &json!({"retry": {}}), &wish["reason"]));
    assert_eq!(seen["labels"], json!({"of": "tests"}));
    assert_eq!(node(&engine, retry, "read").await["status"], "succeeded");
    let ended = completed(&engine, retry, "write", json!("done"), json!([])).await;
    assert_eq!((&ended["status"], &ended["output"]), (&json!("succeeded"), &json!({"written": "done"})));
    // What was recorded is not recorded again.
    let versions = engine.get("/assets/raw/history").await.data(200).clone();
    assert_eq!(versions["history"].as_array().map(Vec::len), Some(1), "{versions}");
    engine.post(&format!("/runs/{retry}/retry"), json!({})).await.problem("run/not_failed");

    let differences = engine.get(&format!("/runs/{retry}/diff")).await.data(200).clone();
    assert_eq!((&differences["same"], &differences["different"]), (&json!(2), &json!(1)), "{differences}");
    let write = &differences["nodes"][0];
    assert_eq!((&write["path"], &write["with"]["status"]), (&json!("write"), &json!("cancelled")));
    assert_eq!((&write["here"]["output"], &write["here"]["reused"]), (&json!("done"), &json!(false)));
    engine.get(&format!("/runs/{first}/diff")).await.problem("request/invalid_parameter");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_run_does_a_node_again_and_what_stands_behind_it() {
    let engine = Engine::start().await;
    engine.apply(document("nobody")).await;
    let first = half_done(&engine).await;
    let path = format!("/runs/{first}/restart");
    engine.post(&path, json!({})).await.problem("request/invalid_field");
    engine.post(&path, json!({"node": "none"})).await.problem("run/node_not_found");
    let begun = engine.post(&path, json!({"node": "count"})).await.data(202).clone();
    let again = begun["runId"].as_str().unwrap();
    completed(&engine, again, "write", json!(1), json!([])).await;
    let begun = engine.post(&path, json!({"node": "read"})).await.data(202).clone();
    assert_eq!(begun["recalled"], 0);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_does_again_what_is_not_the_same_and_a_sandbox_publishes_nothing() {
    let engine = Engine::start().await;
    engine.apply(document("nobody")).await;
    let first = started(&engine, json!({"n": 1})).await;
    completed(&engine, &first, "read", json!({"n": 7}), json!([{"assetId": "raw", "payload": [7]}])).await;
    completed(&engine, &first, "write", json!("done"), json!([])).await;
    let path = format!("/runs/{first}/fork");
    for (odd, code) in [
        (json!({"revision": 0}), "request/invalid_field"),
        (json!({"revision": 1_000}), "run/moment_not_found"),
        (json!({"version": 9}), "workflow/version_not_found"),
        (json!({"input": [1]}), "run/input_invalid"),
    ] {
        engine.post(&path, odd).await.problem(code);
    }
    let what = |preview: &Value| -> Vec<String> {
        let nodes = preview["nodes"].as_array().unwrap();
        let what = |node: &Value| format!("{}: {}", node["node"].as_str().unwrap(), node["what"].as_str().unwrap());
        nodes.iter().map(what).collect()
    };
    // The same, all of it: nothing is done again.
    let same = engine.post(&path, json!({"dryRun": true})).await.data(200).clone();
    assert_eq!(what(&same), ["count: reused", "read: reused", "write: reused"]);
    assert_eq!(same["status"], "succeeded");
    // Another input, of which one field is not looked at.
    let input = |n: u32| json!({"dryRun": true, "input": {"n": n, "color": "red"}});
    let same = engine.post(&path, input(1)).await.data(200).clone();
    assert_eq!(what(&same), ["count: computed", "read: reused", "write: reused"]);
    assert_eq!(what(engine.post(&path, input(2)).await.data(200)), ["read: done"]);
    // Another version, in which one node is another.
    engine.apply(document("somebody")).await;
    let other = engine.post(&path, json!({"dryRun": true, "version": 2})).await.data(200).clone();
    assert_eq!(what(&other), ["count: computed", "read: reused", "write: done"]);
    // From where only the first had succeeded.
    let events = engine.get(&format!("/runs/{first}/events")).await.data(200).clone();
    let read = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event"]["run"]["nodeSucceeded"]["node"] == "read");
    let revision = read.unwrap_or_else(|| panic!("{events}"))["revision"].clone();
    let early = engine.post(&path, json!({"dryRun": true, "revision": revision})).await.data(200).clone();
    assert_eq!(what(&early), ["count: computed", "read: reused", "write: done"]);

    let begun = engine.post(&path, json!({"sandbox": true, "input": {"n": 2}})).await.data(202).clone();
    let fork = begun["runId"].as_str().unwrap();
    completed(&engine, fork, "read", json!({"n": 8}), json!([{"assetId": "raw", "payload": [8]}])).await;
    let ended = completed(&engine, fork, "write", json!("other"), json!([])).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let versions = engine.get("/assets/raw/history").await.data(200).clone();
    assert_eq!(versions["history"].as_array().map(Vec::len), Some(1), "{versions}");
    let differences = engine.get(&format!("/runs/{fork}/diff")).await.data(200).clone();
    assert_eq!((&differences["isInputSame"], &differences["different"]), (&json!(false), &json!(3)), "{differences}");
    let read = differences["nodes"].as_array().unwrap().iter().find(|node| node["path"] == "read").unwrap();
    assert_eq!(
        (&read["here"]["assets"][0]["payload"], &read["with"]["assets"][0]["payload"]),
        (&json!([8]), &json!([7]))
    );

    let terminal = Terminal { engine: &engine };
    let (shown, _) = terminal.exits(0, &["run", "fork", &first, "--dry-run"]).await;
    assert!(shown.contains("write") && shown.contains("reused"), "{shown}");
    let (shown, _) = terminal.exits(0, &["run", "diff", fork]).await;
    assert!(shown.contains("read") && shown.contains("3 did not"), "{shown}");
    let (shown, _) = terminal.exits(0, &["run", "restart", &first, "write"]).await;
    assert!(shown.contains("2 results of run"), "{shown}");
    engine.stop().await;
}
