//! Tokens and cursors: behind, at and ahead of what is there, malformed and empty.

use headwater::settings::{Role, ServeSettings};
use headwater_core::ShardId;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::engine::Engine;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_behind_at_or_ahead_of_what_was_written() {
    let engine = Engine::start().await;
    let applied = engine.apply(json!({"slug": "pure", "steps": [{"id": "a", "action": "noop"}]})).await;
    let ended = engine.post("/workflows/pure/runs?wait=30s", json!({})).await;
    let data = ended.data(200);
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    let (shard, last) = token.split_once(':').unwrap();
    let other = 1 - shard.parse::<u16>().unwrap();
    let last: u64 = last.parse().unwrap();
    // The first of them waits until the run can be read.
    let both = format!("{token},{applied}");
    for fine in [both, token.to_owned(), applied, format!("{shard}:1"), format!("{shard}:0"), format!("{other}:0")] {
        engine.get(&format!("/runs/{run}?minSeq={fine}")).await.data(200);
    }
    let ahead = last + 100_000;
    let ahead = [
        format!("{shard}:{ahead}"),
        format!("{shard}:{}", i64::MAX),
        format!("{token},{other}:{ahead}"),
        format!("{other}:{ahead},{token}"),
        "2:1".to_owned(),
        "1023:0".to_owned(),
    ];
    let malformed = ["", "x", "0", "0:", ":1", "0:-1", "0:1,", "0:18446744073709551615"].map(str::to_owned);
    for bad in ahead.into_iter().chain(malformed) {
        for path in ["/runs", "/workflows", "/assets", "/projection", &format!("/runs/{run}/events/stream")] {
            let answer = engine.get(&format!("{path}?minSeq={bad}")).await;
            answer.problem("request/invalid_token");
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {bad}");
        }
        let header = engine.request(Method::GET, "/runs").header("headwater-token", &bad);
        engine.send(header).await.problem("request/invalid_token");
    }
    let twice = engine.request(Method::GET, "/runs").header("headwater-token", token).header("headwater-token", "0:0");
    engine.send(twice).await.problem("request/invalid_header");
    cursors(&engine, run, token).await;
    engine.stop().await;
}

async fn cursors(engine: &Engine, run: &str, token: &str) {
    let events = format!("/runs/{run}/events");
    let all = engine.get(&format!("{events}?after=0&minSeq={token}")).await;
    let count = all.data(200)["events"].as_array().unwrap().len() as u64;
    for (after, left) in [(0, count), (1, count - 1), (count, 0), (count + 1, 0), (i64::MAX as u64, 0), (u64::MAX, 0)] {
        let page = engine.get(&format!("{events}?after={after}")).await;
        assert_eq!(page.data(200)["events"].as_array().unwrap().len() as u64, left, "{after}");
    }
    for bad in ["", "-1", "x", "1.5", "18446744073709551616"] {
        engine.get(&format!("{events}?after={bad}")).await.problem("request/invalid_cursor");
        engine.get(&format!("{events}/stream?after={bad}")).await.problem("request/invalid_cursor");
        let header = engine.request(Method::GET, &format!("{events}/stream")).header("last-event-id", bad);
        engine.send(header).await.problem("request/invalid_cursor");
    }
    for path in ["/runs", "/workflows", "/workflows/pure/versions", "/assets"] {
        engine.get(&format!("{path}?cursor=")).await.problem("request/invalid_cursor");
    }
    // Behind the last of each, a page is empty.
    for (path, list, cursor) in [
        ("/workflows", "workflows", "zzz"),
        ("/assets", "assets", "zzz"),
        ("/runs", "runs", "0.01a1fd57-1f7e-7daa-8743-cc3c4dfbf400"),
    ] {
        assert_eq!(engine.get(&format!("{path}?cursor={cursor}")).await.data(200)[list], json!([]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_and_is_not_projected_is_waited_for_and_what_was_not_is_refused_at_once() {
    let roles = vec![Role::Api, Role::Shards];
    let engine = Engine::with(|settings| ServeSettings { roles, ..settings }).await;
    let document = json!({"slug": "pure", "steps": [{"id": "a", "action": "noop"}]});
    let applied = async {
        loop {
            let answer = engine.post("/workflows", document.clone()).await;
            if answer.status.is_success() {
                return answer.body["data"]["token"].as_str().unwrap().to_owned();
            }
        }
    };
    let token = tokio::time::timeout(crate::engine::DEADLINE, applied).await.expect("the shards get an owner");
    // Nobody projects here. (Without its tables the database is no different.)
    let database = headwater_projector::Database::at(&engine.servers.postgres.url()).unwrap();
    database.migrate().await.unwrap();
    engine.get(&format!("/runs?minSeq={token}")).await.problem("read/not_caught_up");
    let shard: ShardId = token.split(':').next().unwrap().parse().unwrap();
    engine.get(&format!("/runs?minSeq={shard}:999999999")).await.problem("request/invalid_token");
    engine.stop().await;
}
