//! Values too large for the journal: what the API shows of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::Engine;

const COUNT: usize = 10_000;

/// Makes a list of so many texts of a kibibyte, passes each through an item, and returns them all.
fn wide() -> Value {
    json!({"slug": "wide",
        "nodes": [
            {"id": "list", "action": {"kind": "transform", "output": "${{ lists.range(input.count).map(i, input.pad) }}"}},
            {"id": "each", "forEach": {"items": "${{ nodes.list.output }}", "maxItems": 10_000,
                "body": {"id": "one", "action": {"kind": "transform", "output": "${{ item }}"}}}}],
        "transitions": [{"from": "list", "to": "each"}],
        "output": {"all": "${{ nodes.each.output }}"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_mebibytes_there_and_back_are_shown_whole_where_they_are_asked_for() {
    let engine = Engine::start().await;
    engine.apply(wide()).await;
    let pad = "x".repeat(1022);
    let began = std::time::Instant::now();
    let ended = engine.post("/workflows/wide/runs?wait=60s", json!({"input": {"count": COUNT, "pad": pad}})).await;
    let data = ended.data(200);
    println!("{COUNT} items there and back: {:?}", began.elapsed());
    assert_eq!(data["status"], "succeeded", "{data}");
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    let detail = engine.get(&format!("/runs/{run}?minSeq={token}")).await;
    let detail = detail.data(200);
    let all = detail["output"]["all"].as_array().unwrap();
    assert!(all.len() == COUNT && all.iter().all(|item| *item == pad));
    assert_eq!(detail.get("outputStored"), None);

    // Lists name it, and the run has it under that name.
    let traces = engine.get(&format!("/runs/{run}/traces?nodeId=list")).await;
    let trace = &traces.data(200)["traces"][0];
    assert_eq!(trace["output"], Value::Null);
    let size = 1025 * COUNT as u64 + 1;
    assert_eq!(trace["outputStored"]["sizeBytes"], size);
    let digest = trace["outputStored"]["digest"].as_str().unwrap();
    let value = engine.get(&format!("/runs/{run}/values/{digest}")).await;
    assert_eq!(value.data(200), &detail["output"]["all"]);
    let each = engine.get(&format!("/runs/{run}/traces?nodeId=each")).await;
    let each = &each.data(200)["traces"][0];
    assert_eq!([&each["inputStored"]["digest"], &each["outputStored"]["digest"]], [digest; 2], "one value");
    let events = engine.get(&format!("/runs/{run}/events?limit=3")).await;
    let made = events.data(200)["events"].as_array().unwrap().iter().find(|event| !event["stored"].is_null()).unwrap();
    assert_eq!(made["stored"], trace["outputStored"]);
    assert_eq!(made["event"]["run"]["nodeSucceeded"]["output"], Value::Null);

    refusals(&engine, run, digest).await;
    engine.stop().await;
}

/// Whoever knows a digest has not got the value.
async fn refusals(engine: &Engine, run: &str, digest: &str) {
    let ended = engine.post("/workflows/wide/runs?wait=60s", json!({"input": {"count": 1, "pad": "y"}})).await;
    let (other, token) = (ended.data(200)["runId"].as_str().unwrap(), ended.data(200)["token"].as_str().unwrap());
    let asked = engine.get(&format!("/runs/{other}/values/{digest}?minSeq={token}")).await;
    assert_eq!((asked.status.as_u16(), &asked.body["code"]), (404, &json!("run/value_not_found")), "of another run");
    let asked =
        engine.request(Method::GET, &format!("/runs/{run}/values/{digest}")).header("headwater-workspace", "other");
    let asked = engine.send(asked).await;
    assert_eq!(
        (asked.status.as_u16(), &asked.body["code"]),
        (404, &json!("run/value_not_found")),
        "of another workspace"
    );
    let absent = "0".repeat(64);
    let asked = engine.get(&format!("/runs/{run}/values/{absent}")).await;
    assert_eq!(asked.body["code"], "run/value_not_found");
    for malformed in ["%25", "ABC", &digest[1..], &digest.to_uppercase()] {
        let asked = engine.get(&format!("/runs/{run}/values/{malformed}")).await;
        assert_eq!(asked.status.as_u16(), 400, "{malformed}: {}", asked.body);
    }
}
