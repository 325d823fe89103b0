//! How many clients may follow runs at once.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::engine::{DEADLINE, Engine};

/// As `docs/bounds.md` says.
const FOLLOWERS_MAX: usize = 256;

#[tokio::test(flavor = "multi_thread")]
async fn so_many_clients_follow_runs_and_one_more_is_told_to_come_back() {
    let engine = Engine::start().await;
    engine.apply(json!({"slug": "w", "steps": [{"id": "a", "action": {"kind": "sleep", "duration": "1h"}}]})).await;
    let started = engine.post("/workflows/w/runs?readable=10s", json!({})).await;
    let path = format!("/runs/{}/events/stream", started.data(202)["runId"].as_str().unwrap());
    let follow = || async { engine.request(Method::GET, &path).send().await.unwrap() };
    let mut following = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        following.push(follow().await);
    }
    assert!(following.iter().all(|answer| answer.status() == StatusCode::OK));
    let refused = engine.get(&path).await;
    refused.problem("engine/overloaded");
    assert!(refused.headers.contains_key("retry-after"));
    // Whoever leaves makes room.
    drop(following.pop());
    let taken = async {
        while follow().await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, taken).await.expect("there is room again");
    drop(following);
    engine.stop().await;
}
