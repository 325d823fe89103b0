//! What was seen of a run at a moment of its history, as the API tells it.

use serde_json::{Value, json};

use crate::engine::Engine;

fn document() -> Value {
    let large = "${{ lists.range(200).map(i, input.pad) }}";
    json!({"slug": "told", "steps": [
        {"id": "first", "action": {"kind": "transform", "output": "one"}, "storeResultAs": "kept"},
        {"id": "nap", "dependsOn": ["first"], "action": {"kind": "sleep", "duration": "1ms"}},
        {"id": "all", "dependsOn": ["nap"], "forEach": {"items": large, "body": {"steps": [
            {"id": "part", "action": {"kind": "transform", "output": "${{ size(item) }}"}, "storeResultAs": "own"}]}}},
        {"id": "last", "dependsOn": ["all"], "action": {"kind": "transform", "output": "${{ nodes.all.output }}"},
            "storeResultAs": "kept"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_attempt_saw_and_what_came_of_it_can_be_looked_up() {
    let engine = Engine::start().await;
    engine.apply(document()).await;
    let input = json!({"input": {"pad": "x".repeat(1_000)}});
    let ended = engine.post("/workflows/told/runs?wait=60s", input).await;
    let data = ended.data(200);
    assert_eq!(data["status"], "succeeded", "{data}");
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    let read = async |query: &str| engine.get(&format!("/runs/{run}/context?minSeq={token}{query}")).await;

    let now = read("").await;
    let now = now.data(200);
    assert_eq!(now["context"]["status"], "succeeded");
    assert_eq!(now["context"]["state"]["kept"].as_array().unwrap().len(), 200);
    let started = read("&revision=1").await;
    let started = &started.data(200)["context"];
    assert_eq!((&started["revision"], &started["state"], &started["nodes"]), (&json!(1), &json!({}), &json!({})));

    let nap = read("&node=nap").await;
    let nap = nap.data(200);
    assert_eq!(nap["before"]["state"], json!({"kept": "one"}));
    assert_eq!(nap["before"]["nodes"]["first"]["output"], "one");
    assert_eq!((&nap["after"]["nodes"]["nap"]["status"], &nap["changed"]), (&json!("succeeded"), &json!({})));

    // An item writes to a copy of its own; its list stands in the store of values.
    let part = read("&node=part%407").await;
    let part = part.data(200);
    assert_eq!(part["changed"], json!({"own": 1_000}));
    assert_eq!((&part["after"]["index"], &part["after"]["state"]["kept"]), (&json!(6), &json!("one")));
    let last = read("&node=last&attempt=1").await;
    let last = last.data(200);
    assert_eq!((&last["before"]["state"]["kept"], &last["changed"]["kept"][199]), (&json!("one"), &json!(1_000)));

    for (query, status, code) in [
        ("&node=nowhere", 404, "run/moment_not_found"),
        ("&node=nap&attempt=2", 404, "run/moment_not_found"),
        ("&revision=99999999", 404, "run/moment_not_found"),
        ("&revision=1&branch=7", 404, "run/moment_not_found"),
        ("&node=nap&revision=1", 400, "request/invalid_parameter"),
        ("&attempt=1", 400, "request/invalid_parameter"),
        ("&node=%20", 400, "request/invalid_parameter"),
        ("&since=1", 400, "request/invalid_parameter"),
    ] {
        let refused = read(query).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (status, &json!(code)), "{query}");
    }
    // What is too large to be looked back at is refused, and what came before it is told.
    let part = |n: usize| {
        let before: Vec<String> = (0..n).map(|n| format!("n{n}")).collect();
        json!({"id": format!("n{n}"), "dependsOn": before, "action": {"kind": "transform", "output": "${{ lists.range(9000).map(i, input.pad) }}"}})
    };
    engine.apply(json!({"slug": "wide", "steps": (0..4).map(part).collect::<Vec<_>>(), "output": {}})).await;
    let input = json!({"input": {"pad": "x".repeat(1_000)}});
    let ended = engine.post("/workflows/wide/runs?wait=60s", input).await;
    let data = ended.data(200);
    assert_eq!(data["status"], "succeeded", "{data}");
    let (wide, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    engine.get(&format!("/runs/{wide}/context?minSeq={token}")).await.problem("run/context_too_large");
    engine.get(&format!("/runs/{wide}/context?revision=1")).await.data(200);
    let elsewhere = engine.request(reqwest::Method::GET, &format!("/runs/{run}/context"));
    let elsewhere = engine.send(elsewhere.header("headwater-workspace", "elsewhere")).await;
    elsewhere.problem("run/not_found");
    engine.stop().await;
}
