//! Runs that go on as others, of a real engine.

use serde_json::{Value, json};

use crate::engine::Engine;

fn countdown() -> Value {
    json!({"slug": "down", "output": {"n": "${{ input.n }}"},
        "inputSchema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}},
        "nodes": [{"id": "at", "action": {"kind": "sleep", "duration": "5ms"}},
            {"id": "next", "action": {"kind": "continue_as", "version": "current", "input": {"n": "${{ input.n - 1 }}"}}},
            {"id": "done", "action": "noop"}],
        "transitions": [{"from": "at", "to": "next", "when": "input.n > 0"},
            {"from": "at", "to": "done", "when": "input.n <= 0"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_the_end_of_the_chain_and_each_link_names_its_neighbours() {
    let engine = Engine::start().await;
    engine.apply(countdown()).await;
    let asked = json!({"input": {"n": 3}, "labels": {"of": "mine"}, "name": "count"});
    let started = engine.post("/workflows/down/runs?wait=30s", asked).await.data(200).clone();
    assert_eq!(started["status"], "succeeded");
    let (mut run, last) = (started["runId"].clone(), started["lastRunId"].clone());
    let seen = async |run: &Value| engine.get(&format!("/runs/{}", run.as_str().unwrap())).await.data(200).clone();
    let mut before = Value::Null;
    for n in (0..=3).rev() {
        let found = seen(&run).await;
        assert_eq!((&found["status"], &found["output"]), (&json!("succeeded"), &json!({"n": n})), "{found}");
        assert_eq!((&found["labels"], &found["name"]), (&json!({"of": "mine"}), &json!("count")));
        assert_eq!(found["continuedFrom"]["run"], before);
        if n < 3 {
            let successor = &found["continuedFrom"]["how"]["successor"];
            assert_eq!((&successor["first"], &successor["number"]), (&started["runId"], &json!(3 - n)), "{found}");
        }
        before = run.clone();
        run = found["continuedAs"].clone();
    }
    assert_eq!((run, before), (Value::Null, last));
    let first = started["runId"].as_str().unwrap();
    let second = seen(&started["runId"]).await["continuedAs"].clone();
    let closed = engine.post(&format!("/runs/{first}/signals"), json!({"name": "go"})).await;
    assert_eq!(closed.problem("run/closed")["continuedAs"], second);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gets_the_output_of_the_last_and_signals_go_on() {
    let engine = Engine::start().await;
    engine.apply(countdown()).await;
    let call = json!({"kind": "workflow_call", "workflow": "down", "input": {"n": 4}});
    engine.apply(json!({"slug": "up", "steps": [{"id": "sub", "action": call}]})).await;
    let started = engine.post("/workflows/up/runs?wait=30s", json!({})).await.data(200).clone();
    let run = engine.get(&format!("/runs/{}", started["runId"].as_str().unwrap())).await.data(200).clone();
    assert_eq!(run["output"], json!({"sub": {"n": 0}}), "{run}");
    let ears = json!({"slug": "ears", "defaults": {"n": 2}, "output": {"heard": "${{ nodes.go.output.payload }}"}, "nodes": [
        {"id": "go", "action": {"kind": "wait_signal", "name": "go", "key": "${{ input.n }}"}},
        {"id": "next", "action": {"kind": "continue_as", "input": {"n": "${{ input.n - 1 }}"}}},
        {"id": "done", "action": "noop"}],
        "transitions": [{"from": "go", "to": "next", "when": "input.n > 0"}, {"from": "go", "to": "done", "when": "input.n <= 0"}]});
    engine.apply(ears).await;
    let first = engine.post("/workflows/ears/runs", json!({})).await.data(202)["runId"].as_str().unwrap().to_owned();
    // The last of them first: each is for another link of the chain.
    for n in 0..=2 {
        let said = json!({"name": "go", "key": n.to_string(), "payload": n});
        engine.post(&format!("/runs/{first}/signals"), said).await.data(202);
    }
    let mut run = first;
    for n in (0..=2).rev() {
        let ended = async || engine.get(&format!("/runs/{run}")).await.body["data"]["status"] == "succeeded";
        engine.until("it has ended", ended).await;
        let found = engine.get(&format!("/runs/{run}")).await.data(200).clone();
        assert_eq!(found["output"], json!({"heard": n}), "{found}");
        if n > 0 {
            run = found["continuedAs"].as_str().unwrap().to_owned();
        }
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_caller_cancels_the_run_that_goes_on() {
    let engine = Engine::start().await;
    let mut document = countdown();
    document["nodes"][2] = json!({"id": "done", "action": {"kind": "sleep", "duration": "1h"}});
    engine.apply(document).await;
    let call = json!({"kind": "workflow_call", "workflow": "down", "input": {"n": 2}});
    engine.apply(json!({"slug": "up", "steps": [{"id": "sub", "action": call}]})).await;
    let run = engine.post("/workflows/up/runs", json!({})).await.data(202)["runId"].as_str().unwrap().to_owned();
    let listed = async |status: &str| {
        let page = engine.get(&format!("/runs?workflow=down&status={status}")).await;
        page.body["data"]["runs"].as_array().map_or(0, Vec::len)
    };
    engine.until("two have gone on", async || listed("succeeded").await == 2 && listed("running").await == 1).await;
    engine.post(&format!("/runs/{run}/cancel"), json!({})).await.data(200);
    engine.until("the last is cancelled", async || listed("cancelled").await == 1).await;
    engine.stop().await;
}
