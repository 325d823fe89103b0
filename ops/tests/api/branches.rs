//! Runs whose nodes happen many times: what the API and the command line show of them.

use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::Engine;

/// Drafts three times, then judges ten items, of which one cannot be judged.
fn drafts() -> Value {
    json!({"slug": "drafts", "nodes": [
        {"id": "draft", "action": {"kind": "transform", "output": "${{ has(state.n) ? state.n + 1 : 1 }}"}, "storeResultAs": "n"},
        {"id": "judges", "forEach": {"items": 10, "onItemFailure": "continue",
            "body": {"id": "judge", "action": {"kind": "transform", "output": "${{ 100 / (item - 7) }}"}}}},
        {"id": "plain", "action": "noop"}],
        "transitions": [{"from": "draft", "to": "draft", "maxIterations": 5, "until": "state.n >= 3"},
            {"from": "draft", "to": "judges", "priority": 1}, {"from": "judges", "to": "plain"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_counted_with_the_node_that_opens_them_and_listed_apart() {
    let engine = Engine::start().await;
    engine.apply(drafts()).await;
    let ended = engine.post("/workflows/drafts/runs?wait=30s", json!({})).await;
    let data = ended.data(200);
    assert_eq!(data["status"], "succeeded", "{data}");
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    let detail = engine.get(&format!("/runs/{run}?minSeq={token}")).await;
    let nodes = detail.data(200)["nodes"].as_array().unwrap().clone();
    let node = |id: &str| nodes.iter().find(|node| node["nodeId"] == id).unwrap_or_else(|| panic!("{nodes:?}"));
    let counts = |kind: &str, total: u32, succeeded: u32, failed: u32| json!({"kind": kind, "total": total, "open": 0, "succeeded": succeeded, "failed": failed, "cancelled": 0});
    assert_eq!(node("draft")["branches"], counts("turn", 3, 3, 0));
    assert_eq!((&node("draft")["status"], &node("draft")["attempts"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(node("judges")["branches"], counts("item", 10, 9, 1));
    assert_eq!((&node("judges")["kind"], &node("judges")["status"]), (&json!("forEach"), &json!("succeeded")));
    assert_eq!((&node("judge")["bodyOf"], &node("judge")["status"]), (&json!("judges"), &json!("failed")));
    assert_eq!((&node("plain")["branches"], &node("plain")["bodyOf"]), (&Value::Null, &Value::Null));
    assert_eq!(detail.body["data"]["hasMoreTraces"], false);
    pages(&engine, run).await;
    refusals(&engine, run).await;
    commands(&engine, run).await;
    engine.stop().await;
}

async fn pages(engine: &Engine, run: &str) {
    let (mut all, mut path) = (Vec::new(), format!("/runs/{run}/branches?limit=4"));
    loop {
        let page = engine.get(&path).await;
        all.extend(page.data(200)["branches"].as_array().unwrap().clone());
        let Some(next) = page.body["data"]["next"].as_str() else { break };
        path = format!("/runs/{run}/branches?limit=4&after={next}");
    }
    let numbers: Vec<_> = all.iter().map(|branch| branch["branch"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=13).collect::<Vec<_>>());
    let again: Vec<_> = all[..4].iter().map(|branch| branch["again"].clone()).collect();
    assert_eq!(again, [json!(true), json!(true), json!(false), Value::Null]);
    let failed = engine.get(&format!("/runs/{run}/branches?node=judges&parent=0&status=failed")).await;
    let failed = failed.data(200)["branches"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"], &failed[0]["kind"]), (1, &json!(7), &json!("item")));
    let branch = &failed[0]["branch"];
    let traces = engine.get(&format!("/runs/{run}/traces?branch={branch}&nodeId=judge&status=failed")).await;
    let traces = traces.data(200)["traces"].as_array().unwrap();
    assert_eq!((traces.len(), &traces[0]["errorCode"]), (1, &failed[0]["error"]["code"]), "{traces:?}");
    let (mut count, mut path) = (0, format!("/runs/{run}/traces?limit=3"));
    loop {
        let page = engine.get(&path).await;
        count += page.data(200)["traces"].as_array().unwrap().len();
        let Some(next) = page.body["data"]["next"].as_str() else { break };
        path = format!("/runs/{run}/traces?limit=3&after={next}");
    }
    // Three drafts, the node of the items and each of them, and the last.
    assert_eq!(count, 3 + 1 + 10 + 1);
}

async fn refusals(engine: &Engine, run: &str) {
    let queries =
        ["limit=0", "limit=1001", "status=waiting", "node=a%20b", "parent=-1", "parent=4294967296", "nodeId=judges"];
    for query in queries {
        engine.get(&format!("/runs/{run}/branches?{query}")).await.problem("request/invalid_parameter");
    }
    for query in ["limit=1001", "status=pending", "nodeId=a%40b", "branch=x", "node=judge"] {
        engine.get(&format!("/runs/{run}/traces?{query}")).await.problem("request/invalid_parameter");
    }
    engine.get(&format!("/runs/{run}/branches?after=x")).await.problem("request/invalid_cursor");
    for after in ["", "x", "1.2", "1.2.", "1.2.a@b", "-1.0.a"] {
        engine.get(&format!("/runs/{run}/traces?after={after}")).await.problem("request/invalid_cursor");
    }
    for path in ["traces", "branches"] {
        engine.get(&format!("/runs/{run}/{path}?asOf=2026-01-01T00:00:00Z")).await.problem("read/not_as_of");
        let nowhere = "01a1fd57-1f7e-7daa-8743-cc3c4dfbf400";
        engine.get(&format!("/runs/{nowhere}/{path}")).await.problem("run/not_found");
    }
}

async fn commands(engine: &Engine, run: &str) {
    let terminal = Terminal { engine };
    let (shown, _) = terminal.exits(0, &["run", "get", run]).await;
    assert!(shown.contains("9/10 items, 1 failed") && shown.contains("turn 3"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.trim_start().starts_with("judge")).count(), 2, "{shown}");
    let (listed, _) = terminal.exits(0, &["run", "branches", run, "--node", "judges", "--status", "failed"]).await;
    assert_eq!((listed.lines().count(), listed.contains("item")), (2, true), "{listed}");
    let (_, said) = terminal.exits(0, &["run", "branches", run, "--limit", "5"]).await;
    assert!(said.contains("there are more: --after 5"), "{said}");
    assert_eq!(terminal.json(&["run", "branches", run, "--after", "12"]).await["branches"][0]["branch"], 13);
    terminal.exits(2, &["run", "branches", run, "--status", "lost"]).await;
    let (_, lines) = terminal.exits(0, &["run", "start", "drafts", "--watch"]).await;
    assert!(lines.contains("judges succeeded (9/10 items, 1 failed)"), "{lines}");
    assert!(lines.contains("draft succeeded (turn 3)"), "{lines}");
}
