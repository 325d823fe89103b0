//! What was written can be read when the answer says so, the assets of a run with it.

use headwater::settings::{Role, ServeSettings};
use serde_json::json;

use crate::engine::{DEADLINE, Engine};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_calls_readable_is_there_for_the_very_next_read() {
    let engine = Engine::start().await;
    for n in 0..20 {
        // Assets of many names: on the run's own shard and on the other.
        let (slug, asset) = (format!("maker{n}"), format!("made.number{n}"));
        let document = json!({"slug": slug, "steps": [
            {"id": "make", "action": {"kind": "transform", "output": {"n": n}}, "produces": [{"assetId": asset}]},
        ]});
        let applied = engine.post("/workflows?readable=10s", document).await;
        assert_eq!(applied.data(201)["readable"], true);
        engine.get(&format!("/workflows/{slug}")).await.data(200);
        assert_eq!(engine.get(&format!("/assets/{asset}")).await.data(200)["latest"], json!(null));

        let ended = engine.post(&format!("/workflows/{slug}/runs?wait=30s&readable=10s"), json!({})).await;
        let data = ended.data(200);
        assert_eq!((&data["status"], &data["readable"]), (&json!("succeeded"), &json!(true)));
        let run = data["runId"].as_str().unwrap();
        assert_eq!(engine.get(&format!("/runs/{run}")).await.data(200)["status"], "succeeded");
        let inventory = engine.get(&format!("/workflows/{slug}/assets")).await;
        assert_eq!(inventory.data(200)["assets"][0]["latest"]["version"], 1, "{}", inventory.body);
        let history = engine.get(&format!("/workflows/{slug}/assets/{asset}/history")).await;
        assert_eq!(history.data(200)["history"][0]["payload"], json!({"n": n}));
    }
    let sleeper = json!({"slug": "sleeper", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]});
    engine.apply(sleeper).await;
    // `wait` alone waits for the reads too, also where the run goes on; a start without it does not.
    let started = engine.post("/workflows/sleeper/runs?wait=1ms", json!({})).await;
    let run = started.data(202)["runId"].as_str().unwrap().to_owned();
    if started.data(202)["readable"] == true {
        engine.get(&format!("/runs/{run}")).await.data(200);
    }
    let plain = engine.post("/workflows/sleeper/runs", json!({})).await;
    assert_eq!(plain.data(202)["readable"], false);
    let cancelled = engine.post(&format!("/runs/{run}/cancel?readable=10s"), json!({})).await;
    assert_eq!(cancelled.data(200)["readable"], true);
    assert_eq!(engine.get(&format!("/runs/{run}")).await.data(200)["status"], "cancelled");
    for bad in ["", "11s", "x", "true"] {
        engine
            .post(&format!("/workflows/sleeper/runs?readable={bad}"), json!({}))
            .await
            .problem("request/invalid_parameter");
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_projects_the_answer_comes_all_the_same_and_says_that_it_cannot_be_read_yet() {
    let roles = vec![Role::Api, Role::Shards];
    let engine = Engine::with(|settings| ServeSettings { roles, ..settings }).await;
    let document = json!({"slug": "pure", "steps": [{"id": "a", "action": "noop"}]});
    let applied =
        async { while !engine.post("/workflows?readable=50ms", document.clone()).await.status.is_success() {} };
    tokio::time::timeout(DEADLINE, applied).await.expect("the shards get an owner");
    let ended = engine.post("/workflows/pure/runs?wait=30s&readable=50ms", json!({})).await;
    assert_eq!((&ended.data(200)["status"], &ended.data(200)["readable"]), (&json!("succeeded"), &json!(false)));
    engine.stop().await;
}
