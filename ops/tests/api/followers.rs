//! Clients that follow runs: how many there may be, what they get, and what they cost.

use std::collections::BTreeMap;

use headwater::settings::ServeSettings;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::door::Door;
use crate::engine::{DEADLINE, Engine};

/// As `docs/bounds.md` says.
const FOLLOWERS_MAX: usize = 2_048;

/// A client with a connection of its own: a small one, there are many. Returns it with the head of the answer.
async fn follow(engine: &Engine, run: &str, after: u64) -> (TcpStream, String) {
    let address = engine.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path = format!("/runs/{run}/events/stream?after={after}");
    let asked = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer has a head"));
    }
    (stream, String::from_utf8(head).unwrap())
}

/// Reads to the end of a stream; returns the revisions that came.
async fn came((mut stream, head): (TcpStream, String)) -> Vec<u64> {
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut text = String::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut text)).await;
    read.unwrap_or_else(|_| panic!("the stream ends with its run: {text}")).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

async fn start(engine: &Engine, workflow: &str) -> String {
    let started = engine.post(&format!("/workflows/{workflow}/runs?readable=10s"), json!({})).await;
    started.data(202)["runId"].as_str().unwrap().to_owned()
}

fn sleeper() -> serde_json::Value {
    json!({"slug": "sleeper", "steps": [{"id": "a", "action": {"kind": "sleep", "duration": "1h"}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_clients_follow_runs_and_one_more_is_told_to_come_back() {
    headwater::descriptors::raise_limit();
    let engine = Engine::start().await;
    engine.apply(sleeper()).await;
    let run = start(&engine, "sleeper").await;
    let mut following = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        following.push(follow(&engine, &run, 0).await);
    }
    assert!(following.iter().all(|(_, head)| head.starts_with("HTTP/1.1 200")));
    let refused = engine.get(&format!("/runs/{run}/events/stream")).await;
    refused.problem("engine/overloaded");
    assert!(refused.headers.contains_key("retry-after"));
    // Whoever leaves makes room.
    drop(following.pop());
    let taken = async {
        while !follow(&engine, &run, 0).await.1.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, taken).await.expect("there is room again");
    drop(following);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_clients_get_every_event_once_and_cost_the_database_as_much_as_one() {
    headwater::descriptors::raise_limit();
    let mut door = None;
    let mut engine = Engine::with(|settings| {
        let url = settings.postgres_url.unwrap();
        let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
        let opened = door.insert(Door::open(port));
        ServeSettings { postgres_url: Some(opened.address(&url)), ..settings }
    })
    .await;
    let door = door.unwrap();
    engine.becomes_ready().await;
    engine.apply(json!([sleeper(), {"slug": "pure", "steps": [{"id": "a", "action": "noop"}]}])).await;
    let mut runs = Vec::new();
    for _ in 0..40 {
        runs.push(start(&engine, "sleeper").await);
    }
    let mut costs = Vec::new();
    let mut following = Vec::new();
    for clients in [1, 1_999] {
        for client in 0..clients {
            // Half of them have seen the beginning.
            let (run, after) = (&runs[client % runs.len()], client as u64 / 40 % 2);
            following.push((run.clone(), after, follow(&engine, run, after).await));
        }
        let before = door.statements("");
        for _ in 0..50 {
            engine.post("/workflows/pure/runs?wait=30s&readable=10s", json!({})).await.data(200);
        }
        costs.push(door.statements("") - before);
    }
    println!("statements for 50 runs, with one client and with 2,000 that follow others: {costs:?}");
    // A machine that is busy takes longer, and some statements go by time. Were each asked for, it would be some 20,000 a second.
    assert!(costs[1] < costs[0] * 4 + 400, "{costs:?}: {:#?}", door.all());

    // The database crashes and comes back, twice; in between, half of the runs end, and then the others.
    for half in runs.chunks(20) {
        engine.servers.postgres.kill().await.unwrap();
        for run in half {
            engine.post(&format!("/runs/{run}/cancel"), json!({})).await.data(200);
        }
        engine.servers.postgres.restart().await.unwrap();
    }
    let mut reading = JoinSet::new();
    for (run, after, stream) in following {
        reading.spawn(async move { (run, after, came(stream).await) });
    }
    let mut ends = BTreeMap::new();
    for (run, after, came) in reading.join_all().await {
        let end = came.last().copied().unwrap();
        assert_eq!(came, (after + 1..=end).collect::<Vec<u64>>(), "{run} from behind {after}");
        assert_eq!(*ends.entry(run).or_insert(end), end);
    }
    for (run, end) in ends {
        let token = engine.get(&format!("/runs/{run}")).await;
        assert_eq!((&token.data(200)["status"], &token.data(200)["revision"]), (&json!("cancelled"), &json!(end)));
    }
    engine.stop().await;
}
