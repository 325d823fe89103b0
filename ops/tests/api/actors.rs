//! Who asked for what, as an operator looks for it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::Engine;

fn claimed(name: &str) -> Value {
    json!({"claimed": name})
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_said_who_they_are_is_shown_with_what_they_changed() {
    let engine = Engine::start().await;
    let terminal = Terminal { engine: &engine };
    let as_anna = |path: &str, body: Value| {
        let request = engine.request(Method::POST, path).header("headwater-actor", "Anna Moe <anna@example.org>");
        engine.send(request.json(&body))
    };
    let anna = claimed("Anna Moe <anna@example.org>");
    let maker = json!({"slug": "maker", "steps": [
        {"id": "make", "action": {"kind": "transform", "output": {"n": 1}}, "produces": [{"assetId": "made.one"}]},
    ]});
    let user = json!({"slug": "user", "steps": [{"id": "use", "action": "noop", "consumes": [
        {"assetId": "made.one", "require": "exists", "onMiss": "materialize"},
    ]}]});
    let sleeper = json!({"slug": "sleeper", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]});
    as_anna("/workflows?readable=10s", json!([maker, sleeper])).await.data(201);
    engine.post("/workflows?readable=10s", user).await.data(201);
    for (slug, who) in [("maker", &anna), ("sleeper", &anna), ("user", &Value::Null)] {
        let versions = engine.get(&format!("/workflows/{slug}/versions")).await;
        assert_eq!(&versions.data(200)["versions"][0]["appliedBy"], who, "{slug}");
        assert_eq!(&engine.get(&format!("/workflows/{slug}")).await.data(200)["appliedBy"], who, "{slug}");
    }

    // One starts it, another stops it.
    let started = as_anna("/workflows/sleeper/runs?readable=10s", json!({})).await;
    let run = started.data(202)["runId"].as_str().unwrap().to_owned();
    let shown = engine.get(&format!("/runs/{run}")).await;
    assert_eq!((&shown.data(200)["startedBy"], &shown.data(200)["cancelledBy"]), (&anna, &Value::Null));
    let stop = ["run", "cancel", &run, "--actor", "night shift"];
    let token = terminal.json(&stop).await["token"].as_str().unwrap().to_owned();
    let shown = engine.get(&format!("/runs/{run}?minSeq={token}")).await;
    let night = claimed("night shift");
    assert_eq!((&shown.data(200)["startedBy"], &shown.data(200)["cancelledBy"]), (&anna, &night));
    let listed = engine.get("/runs?workflow=sleeper").await;
    assert_eq!(listed.data(200)["runs"][0]["cancelledBy"], night);
    let events = engine.get(&format!("/runs/{run}/events")).await;
    let events = events.data(200)["events"].as_array().unwrap();
    let by = |name: &str| &events.iter().find(|event| !event["event"]["run"][name].is_null()).unwrap()["by"];
    assert_eq!((by("runStarted"), by("runCancelled")), (&anna, &night));
    let (card, _) = terminal.exits(0, &["run", "get", &run]).await;
    assert!(card.contains("Anna Moe <anna@example.org>") && card.contains("night shift"), "{card}");
    let (card, _) = terminal.exits(1, &["run", "watch", &run]).await;
    assert!(card.contains("cancelled by") && card.contains("night shift"), "{card}");
    let (told, _) = terminal.exits(0, &["run", "events", &run]).await;
    assert!(told.contains("night shift"), "{told}");

    // What nobody outside asked for says what it follows from.
    let used = engine.post("/workflows/user/runs?wait=30s", json!({})).await;
    let used = used.data(200)["runId"].as_str().unwrap().to_owned();
    let shown = engine.get(&format!("/runs/{used}")).await;
    assert_eq!(shown.data(200)["startedBy"], Value::Null, "nobody said");
    let history = engine.get("/assets/made.one/history").await;
    let version = &history.data(200)["history"][0];
    assert_eq!(version["runStartedBy"], Value::Null, "an asset that was missing");
    let made = version["runId"].as_str().unwrap();
    let events = engine.get(&format!("/runs/{made}/events")).await;
    let first = &events.data(200)["events"][0];
    assert_eq!(first["by"], Value::Null);
    let cause = first["cause"].as_str().expect("the asset's shard asked for it");
    assert_eq!(cause.split(':').filter(|part| part.parse::<u64>().is_ok()).count(), 3, "{cause}");

    as_anna("/workflows/maker/runs?wait=30s", json!({})).await.data(200);
    let history = engine.get("/assets/made.one/history").await;
    assert_eq!(history.data(200)["history"][0]["runStartedBy"], anna);
    let (told, _) = terminal.exits(0, &["asset", "history", "made.one"]).await;
    assert!(told.contains("Anna Moe"), "{told}");
    engine.stop().await;
}
