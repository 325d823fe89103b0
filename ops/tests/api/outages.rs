//! What clients see while a part of the engine is away.

use headwater::settings::{Role, ServeSettings};
use headwater_core::ShardId;
use headwater_core::shard::{AggregateId, ShardMap, WorkflowKey};
use headwater_streams::{Broker, requests, subject};
use reqwest::StatusCode;
use serde_json::json;

use crate::commands::Terminal;
use crate::engine::{DEADLINE, Engine};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_runs_go_on_and_reads_say_so() {
    let mut engine = Engine::start().await;
    let pure = json!({"slug": "pure", "steps": [{"id": "a", "action": "noop"}]});
    let sleeper = json!({"slug": "sleeper", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]});
    engine.apply(json!([pure, sleeper])).await;
    engine.servers.postgres.kill().await.unwrap();
    engine.get("/runs").await.problem("read/database_unavailable");
    let ended = engine.post("/workflows/pure/runs?wait=30s", json!({})).await;
    let token = ended.data(200)["token"].as_str().unwrap();
    assert_eq!((&ended.body["data"]["status"], &ended.body["data"]["readable"]), (&json!("succeeded"), &json!(false)));
    // Nothing that decides asks the database: a run is stopped, and one that nobody has is not there.
    let started = engine.post("/workflows/sleeper/runs", json!({})).await;
    let cancel = format!("/runs/{}/cancel", started.data(202)["runId"].as_str().unwrap());
    let foreign = engine.request(reqwest::Method::POST, &cancel).header("headwater-workspace", "other");
    engine.send(foreign).await.problem("run/not_found");
    assert_eq!(engine.post(&cancel, json!({})).await.data(200)["status"], "cancelled");
    engine.post(&cancel, json!({})).await.problem("run/closed");
    engine.post("/runs/01a1fd57-1f7e-7daa-8743-cc3c4dfbf400/cancel", json!({})).await.problem("run/not_found");
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
    assert_eq!(engine.get("/runs").await.data(200)["runs"].as_array().unwrap().len(), 2);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_is_not_called_away_and_goes_on_once_it_is_mended() {
    let mut engine = Engine::start().await;
    let applied = engine.apply(json!([{"slug": "pure", "steps": [{"id": "a", "action": "noop"}]}])).await;
    // There are tables that cannot be written, not none.
    engine.get(&format!("/workflows?minSeq={applied}")).await.data(200);
    only_reads(&mut engine, "on").await;
    let ended = engine.post("/workflows/pure/runs?wait=30s", json!({})).await;
    let seen = format!("/runs?minSeq={}", ended.data(200)["token"].as_str().unwrap());
    let last = std::sync::Mutex::new(json!(null));
    let told = async {
        // While the projector looks for its session again it does not know.
        loop {
            let answer = engine.get(&seen).await;
            if answer.body["code"] == "read/database_unfit" {
                return;
            }
            *last.lock().unwrap() = json!({"status": answer.status.as_u16(), "body": answer.body});
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(DEADLINE, told).await;
    told.unwrap_or_else(|_| panic!("who waits is told, and heard at last {}", last.lock().unwrap()));
    assert_eq!(engine.get(&seen).await.problem("read/database_unfit")["status"], 503);
    let not_ready = engine.get("/readyz").await;
    let checks = not_ready.problem("engine/not_ready")["checks"].as_array().unwrap();
    let database = checks.iter().find(|check| check["name"] == "database").unwrap();
    assert!(database["detail"].as_str().unwrap().contains("25006"), "{database}");
    // What is there can still be read, and shows what stops the rest.
    let projection = engine.get("/projection").await;
    let stopped = |shard: &serde_json::Value| shard["stopped"].as_str().is_some_and(|why| why.starts_with("25006"));
    assert!(projection.data(200)["shards"].as_array().unwrap().iter().any(stopped), "{}", projection.body);
    let metrics = engine.get("/metrics").await.body.as_str().unwrap().to_owned();
    assert!(metrics.lines().any(|line| line.starts_with("headwater_projection_stopped") && line.ends_with(" 1")));
    let servers = engine.named();
    let doctor: Vec<&str> = std::iter::once("doctor").chain(servers.iter().map(String::as_str)).collect();
    Terminal { engine: &engine }.exits(1, &doctor).await;

    only_reads(&mut engine, "off").await;
    let back = async {
        while engine.get(&seen).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, back).await.expect("it goes on by itself");
    // A little later the lane of every shard has come through.
    let ready = async {
        while engine.get("/readyz").await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, ready).await.expect("it is ready again");
    engine.is_rebuilt_alike().await;
    engine.stop().await;
}

/// Restarts the database as one whose sessions only read, or as one whose sessions write.
async fn only_reads(engine: &mut Engine, switch: &str) {
    let postgres = &mut engine.servers.postgres;
    let settings = postgres.folder().join("data/postgresql.auto.conf");
    postgres.kill().await.unwrap();
    std::fs::write(settings, format!("default_transaction_read_only = {switch}\n")).unwrap();
    postgres.restart().await.unwrap();
}

/// A file that may not grow is what a full disk is to the broker: the write fails, and its stream stays closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_can_store_nothing_is_named_at_once_and_after_its_restart_everything_goes_on() {
    let mut engine = Engine::start().await;
    let document = |n: u32| json!({"slug": format!("w{n}"), "steps": [{"id": "a", "action": "noop"}]});
    engine.apply(json!([document(0)])).await;
    let broker = engine.servers.nats.pid().unwrap().to_string();
    let limit = |bytes: &str| {
        std::process::Command::new("prlimit").args(["--pid", &broker, &format!("--fsize={bytes}")]).status()
    };
    if !limit("1:").is_ok_and(|status| status.success()) {
        eprintln!("skipped: no prlimit here that limits another process");
        return engine.stop().await;
    }
    // What is on its way when it begins may still happen.
    let first = engine.post("/workflows/w0/runs", json!({})).await;
    let unclear = ["engine/indeterminate", "engine/not_stored", "engine/shard_unavailable"].map(|code| json!(code));
    assert!(unclear.contains(&first.body["code"]), "{}", first.body);
    for n in 0..9 {
        // Of both shards some.
        engine
            .until("it is refused for certain", async || {
                engine.post("/workflows", document(n)).await.body["code"] == "engine/not_stored"
            })
            .await;
    }
    let refused = engine.post("/workflows", document(3)).await;
    refused.problem("engine/not_stored");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers.contains_key("retry-after"));
    let ready = engine.get("/readyz").await;
    let detail = ready.problem("engine/not_ready")["detail"].as_str().unwrap();
    assert!(detail.contains("disk is full") && detail.contains("restart the broker"), "{detail}");
    assert!(limit("unlimited:").unwrap().success());
    engine.servers.nats.kill();
    engine.servers.nats.restart().unwrap();
    engine.until("every shard can append", async || engine.get("/readyz").await.status == StatusCode::OK).await;
    // Whoever heard before that a shard stores nothing may refuse once more: nothing happened then.
    let applies = async || engine.post("/workflows", document(77)).await.status.is_success();
    engine.until("a workflow is applied", applies).await;
    engine.stop().await;
}

/// Returns a workflow that this shard of two decides for.
fn workflow_on(shard: ShardId) -> String {
    let map = ShardMap::even(2).unwrap();
    let on_shard = |slug: &String| {
        let key = WorkflowKey { workspace: "default".parse().unwrap(), workflow: slug.parse().unwrap() };
        map.shard_of(&AggregateId::Workflow(key)) == Some(shard)
    };
    (0..).map(|n| format!("w{n}")).find(on_shard).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_nobody_can_have_got_is_told_from_one_that_somebody_may_have_got() {
    let engine = Engine::with(|settings| ServeSettings { roles: vec![Role::Api, Role::Projector], ..settings }).await;
    let [nobodys, silent] = [0, 1].map(|number| ShardId::new(number).unwrap());
    // Somebody serves the other shard, and says nothing.
    let broker = Broker::connect(&engine.servers.nats.engine()).await.unwrap();
    let _served = requests::serve(&broker, &subject::cmd_subject(silent)).await.unwrap();
    let document = |shard| json!({"slug": workflow_on(shard), "steps": [{"id": "a", "action": "noop"}]});
    let (unavailable, indeterminate) =
        tokio::join!(engine.post("/workflows", document(nobodys)), engine.post("/workflows", document(silent)));
    unavailable.problem("engine/shard_unavailable");
    assert_eq!(unavailable.status, StatusCode::SERVICE_UNAVAILABLE);
    let retry_after: u64 = unavailable.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(retry_after > 0);
    indeterminate.problem("engine/indeterminate");
    assert_eq!(indeterminate.status, StatusCode::GATEWAY_TIMEOUT);
    engine.stop().await;
}
