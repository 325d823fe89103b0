//! What is said to runs, and answered.

use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::Engine;

async fn start(engine: &Engine, workflow: &str) -> String {
    let started = engine.post(&format!("/workflows/{workflow}/runs"), json!({"input": {"base": 40}})).await;
    started.data(202)["runId"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_answered_with_what_is_recorded() {
    let engine = Engine::start().await;
    let wait = |id: &str, after: &[&str], name: &str| {
        let action =
            json!({"kind": "wait_signal", "name": name, "reply": {"sum": "${{ input.base + signal.payload }}"}});
        json!({"id": id, "dependsOn": after, "action": action})
    };
    engine
        .apply(json!({"slug": "sums", "steps": [wait("first", &[], "add"), wait("second", &["first"], "more")]}))
        .await;
    let run = start(&engine, "sums").await;
    let path = format!("/runs/{run}/updates");
    let say = async |path: &str, key: &str, body: Value| {
        engine.send(engine.request(Method::POST, path).header("idempotency-key", key).json(&body)).await
    };
    let body = json!({"name": "add", "payload": 2});
    let answered = say(&path, "a", body.clone()).await.data(200).clone();
    assert_eq!(answered["reply"], json!({"sum": 42}));
    let update = answered["updateId"].as_str().unwrap();
    let seen =
        engine.get(&format!("/runs/{run}?minSeq={}", answered["token"].as_str().unwrap())).await.data(200).clone();
    assert_eq!(seen["nodes"][0]["status"], "succeeded", "the reply was recorded");
    let again = say(&path, "a", body.clone()).await.data(200).clone();
    assert_eq!((&again["reply"], &again["updateId"]), (&answered["reply"], &answered["updateId"]));
    let asked = engine.get(&format!("{path}/{update}")).await.data(200).clone();
    assert_eq!(asked["reply"], json!({"sum": 42}));
    say(&path, "a", json!({"name": "add", "payload": 3})).await.problem("run/key_reused");

    // Nobody takes it yet.
    let early = say(&format!("{path}?wait=0s"), "b", json!({"name": "later"})).await.data(202).clone();
    assert!(early.get("reply").is_none(), "{early}");
    let early = early["updateId"].as_str().unwrap();
    engine.get(&format!("{path}/{early}?wait=1ms")).await.data(202);
    engine.get(&format!("{path}/01a1fd57-1f7e-7daa-8743-cc3c4dfbf400")).await.problem("update/not_found");
    engine.get(&format!("{path}/nothing")).await.problem("request/invalid_name");
    engine.get(&format!("{path}/{update}?wait=2h")).await.problem("request/invalid_parameter");
    engine.post(&path, json!({})).await.problem("request/invalid_field");
    engine.post(&path, json!({"name": "add", "broadcast": true})).await.problem("request/unknown_field");
    let foreign = engine.request(Method::POST, &path).header("headwater-workspace", "other").json(&body);
    engine.send(foreign).await.problem("run/not_found");
    let foreign = engine.request(Method::GET, &format!("{path}/{update}")).header("headwater-workspace", "other");
    engine.send(foreign).await.problem("run/not_found");

    // Whoever waits hears it when it is answered, and the last one ends the run with it.
    let (waiting, _) = tokio::join!(say(&path, "c", json!({"name": "more", "payload": 9})), async {});
    assert_eq!(waiting.data(200)["reply"], json!({"sum": 49}));
    assert_eq!(say(&path, "c", json!({"name": "more", "payload": 9})).await.data(200)["reply"], json!({"sum": 49}));
    assert_eq!(engine.get(&format!("{path}/{update}")).await.data(200)["reply"], json!({"sum": 42}), "the run is gone");
    engine.get(&format!("{path}/{early}")).await.problem("run/closed");
    say(&path, "d", body.clone()).await.problem("run/closed");
    let foreign = engine.request(Method::GET, &format!("{path}/{update}")).header("headwater-workspace", "other");
    engine.send(foreign).await.problem("run/not_found");

    // What cannot be answered says so.
    let broken = start(&engine, "sums").await;
    let path = format!("/runs/{broken}/updates");
    let failed = say(&path, "a", json!({"name": "add", "payload": "two"})).await;
    assert_eq!(failed.problem("update/failed")["nodeError"], "expression_error");
    assert_eq!(say(&path, "a", json!({"name": "add", "payload": "two"})).await.problem("update/failed")["status"], 422);
    engine.stop().await;
}
