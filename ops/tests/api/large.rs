//! What is large: tasks the broker does not take, and answers that would be.

use headwater_core::Json;
use headwater_core::run::ProducedAsset;
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker, WorkerBuilder};
use serde_json::json;
use tokio::task::JoinSet;

use crate::engine::Engine;

/// Works until the set is dropped.
fn work(engine: &Engine, handlers: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> JoinSet<()> {
    let builder = Worker::builder().workspace("default".parse().unwrap()).broker(engine.servers.nats.worker());
    let worker = handlers(builder).build().unwrap();
    let mut working = JoinSet::new();
    working.spawn(async move { worker.run(std::future::pending()).await.unwrap() });
    working
}

async fn nothing(_: Context, _: Json) -> Result<Outcome, HandlerError> {
    Ok(Outcome::nothing())
}

/// Produces an asset of nearly one MiB under the name its input gives.
async fn make(_: Context, asset: String) -> Result<Outcome, HandlerError> {
    let payload = Json::of(&"x".repeat(1_000_000));
    let produced = ProducedAsset {
        asset_id: asset.parse()?,
        payload,
        produced_at: None,
        partition_key: None,
        schema: None,
        freshness: None,
    };
    Ok(Outcome::nothing().with_asset(produced))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_larger_than_the_broker_takes_fails_its_attempt_and_says_what_to_do() {
    let engine = Engine::start().await;
    let handlers = |builder: WorkerBuilder| {
        builder.handler("make".parse().unwrap(), make).handler("use".parse().unwrap(), nothing)
    };
    let _working = work(&engine, handlers);
    let asset = |n: u32| format!("large.{n}");
    let makers = (0..9).map(|n| {
        json!({"id": format!("make{n}"), "jobSlug": "make", "input": asset(n), "produces": [{"assetId": asset(n)}]})
    });
    let made: Vec<_> = (0..9).map(|n| json!(format!("make{n}"))).collect();
    let consumed: Vec<_> = (0..9).map(|n| json!({"assetId": asset(n)})).collect();
    let uses = json!({"id": "use", "jobSlug": "use", "dependsOn": made, "consumes": consumed});
    let other = json!({"id": "other", "jobSlug": "use", "dependsOn": made, "input": 1});
    engine.apply(json!({"slug": "large", "steps": makers.chain([uses, other]).collect::<Vec<_>>()})).await;
    let ended = engine.post("/workflows/large/runs?wait=45s", json!({})).await;
    let data = ended.data(200);
    assert_eq!(data["status"], "failed", "{data}");
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    let run = engine.get(&format!("/runs/{run}?minSeq={token}")).await;
    let run = run.data(200);
    assert_eq!((&run["error"]["code"], &run["error"]["nodeId"]), (&json!("task_too_large"), &json!("use")), "{run}");
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains("9000018 the payloads of the 9 asset(s)"), "{message}");
    // Another try would be no smaller.
    let tries = run["traces"].as_array().unwrap().iter().filter(|trace| trace["nodeId"] == "use").count();
    assert_eq!(tries, 1);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_large_for_its_tasks_loses_none() {
    const FOLLOWERS: usize = 40;
    let engine = Engine::start().await;
    let _working = work(&engine, |builder| builder.handler("pass".parse().unwrap(), nothing));
    let mut steps = vec![json!({"id": "first", "jobSlug": "pass"})];
    steps.extend((0..FOLLOWERS).map(|n| json!({"id": format!("n{n}"), "jobSlug": "pass", "dependsOn": ["first"]})));
    engine.apply(json!({"slug": "wide", "steps": steps})).await;
    // Nodes without an input of their own get the run's, each the whole of it.
    let input = json!({"input": {"text": "x".repeat(1_000_000)}});
    let ended = engine.post("/workflows/wide/runs?wait=45s", input).await;
    assert_eq!(ended.data(200)["status"], "succeeded", "{}", ended.body);
    let (run, token) = (ended.body["data"]["runId"].as_str().unwrap(), ended.body["data"]["token"].as_str().unwrap());
    let run = engine.get(&format!("/runs/{run}?minSeq={token}")).await;
    let traces = run.data(200)["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 1 + FOLLOWERS, "each ran once: {traces:?}");
    engine.stop().await;
}
