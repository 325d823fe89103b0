//! The way out of quarantine, as operators go it.

use headwater_core::shard::{AggregateId, Bundle, digest};
use headwater_core::{BundleId, CommandId, Revision, RunId, Sequence};
use headwater_streams::Broker;
use headwater_streams::journal::Journal;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::{DEADLINE, Engine};

/// Appends a commit of the run that leaves revisions out, behind the back of the owner.
async fn break_history(engine: &Engine, run: RunId) {
    let broker = Broker::connect(&engine.servers.nats.engine()).await.unwrap();
    let journal = Journal::open(&broker, run.shard()).await.unwrap();
    let appended = async {
        loop {
            let last = journal.last().await.unwrap().unwrap();
            let mut found = None;
            for number in 1..=last.sequence.get() {
                let entry = journal.entry(Sequence::new(number)).await.unwrap().unwrap();
                let bundle = Bundle::read(&entry.bytes).unwrap();
                found = bundle.commits.into_iter().rfind(|c| c.aggregate == AggregateId::Run(run)).or(found);
            }
            let before = Bundle::read(&last.bytes).unwrap();
            let mut commit = found.unwrap();
            commit.revision = Revision::new(90);
            commit.command = CommandId::from_uuid(uuid::Uuid::new_v4());
            commit.time = commit.time.after(DEADLINE);
            let id = BundleId::from_uuid(uuid::Uuid::new_v4());
            let bundle =
                Bundle { id, previous: digest(&last.bytes), needs: 1, aside: None, commits: vec![commit], ..before };
            let bytes = serde_json::to_vec(&bundle).unwrap();
            if journal.append(bytes.into(), last.sequence).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, appended).await.unwrap();
}

/// Starts a run whose history is broken then, and waits until it is quarantined.
async fn broken_run(engine: &Engine) -> (RunId, String) {
    let started = engine.post("/workflows/sleeper/runs", json!({})).await;
    let run: RunId = started.data(202)["runId"].as_str().unwrap().parse().unwrap();
    break_history(engine, run).await;
    let name = format!("run/{run}");
    let listed = async {
        loop {
            let said = engine.get("/quarantine").await;
            // While its shard changes hands nobody says anything.
            let all = said.body["data"]["aggregates"].as_array().cloned().unwrap_or_default();
            if all.iter().any(|one| one["aggregate"] == json!(name) && one["since"].is_u64()) {
                return;
            }
            // The owner notices when it appends.
            engine.post(&format!("/runs/{run}/cancel"), json!({})).await;
        }
    };
    tokio::time::timeout(DEADLINE, listed).await.expect("it is quarantined");
    (run, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_quarantined_is_listed_shown_and_released() {
    let engine = Engine::start().await;
    let terminal = Terminal { engine: &engine };
    let sleeper = json!({"slug": "sleeper", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]});
    engine.apply(sleeper).await;
    let (skipped, name) = broken_run(&engine).await;

    let refused = engine.post(&format!("/runs/{skipped}/cancel"), json!({})).await;
    refused.problem("engine/quarantined");
    let listed = terminal.json(&["quarantine", "list"]).await;
    assert_eq!((&listed["total"], &listed["aggregates"][0]["aggregate"]), (&json!(1), &json!(name)));
    let shown = terminal.json(&["quarantine", "show", &name]).await;
    assert!(shown["aggregates"][0]["reason"].as_str().unwrap().contains("revision 90 follows"), "{shown}");
    let (table, _) = terminal.exits(0, &["quarantine", "show", &name]).await;
    assert!(table.contains("revision 90 follows"), "{table}");
    let (table, _) = terminal.exits(0, &["quarantine", "list"]).await;
    assert!(table.contains(&name), "{table}");
    let ready = engine.get("/readyz").await;
    assert!(ready.data(200)["checks"].to_string().contains("1 in the shards of this process"), "{}", ready.body);
    let metrics = engine.get("/metrics").await;
    assert!(metrics.body.as_str().unwrap().contains("headwater_quarantined_aggregates 1"), "{}", metrics.body);

    terminal.exits(2, &["quarantine", "release", &name]).await;
    let (_, stderr) = terminal.exits(5, &["quarantine", "release", &name, "--refold"]).await;
    assert!(stderr.contains("revision 90 follows"), "{stderr}");
    let events: Vec<String> = (90..90 + shown["aggregates"][0]["lastRevision"].as_u64().unwrap() - 89)
        .flat_map(|revision| ["--skip".to_owned(), revision.to_string()])
        .collect();
    let mut arguments = vec!["quarantine", "release", &name];
    arguments.extend(events.iter().map(String::as_str));
    let released = terminal.json(&arguments).await;
    assert_eq!(released["aggregate"], json!(name));
    terminal.exits(4, &["quarantine", "show", &name]).await;
    let cancelled = engine.post(&format!("/runs/{skipped}/cancel"), json!({})).await;
    assert_eq!(cancelled.data(200)["status"], "cancelled");

    let (ended, name) = broken_run(&engine).await;
    let released = terminal.json(&["quarantine", "release", &name, "--end"]).await;
    let token = released["token"].as_str().unwrap();
    let run = engine.get(&format!("/runs/{ended}?minSeq={token}")).await;
    assert_eq!(
        (&run.data(200)["status"], &run.body["data"]["error"]["code"]),
        (&json!("failed"), &json!("quarantined"))
    );
    let events = engine.get(&format!("/runs/{ended}/events?minSeq={token}")).await;
    assert!(events.data(200).to_string().contains("released"), "{}", events.body);
    assert_eq!(terminal.json(&["quarantine", "list"]).await["total"], 0);
    wrong_wishes_are_refused(&engine, &name).await;
    engine.stop().await;
}

async fn wrong_wishes_are_refused(engine: &Engine, name: &str) {
    let path = format!("/quarantine/{}/release", name.replace('/', "%2F"));
    let wrong: [Value; 5] = [
        json!({}),
        json!({"by": "magic"}),
        json!({"by": "skip"}),
        json!({"by": "end", "revisions": [1]}),
        json!({"by": "skip", "revisions": "all"}),
    ];
    for wish in wrong {
        engine.post(&path, wish).await.problem("request/invalid_field");
    }
    engine.post(&path, json!({"by": "refold"})).await.problem("quarantine/not_found");
    engine.post("/quarantine/nothing/release", json!({"by": "refold"})).await.problem("request/invalid_name");
    engine.get("/quarantine/nothing").await.problem("request/invalid_name");
    engine.get("/quarantine?page=2").await.problem("request/invalid_parameter");
}
