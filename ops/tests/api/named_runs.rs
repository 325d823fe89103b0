//! What runs are called, how they are found by that, and runs of a part of a workflow.

use serde_json::{Value, json};

use crate::engine::Engine;

async fn found(engine: &Engine, query: &str, token: &str) -> Vec<String> {
    let page = engine.get(&format!("/runs?{query}&minSeq={token}")).await;
    let runs = page.data(200)["runs"].as_array().unwrap().clone();
    runs.iter().map(|run| run["name"].as_str().unwrap_or("-").to_owned()).collect()
}

async fn start(engine: &Engine, workflow: &str, body: Value) -> (String, String) {
    let started = engine.post(&format!("/workflows/{workflow}/runs?wait=30s"), body).await;
    let started = started.data(200);
    (started["runId"].as_str().unwrap().to_owned(), started["token"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_named_and_found_and_a_part_of_a_workflow_runs() {
    let engine = Engine::start().await;
    let named = json!({"slug": "named", "run": {"name": "run ${{ input.n }}", "labels": {"env": "prod"},
        "attributes": {"n": "${{ input.n }}", "text": "${{ string(input.n) }}"}},
        "steps": [{"id": "a", "action": "noop", "setAttributes": {"done": "${{ true }}"}},
            {"id": "b", "action": "noop", "dependsOn": ["a"]}, {"id": "c", "action": "noop"}]});
    let calling = json!({"slug": "calling", "steps": [
        {"id": "call", "action": {"kind": "workflow_call", "workflow": "named"}, "input": {"n": 9}}]});
    engine.apply(json!({"workflows": [named, calling]})).await;
    start(&engine, "named", json!({"input": {"n": 1}})).await;
    let (_, _) = start(&engine, "named", json!({"input": {"n": 2}, "name": "mine", "labels": {"env": "test"}})).await;
    let (parent, token) = start(&engine, "calling", json!({})).await;
    let find = async |query: &str| found(&engine, query, &token).await;
    assert_eq!(find("name=mine").await, ["mine"]);
    assert_eq!(find("label=env:prod").await, ["run 9", "run 1"]);
    assert_eq!(find("label=env:prod&attribute=n:1").await, ["run 1"]);
    assert_eq!(find("attribute=n:2&attribute=done:true").await, ["mine"]);
    assert_eq!(find("attribute=text:%222%22").await, ["mine"]);
    assert_eq!(find("attribute=text:2").await, Vec::<String>::new(), "a number is no text");
    assert_eq!(find(&format!("parent={parent}")).await, ["run 9"]);
    assert_eq!(find("input=n:1.0").await, ["run 1"]);
    assert_eq!(find("input=n:2&label=env:test&status=succeeded&workflow=named").await, ["mine"]);
    assert_eq!(find("input=n:2&label=env:prod").await, Vec::<String>::new());
    assert_eq!(find("input=n:%221%22").await, Vec::<String>::new(), "a text is no number");
    assert_eq!(find("label=env:prod&startedFrom=2020-01-01T00:00:00Z").await, ["run 9", "run 1"]);
    assert_eq!(find("label=env:prod&startedBefore=2020-01-01T00:00:00Z").await, Vec::<String>::new());
    engine.get("/runs?startedFrom=yesterday").await.problem("request/invalid_parameter");
    engine.get("/runs?input=a%20b:1").await.problem("request/invalid_parameter");
    engine.get(&format!("/runs?input=a:{}", "x".repeat(300))).await.problem("request/invalid_parameter");
    let many: Vec<_> = (0..9).map(|n| format!("input=k{n}:1")).collect();
    engine.get(&format!("/runs?{}", many.join("&"))).await.problem("request/invalid_parameter");
    assert_eq!(find("label=env:%27;DROP").await, Vec::<String>::new());
    engine.get("/runs?label=env").await.problem("request/invalid_parameter");
    engine.get("/runs?label=a:1&label=a:2").await.problem("request/invalid_parameter");

    let (run, token) = start(&engine, "named", json!({"input": {"n": 3}, "targets": ["a"]})).await;
    let part = engine.get(&format!("/runs/{run}?minSeq={token}")).await;
    let part = part.data(200);
    assert_eq!(part["targets"], json!(["a"]));
    assert_eq!(part["attributes"], json!({"n": 3, "text": "3", "done": true}));
    let nodes: Vec<_> = part["nodes"].as_array().unwrap().iter().map(|node| node["status"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["succeeded", "skipped", "skipped"]);
    let refused =
        async |body: Value, code: &str| drop(engine.post("/workflows/named/runs", body).await.problem(code).clone());
    refused(json!({"input": {"n": 1}, "targets": ["x"]}), "run/target_invalid").await;
    refused(json!({"input": {"n": 1}, "targets": "a"}), "request/invalid_field").await;
    refused(json!({"input": {"n": 1}, "name": "x".repeat(201)}), "run/description_invalid").await;
    refused(json!({"input": {"n": 1}, "labels": {"a b": "c"}}), "run/description_invalid").await;
    engine.stop().await;
}
