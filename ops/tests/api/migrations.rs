//! Live runs go over to another version of their workflow, while workers hold what they are at.

use headwater_core::Json;
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::commands::Terminal;
use crate::engine::Engine;

fn job(id: &str, slug: &str, after: &[&str]) -> Value {
    json!({"id": id, "jobSlug": slug, "dependsOn": after})
}

/// Works until the set is dropped; `hold` takes as long as somebody says.
fn work(engine: &Engine) -> (JoinSet<()>, tokio::sync::watch::Sender<bool>) {
    let (let_go, held) = tokio::sync::watch::channel(false);
    let hold = move |_: Context, _: Json| {
        let mut held = held.clone();
        async move {
            held.wait_for(|go| *go).await.map_err(|_| HandlerError::new("gone", "nobody says"))?;
            Ok(Outcome::of(&"held"))
        }
    };
    let quick = |context: Context, _: Json| async move {
        Ok::<Outcome, HandlerError>(Outcome::of(&context.node().to_string()))
    };
    let builder = Worker::builder().workspace("default".parse().unwrap()).broker(engine.servers.nats.worker());
    let worker = builder.handler("hold".parse().unwrap(), hold).handler("quick".parse().unwrap(), quick).build();
    let mut working = JoinSet::new();
    working.spawn(async move { worker.unwrap().run(std::future::pending()).await.unwrap() });
    (working, let_go)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_run_goes_over_to_another_version_while_a_worker_holds_an_attempt() {
    let engine = Engine::start().await;
    let terminal = Terminal { engine: &engine };
    let (_working, let_go) = work(&engine);
    let ask = json!({"id": "sign", "action": {"kind": "human_input", "title": "Sign", "form": {"type": "boolean"}, "assignees": ["ada"]}});
    engine
        .apply(json!({"slug": "flow", "steps": [job("a", "quick", &[]), job("b", "hold", &["a"]), ask.clone()]}))
        .await;
    let started = engine.post("/workflows/flow/runs", json!({})).await.data(202).clone();
    let run = started["runId"].as_str().unwrap().to_owned();
    let shown = async || engine.get(&format!("/runs/{run}")).await.body["data"].clone();
    let of = |run: &Value, node: &str| {
        let traces = run["traces"].as_array().cloned().unwrap_or_default();
        traces.into_iter().find(|trace| trace["nodeId"] == node).unwrap_or_default()
    };
    engine.until("a worker holds it", async || of(&shown().await, "b")["status"] == "running").await;
    let mut signs = ask.clone();
    signs["id"] = json!("approve");
    let steps = [job("a", "quick", &[]), job("held", "hold", &["a"]), job("more", "quick", &["held"]), signs];
    engine.apply(json!({"slug": "flow", "steps": steps})).await;

    // Everything that is in the way is said.
    let path = format!("/runs/{run}/migrate");
    let refused = engine.post(&path, json!({"version": 2})).await;
    let problems = refused.problem("run/migration_invalid")["obstacles"].clone();
    let codes: Vec<_> =
        problems.as_array().unwrap().iter().map(|of| (of["code"].clone(), of["node"].clone())).collect();
    assert_eq!(codes.len(), 2, "{problems}");
    for node in ["b", "sign"] {
        assert!(codes.contains(&(json!("node_missing"), json!(node))), "{problems}");
    }
    engine.post(&path, json!({"version": 9})).await.problem("workflow/version_not_found");
    for odd in [
        json!({}),
        json!({"version": 0}),
        json!({"version": 2, "map": {"b": 7}}),
        json!({"version": 2, "map": {"no node": "b"}}),
    ] {
        engine.post(&path, odd).await.problem("request/invalid_field");
    }
    let foreign = engine.request(reqwest::Method::POST, &path).header("headwater-workspace", "other");
    engine.send(foreign.json(&json!({"version": 2}))).await.problem("run/not_found");

    let map = json!({"b": "held", "sign": "approve"});
    let asked = engine.post(&path, json!({"version": 2, "map": map, "dryRun": true})).await.data(200).clone();
    assert_eq!((&asked["dryRun"], &shown().await["version"]), (&json!(true), &json!(1)));
    let done = terminal
        .json(&[
            "run",
            "migrate",
            &run,
            "--version",
            "2",
            "--map",
            "b=held",
            "--map",
            "sign=approve",
            "--reason",
            "better",
        ])
        .await;
    let after = engine.get(&format!("/runs/{run}?minSeq={}", done["token"].as_str().unwrap())).await.data(200).clone();
    assert_eq!((&after["version"], &of(&after, "held")["status"]), (&json!(2), &json!("running")), "{after}");
    assert_eq!(of(&after, "b"), Value::Null, "{after}");
    let tasks = engine.get("/tasks").await.data(200)["tasks"].clone();
    assert!(tasks.to_string().contains("approve"), "{tasks}");
    let explained = engine.get(&format!("/runs/{run}/explain")).await.data(200).clone();
    assert!(explained["waitsFor"].to_string().contains("\"held\""), "{explained}");
    let live = engine.get(&format!("/runs/{run}/live")).await.data(200).clone();
    assert!(live.to_string().contains("\"held\""), "{live}");

    let_go.send(true).unwrap();
    engine.until("what is new has happened", async || of(&shown().await, "more")["status"] == "succeeded").await;
    let shown_now = shown().await;
    assert_eq!(of(&shown_now, "held")["output"], "held", "{shown_now}");
    engine.post(&format!("/runs/{run}/tasks/approve/answers"), json!({"value": true, "by": "ada"})).await.data(200);
    engine.until("it has ended", async || shown().await["status"] == "succeeded").await;

    // Whoever folds it elsewhere goes over too.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    terminal.exits(0, &["run", "export", &run, "--to", file.to_str().unwrap()]).await;
    let (table, _) = terminal.exits(0, &["run", "replay", file.to_str().unwrap()]).await;
    assert!(table.contains("succeeded") && table.contains("the same"), "{table}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("\"definition\":{\"contentHash\"").count(), 2);
    engine.stop().await;
}
