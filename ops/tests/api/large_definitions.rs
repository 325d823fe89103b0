//! Definitions that no message of the broker would take: applied, run, read, and run by the next process.

use serde_json::{Value, json};

use crate::engine::Engine;

const NODES: usize = 3_000;

fn large(filler: usize) -> Value {
    let step = |n: usize| {
        let before: Vec<String> = (n.saturating_sub(2)..n).map(|m| format!("n{m}")).collect();
        json!({"id": format!("n{n}"), "action": "noop", "dependsOn": before})
    };
    let steps: Vec<Value> = (0..NODES).map(step).collect();
    json!({"slug": "large", "metadata": {"filler": "x".repeat(filler)}, "output": "${{ 'done' }}", "steps": steps})
}

async fn runs(engine: &Engine) {
    let run = engine.post("/workflows/large/runs?wait=60s", json!({"input": {}})).await;
    let started = run.data(200);
    assert_eq!(started["status"], "succeeded", "{started}");
    let run = started["runId"].as_str().unwrap();
    let read = engine.get(&format!("/runs/{run}?minSeq={}", started["token"].as_str().unwrap())).await;
    assert_eq!(read.data(200)["output"], "done");
}

async fn is_whole(engine: &Engine, token: &str) {
    let read = engine.get(&format!("/workflows/large/versions/1?minSeq={token}")).await;
    let document = &read.data(200)["document"];
    assert_eq!(document["steps"].as_array().unwrap().len(), NODES);
    assert_eq!(document["metadata"]["filler"].as_str().unwrap().len(), 9 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_definitions_are_applied_and_run() {
    let engine = Engine::start().await;
    engine.post("/workflows", large(18 << 20)).await.problem("request/too_large");
    let beyond = engine.post("/workflows", large((16 << 20) + 1)).await;
    assert_eq!(beyond.problem("definition/invalid")["problems"][0]["code"], "too_large");
    let token = engine.apply(large(9 << 20)).await;
    runs(&engine).await;
    is_whole(&engine, &token).await;
    let again = engine.post("/workflows", large(9 << 20)).await;
    assert_eq!(again.data(200)["workflows"][0]["created"], false);
    let engine = engine.restarted(async |_| {}).await;
    engine.becomes_ready().await;
    runs(&engine).await;
    is_whole(&engine, &token).await;
    engine.stop().await;
}
