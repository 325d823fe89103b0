//! Runs that undo what they have done.

use serde_json::{Value, json};

use crate::engine::Engine;

async fn started(engine: &Engine, workflow: &str) -> String {
    let started = engine.post(&format!("/workflows/{workflow}/runs"), json!({"input": {}})).await;
    started.data(202)["runId"].as_str().unwrap().to_owned()
}

async fn seen(engine: &Engine, run: &str, token: &Value) -> Value {
    engine.get(&format!("/runs/{run}?minSeq={}", token.as_str().unwrap())).await.data(200).clone()
}

fn status_of<'a>(run: &'a Value, node: &str) -> &'a Value {
    let nodes = run["nodes"].as_array().unwrap();
    &nodes.iter().find(|found| found["nodeId"] == node).unwrap_or_else(|| panic!("{node} of {run}"))["status"]
}

/// Two steps that are undone, one of them by whoever serves a queue that nobody serves; then a wait.
fn journey() -> Value {
    let made = |id: &str, after: &[&str], undo: Value| json!({"id": id, "dependsOn": after, "action": {"kind": "transform", "output": {"id": id}}, "compensate": undo});
    let pure = json!({"action": {"kind": "transform", "output": {"was": "${{ output.id }}"}}});
    let wait = json!({"id": "wait", "dependsOn": ["second"], "action": {"kind": "wait_signal", "name": "go"}});
    json!({"slug": "journey", "steps": [
        made("first", &[], pure.clone()), made("second", &["first"], json!({"jobSlug": "nobody", "timeout": "1h"})), wait]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_undoes_and_says_what_is_left() {
    let engine = Engine::start().await;
    engine.apply(journey()).await;
    let run = started(&engine, "journey").await;
    engine.post(&format!("/runs/{run}/cancel"), json!({"compensate": "yes"})).await.problem("request/invalid_field");
    let cancelled = engine.post(&format!("/runs/{run}/cancel"), json!({"reason": "rain"})).await.data(200).clone();
    let meanwhile = seen(&engine, &run, &cancelled["token"]).await;
    assert_eq!(meanwhile["status"], "running", "{meanwhile}");
    let counts = json!({"kind": "undo", "total": 2, "open": 1, "succeeded": 0, "failed": 0, "cancelled": 0});
    assert_eq!(meanwhile["compensation"], counts);
    assert_eq!(status_of(&meanwhile, "second~undo"), "queued");
    assert_eq!(
        (status_of(&meanwhile, "wait"), status_of(&meanwhile, "compensation")),
        (&json!("cancelled"), &json!("running"))
    );
    let explained = engine.get(&format!("/runs/{run}/explain")).await.data(200).clone();
    assert_eq!(explained["end"]["status"], "cancelled");
    let waits = explained["waitsFor"]["first"].as_array().unwrap();
    let whole = waits.iter().find(|wait| wait["for"] == "compensation").unwrap_or_else(|| panic!("{explained}"));
    assert_eq!((&whole["left"], &whole["undone"], &whole["node"]), (&json!(2), &json!(0), &json!("compensation")));
    engine.post(&format!("/runs/{run}/cancel"), json!({})).await.problem("run/closed");
    engine.post(&format!("/runs/{run}/signals"), json!({"name": "go"})).await.problem("run/closed");
    let branches = engine.get(&format!("/runs/{run}/branches")).await.data(200)["branches"].clone();
    assert_eq!((&branches[0]["kind"], &branches[0]["position"]), (&json!("undo"), &json!(1)), "{branches}");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_that_keeps_what_it_has_done_ends_at_once() {
    let engine = Engine::start().await;
    engine.apply(journey()).await;
    let run = started(&engine, "journey").await;
    let asked = json!({"reason": "rain", "compensate": false});
    let cancelled = engine.post(&format!("/runs/{run}/cancel"), asked).await.data(200).clone();
    let ended = seen(&engine, &run, &cancelled["token"]).await;
    assert_eq!((&ended["status"], &ended["compensation"]), (&json!("cancelled"), &Value::Null), "{ended}");
    assert_eq!(status_of(&ended, "first~undo"), "skipped");
    // All by themselves: both are undone inside the decision.
    let mut document = journey();
    document["slug"] = json!("short");
    document["steps"][1]["compensate"] = json!({"action": "noop"});
    engine.apply(document).await;
    let run = started(&engine, "short").await;
    let cancelled = engine.post(&format!("/runs/{run}/cancel"), json!({})).await.data(200).clone();
    let ended = seen(&engine, &run, &cancelled["token"]).await;
    let counts = json!({"kind": "undo", "total": 2, "open": 0, "succeeded": 2, "failed": 0, "cancelled": 0});
    assert_eq!((&ended["status"], &ended["compensation"]), (&json!("cancelled"), &counts), "{ended}");
    let undone = ended["traces"].as_array().unwrap().iter().find(|trace| trace["nodeId"] == "first~undo").unwrap();
    assert_eq!(undone["output"], json!({"was": "first"}));
    engine.stop().await;
}
