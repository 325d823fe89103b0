//! Runs that are cancelled with a grace: whoever works on something of one is told, and what he reports counts.

use headwater_core::Json;
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::commands::Terminal;
use crate::engine::Engine;

/// Works until the set is dropped: `kind` comes to an end when it is told, `deaf` never does.
fn work(engine: &Engine) -> JoinSet<()> {
    let kind = |context: Context, _: Json| async move {
        context.cancelled().await;
        Ok::<Outcome, HandlerError>(Outcome::of(&"came to an end"))
    };
    let deaf = |_: Context, _: Json| std::future::pending::<Result<Outcome, HandlerError>>();
    let builder = Worker::builder().workspace("default".parse().unwrap()).broker(engine.servers.nats.worker());
    let worker = builder.handler("kind".parse().unwrap(), kind).handler("deaf".parse().unwrap(), deaf).build();
    let mut working = JoinSet::new();
    working.spawn(async move { worker.unwrap().run(std::future::pending()).await.unwrap() });
    working
}

fn of(run: &Value, node: &str) -> Value {
    let traces = run["traces"].as_array().cloned().unwrap_or_default();
    traces.into_iter().find(|trace| trace["nodeId"] == node).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_may_report_within_the_grace_and_whoever_does_not_is_withdrawn() {
    let engine = Engine::start().await;
    let terminal = Terminal { engine: &engine };
    let _working = work(&engine);
    for slug in ["kind", "deaf"] {
        let steps = json!([{"id": "a", "jobSlug": slug}, {"id": "b", "jobSlug": slug, "dependsOn": ["a"]}]);
        engine.apply(json!({"slug": slug, "steps": steps})).await;
    }
    let shown = async |run: &str| engine.get(&format!("/runs/{run}")).await.body["data"].clone();
    let started = async |slug: &str| {
        let started = engine.post(&format!("/workflows/{slug}/runs"), json!({})).await.data(202).clone();
        let run = started["runId"].as_str().unwrap().to_owned();
        engine.until("a worker holds it", async || of(&shown(&run).await, "a")["status"] == "running").await;
        run
    };
    let run = started("kind").await;
    let path = format!("/runs/{run}/cancel");
    for odd in [json!(-1), json!("1s"), json!(86_400_001)] {
        engine.post(&path, json!({"graceMs": odd})).await.problem("request/invalid_field");
    }
    terminal.json(&["run", "cancel", &run, "--reason", "enough", "--grace", "10m"]).await;
    engine.until("it has ended", async || shown(&run).await["status"] == "cancelled").await;
    let ended = shown(&run).await;
    assert_eq!(
        (&of(&ended, "a")["status"], &of(&ended, "a")["output"]),
        (&json!("succeeded"), &json!("came to an end"))
    );
    assert!(["skipped", ""].contains(&of(&ended, "b")["status"].as_str().unwrap_or_default()), "{ended}");

    let run = started("deaf").await;
    engine.post(&format!("/runs/{run}/cancel"), json!({"graceMs": 700})).await.data(200);
    assert_eq!(shown(&run).await["status"], "running");
    engine.until("its grace is over", async || shown(&run).await["status"] == "cancelled").await;
    assert_eq!(of(&shown(&run).await, "a")["status"], "cancelled");
    engine.stop().await;
}
