//! Attempts that somebody outside ends, of a real engine.

use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::Engine;

fn document() -> Value {
    json!({"slug": "approval", "output": {"got": "${{ nodes.gate.output }}"}, "nodes": [
        {"id": "gate", "action": {"kind": "callback", "key": "${{ input.order }}"}, "timeout": "1h", "heartbeatTimeout": "10s",
            "outputSchema": {"type": "object", "required": ["approved"]}, "retry": {"maxAttempts": 2, "backoff": "none"}}]})
}

async fn started(engine: &Engine, order: u32) -> String {
    let started = engine.post("/workflows/approval/runs", json!({"input": {"order": order}})).await;
    started.data(202)["runId"].as_str().unwrap().to_owned()
}

async fn waiting(engine: &Engine, run: &str) -> Value {
    let listed = engine.get(&format!("/runs/{run}/callbacks")).await.data(200).clone();
    assert_eq!((&listed["runId"], &listed["total"]), (&json!(run), &json!(1)), "{listed}");
    listed["callbacks"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_token_ends_an_attempt_and_says_so_as_often_as_he_likes() {
    let engine = Engine::start().await;
    engine.apply(document()).await;
    let run = started(&engine, 7).await;
    let first = waiting(&engine, &run).await;
    assert_eq!((&first["node"], &first["attempt"], &first["key"]), (&json!("gate"), &json!(1), &json!("7")));
    let path = first["path"].as_str().unwrap();
    engine.post(&format!("{path}/heartbeat"), json!({})).await.data(200);
    assert!(waiting(&engine, &run).await["silentFrom"].is_string());
    let explain = format!("/runs/{run}/explain");
    engine.until("it can be read", async || engine.get(&explain).await.status == 200).await;
    let explained = engine.get(&explain).await.data(200).clone();
    assert_eq!(explained["waitsFor"]["first"][0]["for"], "callback", "{explained}");
    // What the node's schema does not allow is a failed attempt, and the next has a token of its own.
    engine.post(path, json!({"output": {"no": 1}})).await.data(200);
    let second = waiting(&engine, &run).await;
    assert_eq!(second["attempt"], 2);
    engine.post(path, json!({"output": {"approved": true}})).await.problem("callback/closed");
    engine.post(path, json!({"output": {"no": 1}})).await.data(200);
    let path = second["path"].as_str().unwrap();
    for body in
        [json!({}), json!({"output": 1, "error": {"code": "x"}}), json!({"error": "x"}), json!({"error": {"code": 7}})]
    {
        engine.post(path, body).await.problem("request/invalid_field");
    }
    engine.post(path, json!({"outptu": 1})).await.problem("request/unknown_field");
    let done = json!({"output": {"approved": true}});
    let ended = engine.post(path, done.clone()).await.data(200).clone();
    let seen = engine.get(&format!("/runs/{run}?minSeq={}", ended["token"].as_str().unwrap())).await.data(200).clone();
    assert_eq!(
        (&seen["status"], &seen["output"]),
        (&json!("succeeded"), &json!({"got": {"approved": true}})),
        "{seen}"
    );
    // Again, when the run has ended: the same is the same, anything else is too late.
    assert_eq!(engine.post(path, done).await.data(200)["runId"], json!(run));
    engine.post(path, json!({"output": {"approved": false}})).await.problem("callback/closed");
    engine.post(&format!("{path}/heartbeat"), json!({})).await.problem("callback/closed");
    engine.get(&format!("/runs/{run}/callbacks")).await.problem("run/closed");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_of_this_attempt_ends_nothing() {
    let engine = Engine::start().await;
    engine.apply(document()).await;
    let run = started(&engine, 8).await;
    let token = waiting(&engine, &run).await["token"].as_str().unwrap().to_owned();
    let done = || json!({"output": {"approved": true}});
    for bad in ["x", &token[1..], &token.to_uppercase(), "%00", &"a".repeat(3_000)] {
        engine.post(&format!("/callbacks/{bad}"), done()).await.problem("callback/token_invalid");
    }
    let guessed = format!("{}{}{}", &token[..32], "0".repeat(32), &token[64..]);
    engine.post(&format!("/callbacks/{guessed}"), done()).await.problem("callback/not_found");
    engine.post(&format!("/callbacks/{guessed}/heartbeat"), json!({})).await.problem("callback/not_found");
    let elsewhere = token.replace("-1-gate", "-1-other");
    engine.post(&format!("/callbacks/{elsewhere}"), done()).await.problem("callback/not_found");
    let nowhere = format!("{}{}", "f".repeat(32), &token[32..]);
    engine.post(&format!("/callbacks/{nowhere}"), done()).await.problem("callback/not_found");
    // The tokens of a run are told to its own workspace only.
    let other = engine.request(Method::GET, &format!("/runs/{run}/callbacks")).header("headwater-workspace", "other");
    engine.send(other).await.problem("run/not_found");
    // And so is what goes by its key.
    let early = json!({"name": "callback", "key": "8", "payload": {"error": {"code": "refused", "permanent": true}}});
    engine.post(&format!("/runs/{run}/signals"), early).await.data(202);
    let failed = async || engine.get(&format!("/runs/{run}")).await.body["data"]["error"]["code"] == "refused";
    engine.until("it has failed", failed).await;
    engine.stop().await;
}
