//! Calls between runs of a real engine, on three shards.

use std::collections::BTreeSet;

use headwater::settings::ServeSettings;
use headwater_core::RunId;
use serde_json::{Value, json};

use crate::engine::Engine;

fn documents() -> Value {
    let call = |workflow: &str, input: Value| json!({"kind": "workflow_call", "workflow": workflow, "input": input});
    json!([
        {"slug": "square", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "steps": [{"id": "nap", "action": {"kind": "sleep", "duration": "20ms"}},
                {"id": "make", "dependsOn": ["nap"], "action": {"kind": "transform", "output": "${{ input.n * input.n }}"}}],
            "output": {"square": "${{ nodes.make.output }}"}},
        {"slug": "squares", "steps": [
            {"id": "all", "forEach": {"items": 60, "body": {"id": "one", "action": call("square", json!({"n": "${{ item }}"}))}}},
            {"id": "sum", "dependsOn": ["all"],
                "action": {"kind": "transform", "output": "${{ nodes.all.output.map(o, o.square).sum() }}"}}]},
        {"slug": "long", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]},
        {"slug": "middle", "steps": [{"id": "down", "action": call("long", json!({}))}]},
        {"slug": "top", "steps": [{"id": "down", "action": call("middle", json!({}))}]},
        {"slug": "wrong", "steps": [{"id": "odd", "action": call("square", json!({"n": "three"}))}]},
        {"slug": "lost", "steps": [{"id": "none", "action": call("nowhere", json!({}))}]},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_call_others_on_whichever_shard_these_are() {
    let engine = Engine::with(|settings| ServeSettings { shards: 3, ..settings }).await;
    engine.becomes_ready().await;
    engine.post("/workflows", documents()).await.data(201);
    children_are_waited_for(&engine).await;
    cancels_go_down(&engine).await;
    refusals_have_codes(&engine).await;
    engine.stop().await;
}

async fn ended(engine: &Engine, workflow: &str) -> Value {
    let started = engine.post(&format!("/workflows/{workflow}/runs?wait=60s"), json!({})).await;
    let run = started.data(200)["runId"].as_str().unwrap().to_owned();
    engine.get(&format!("/runs/{run}")).await.data(200).clone()
}

async fn children_are_waited_for(engine: &Engine) {
    let run = ended(engine, "squares").await;
    assert_eq!((&run["status"], &run["output"]["sum"]), (&json!("succeeded"), &json!(70210)), "{run}");
    let traces = run["traces"].as_array().unwrap().iter();
    let at = |trace: &Value| format!("{}@{}", trace["nodeId"].as_str().unwrap(), trace["branch"]);
    let children: Vec<_> = traces.filter_map(|trace| Some((at(trace), trace["childRunId"].as_str()?))).collect();
    assert_eq!(children.len(), 60);
    let shards = children.iter().map(|(_, child)| child.parse::<RunId>().unwrap().shard());
    // The ids are random: that sixty of them leave out a shard is as likely as 3 * (2/3)^60, once in ten thousand million runs.
    assert_eq!(shards.collect::<BTreeSet<_>>().len(), 3, "they are shared among the shards: {children:?}");
    let (node, child) = &children[0];
    let child = engine.get(&format!("/runs/{child}")).await;
    let call = json!({"parent": run["runId"], "node": node, "attempt": 1, "depth": 1});
    assert_eq!(child.data(200)["trigger"], json!({ "call": call }));
}

async fn cancels_go_down(engine: &Engine) {
    let started = engine.post("/workflows/top/runs", json!({})).await;
    let mut run = started.data(202)["runId"].as_str().unwrap().to_owned();
    let mut runs = vec![run.clone()];
    for _ in 0..2 {
        let path = format!("/runs/{run}");
        let child = async || {
            let answer = engine.get(&path).await;
            if answer.status != 200 {
                return None;
            }
            answer.body["data"]["traces"][0]["childRunId"].as_str().map(str::to_owned)
        };
        engine.until("it calls", async || child().await.is_some()).await;
        run = child().await.unwrap();
        runs.push(run.clone());
    }
    engine.until("the last has begun", async || engine.get(&format!("/runs/{run}")).await.status == 200).await;
    engine.post(&format!("/runs/{}/cancel", runs[0]), json!({})).await.data(200);
    for run in runs {
        let is_cancelled = async || engine.get(&format!("/runs/{run}")).await.body["data"]["status"] == "cancelled";
        engine.until("it is cancelled", is_cancelled).await;
    }
}

async fn refusals_have_codes(engine: &Engine) {
    for (workflow, code) in [("wrong", "input_invalid"), ("lost", "call_unknown_workflow")] {
        let run = ended(engine, workflow).await;
        assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!(code)), "{run}");
    }
}
