//! What clients see while a part of the engine is away.

use reqwest::StatusCode;
use serde_json::json;

use crate::engine::{DEADLINE, Engine};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_runs_go_on_and_reads_say_so() {
    let mut engine = Engine::start().await;
    engine.apply(json!({"slug": "pure", "steps": [{"id": "a", "action": "noop"}]})).await;
    engine.servers.postgres.kill().await.unwrap();
    engine.get("/runs").await.problem("read/database_unavailable");
    let ended = engine.post("/workflows/pure/runs?wait=30s", json!({})).await;
    let token = ended.data(200)["token"].as_str().unwrap();
    assert_eq!(ended.body["data"]["status"], "succeeded");
    let not_ready = engine.get("/readyz").await;
    let checks = not_ready.problem("engine/not_ready")["checks"].as_array().unwrap();
    let missing: Vec<_> = checks.iter().filter(|check| check["ok"] == false).map(|check| &check["name"]).collect();
    assert_eq!(missing, ["database"]);
    engine.get("/livez").await.data(200);

    engine.servers.postgres.restart().await.unwrap();
    let back = async {
        while engine.get(&format!("/runs?minSeq={token}")).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, back).await.expect("the read models catch up");
    assert_eq!(engine.get("/runs").await.data(200)["runs"].as_array().unwrap().len(), 1);
    engine.stop().await;
}
