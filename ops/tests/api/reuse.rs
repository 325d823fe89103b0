//! Results that were made before, over several shards: made once for all who need the same, and shown as what they are.

use headwater::settings::ServeSettings;
use headwater_core::Json;
use serde_json::{Value, json};

use crate::engine::Engine;

fn documents() -> Value {
    let call = json!({"kind": "workflow_call", "workflow": "square", "version": 1, "input": {"n": "${{ item }}"}});
    json!([
        {"slug": "square", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "steps": [{"id": "nap", "action": {"kind": "sleep", "duration": "50ms"}},
                {"id": "make", "dependsOn": ["nap"], "action": {"kind": "transform", "output": "${{ input.n * input.n }}"}}],
            "output": {"square": "${{ nodes.make.output }}"}},
        {"slug": "squares", "output": "${{ nodes.all.output.map(o, o.square) }}", "steps": [
            {"id": "all", "forEach": {"items": "${{ lists.range(12).map(n, n % 3) }}",
                "body": {"id": "one", "action": call, "reuse": "ifUnchanged"}}}]},
    ])
}

async fn run(engine: &Engine, workspace: &str) -> Value {
    let ask = |method, path: &str| engine.request(method, path).header("headwater-workspace", workspace);
    let start = ask(reqwest::Method::POST, "/workflows/squares/runs?wait=60s").json(&json!({}));
    let run = engine.send(start).await.data(200)["runId"].as_str().unwrap().to_owned();
    engine.send(ask(reqwest::Method::GET, &format!("/runs/{run}"))).await.data(200).clone()
}

/// Returns how many of the calls were made, and how many had their results from others.
fn made_and_reused(run: &Value) -> (usize, usize) {
    assert_eq!(run["output"], json!([0, 1, 4].repeat(4)), "{run:#}");
    let calls = run["traces"].as_array().unwrap().iter().filter(|trace| trace["nodeId"] == "one");
    let (reused, made): (Vec<&Value>, Vec<&Value>) = calls.partition(|trace| trace["childRunId"].is_null());
    for trace in &reused {
        assert_eq!((&trace["status"], &trace["attempt"]), (&json!("succeeded"), &json!(1)), "{trace}");
        assert!(trace["reused"]["node"].as_str().unwrap().starts_with("one@"), "{trace}");
        assert!(trace["input"]["n"].is_u64() && trace["worker"].is_null(), "{trace}");
    }
    assert!(made.iter().all(|trace| trace["reused"].is_null()));
    (made.len(), reused.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_before_is_not_made_again() {
    let engine = Engine::with(|settings| ServeSettings { shards: 3, ..settings }).await;
    engine.becomes_ready().await;
    engine.post("/workflows", documents()).await.data(201);
    let first = run(&engine, "default").await;
    assert_eq!(made_and_reused(&first), (3, 9));
    let second = run(&engine, "default").await;
    assert_eq!(made_and_reused(&second), (0, 12));
    let makers: Vec<&Value> =
        second["traces"].as_array().unwrap().iter().map(|trace| &trace["reused"]["run"]).collect();
    assert!(makers.iter().filter(|run| !run.is_null()).all(|run| **run == first["runId"]), "{makers:?}");
    let events = engine.get(&format!("/runs/{}/events?limit=100", second["runId"].as_str().unwrap())).await;
    assert!(Json::of(events.data(200)).as_str().contains("\"reused\":{"), "{}", events.body);
    // Another workspace sees none of it.
    let apply = engine.request(reqwest::Method::POST, "/workflows").header("headwater-workspace", "other");
    engine.send(apply.json(&documents())).await.data(201);
    assert_eq!(made_and_reused(&run(&engine, "other").await), (3, 9));
    engine.stop().await;
}

/// The versions that were produced with a result are those of whoever reuses it, and nothing is recorded again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_produced_with_a_result_is_not_produced_again() {
    let engine = Engine::with(|settings| ServeSettings { shards: 3, ..settings }).await;
    engine.becomes_ready().await;
    let produces = json!([{"assetId": "site.map"}]);
    let call = json!({"kind": "workflow_call", "workflow": "mapmaker", "version": 1});
    let documents = json!([
        {"slug": "mapmaker", "steps": [
            {"id": "draw", "action": {"kind": "transform", "output": "drawn"}, "produces": produces}]},
        {"slug": "squares", "steps": [{"id": "map", "action": call, "produces": produces, "reuse": {"key": "map"}}]}]);
    engine.post("/workflows", documents).await.data(201);
    let (first, second) = (run(&engine, "default").await, run(&engine, "default").await);
    assert_eq!((&first["status"], &second["status"]), (&json!("succeeded"), &json!("succeeded")), "{second:#}");
    let events = engine.get(&format!("/runs/{}/events?limit=100", second["runId"].as_str().unwrap())).await;
    let text = Json::of(events.data(200));
    assert!(text.as_str().contains("\"reused\":{") && text.as_str().contains("\"assetRecorded\":{"), "{text:?}");
    let history = engine.get("/assets/site.map/history?limit=10").await;
    assert_eq!(history.data(200)["history"].as_array().unwrap().len(), 1, "{}", history.body);
    engine.stop().await;
}
