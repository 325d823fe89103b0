//! What is said to runs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::Engine;

async fn started(engine: &Engine, workflow: &str) -> String {
    let started = engine.post(&format!("/workflows/{workflow}/runs"), json!({"input": {"order": 7}})).await;
    started.data(202)["runId"].as_str().unwrap().to_owned()
}

async fn seen(engine: &Engine, run: &str, token: &Value) -> Value {
    engine.get(&format!("/runs/{run}?minSeq={}", token.as_str().unwrap())).await.data(200).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_a_run_is_acknowledged_and_taken_once() {
    let engine = Engine::start().await;
    let wait = |id: &str, after: &[&str]| {
        let action = json!({"kind": "wait_signal", "name": "paid", "key": "${{ input.order }}"});
        json!({"id": id, "dependsOn": after, "action": action})
    };
    engine.apply(json!({"slug": "order", "steps": [wait("first", &[]), wait("second", &["first"])]})).await;
    let run = started(&engine, "order").await;
    let path = format!("/runs/{run}/signals");
    let say = async |key: &str, body: Value| {
        engine.send(engine.request(Method::POST, &path).header("idempotency-key", key).json(&body)).await
    };
    let body = json!({"name": "paid", "key": "7", "payload": {"cents": 1}});
    let received = say("k", body.clone()).await.data(202).clone();
    let run_seen = seen(&engine, &run, &received["token"]).await;
    let nodes: Vec<_> = run_seen["nodes"].as_array().unwrap().iter().map(|node| node["status"].clone()).collect();
    assert_eq!(nodes, [json!("succeeded"), json!("waiting")]);
    assert_eq!(run_seen["traces"][0]["output"]["payload"], json!({"cents": 1}));
    assert_eq!(run_seen["traces"][0]["output"]["signalId"], received["signalId"]);
    let live = engine.get(&format!("/runs/{run}/live")).await.data(200)["context"].clone();
    assert_eq!(live["nodes"]["first"]["output"]["payload"], json!({"cents": 1}));
    assert_eq!((&live["nodes"]["second"]["status"], &live["input"]), (&json!("waiting"), &json!({"order": 7})));
    let explained = engine.get(&format!("/runs/{run}/explain")).await.data(200).clone();
    let waits = &explained["waitsFor"]["first"][0];
    assert_eq!((&waits["for"], &waits["signals"][0]), (&json!("signal"), &json!({"name": "paid", "key": "7"})));
    engine.get(&format!("/runs/{run}/live?branch=9")).await.problem("run/moment_not_found");
    let other = engine.request(Method::GET, &format!("/runs/{run}/live")).header("headwater-workspace", "other");
    engine.send(other).await.problem("run/not_found");
    let again = say("k", body.clone()).await.data(202).clone();
    assert_eq!(again["signalId"], received["signalId"]);
    assert_eq!(seen(&engine, &run, &again["token"]).await["nodes"][1]["status"], "waiting", "it is the same signal");

    say("k", json!({"name": "paid", "key": "8"})).await.problem("run/key_reused");
    engine.post(&path, json!({})).await.problem("request/invalid_field");
    engine.post(&path, json!({"name": "not a name"})).await.problem("request/invalid_field");
    engine.post(&path, json!({"name": "paid", "key": ""})).await.problem("request/invalid_field");
    engine.post(&path, json!({"name": "paid", "key": 7})).await.problem("request/invalid_field");
    engine.post(&path, json!({"name": "paid", "when": "now"})).await.problem("request/unknown_field");
    let large = json!({"name": "paid", "payload": "x".repeat(256 << 10)});
    engine.post(&path, large).await.problem("run/signal_invalid");
    let other = engine.request(Method::POST, &path).header("headwater-workspace", "other").json(&body);
    engine.send(other).await.problem("run/not_found");
    let nowhere = path.replace(&run, "0197742a-80c0-78db-b7b2-f4af7459a400");
    engine.post(&nowhere, body.clone()).await.problem("run/not_found");

    let last = say("l", body.clone()).await.data(202).clone();
    assert_eq!(seen(&engine, &run, &last["token"]).await["status"], "succeeded");
    assert_eq!(say("m", body).await.problem("run/closed")["runStatus"], "succeeded");
    engine.get(&format!("/runs/{run}/live")).await.problem("run/closed");
    engine.stop().await;
}
