//! The way out of quarantine, as operators go it.

use headwater_core::shard::{AggregateId, Bundle, Commit, Event, digest};
use headwater_core::{BundleId, CommandId, Revision, RunId, Sequence};
use headwater_streams::Broker;
use headwater_streams::journal::Journal;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::{DEADLINE, Engine};

/// Appends a changed copy of the run's last commit, behind the back of the owner.
async fn break_history(engine: &Engine, run: RunId, change: impl Fn(&mut Commit)) {
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
            change(&mut commit);
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

async fn start(engine: &Engine) -> RunId {
    let started = engine.post("/workflows/sleeper/runs?readable=10s", json!({})).await;
    started.data(202)["runId"].as_str().unwrap().parse().unwrap()
}

/// Starts a run whose history leaves revisions out then, and waits until it is quarantined.
async fn broken_run(engine: &Engine) -> (RunId, String) {
    let run = start(engine).await;
    let name = quarantined(engine, run, |commit| commit.revision = Revision::new(90)).await;
    (run, name)
}

/// Breaks the history of a run, and waits until it is quarantined.
async fn quarantined(engine: &Engine, run: RunId, change: impl Fn(&mut Commit)) -> String {
    break_history(engine, run, change).await;
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
    name
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
    // What it saw before is told; what its release made of it no fold of its events tells.
    let seen = engine.get(&format!("/runs/{ended}/context?minSeq={token}&revision=1")).await;
    assert_eq!(seen.data(200)["context"]["revision"], 1);
    let unclear = engine.get(&format!("/runs/{ended}/context?minSeq={token}")).await;
    assert!(
        unclear.problem("run/history_unclear")["detail"].as_str().unwrap().contains("was released from quarantine"),
        "{}",
        unclear.body
    );
    assert_eq!(terminal.json(&["quarantine", "list"]).await["total"], 0);
    wrong_wishes_are_refused(&engine, &name).await;
    engine.stop().await;
}

fn run_events(events: Value) -> Vec<Event> {
    let events = events.as_array().unwrap().iter().map(|event| serde_json::from_value(json!({"run": event})).unwrap());
    events.collect()
}

/// What a run shows of itself: its status, the code of its error, whether it has a time of its end, and its node's status.
fn shown(run: &Value) -> (&Value, &Value, bool, &Value) {
    (&run["status"], &run["error"]["code"], run["completedAt"].is_string(), &run["nodes"][0]["status"])
}

async fn read(engine: &Engine, run: RunId, released: &Value) -> Value {
    let token = released["token"].as_str().unwrap();
    engine.get(&format!("/runs/{run}?minSeq={token}")).await.data(200).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_a_released_run_is_what_its_release_says() {
    let engine = Engine::start().await;
    let terminal = Terminal { engine: &engine };
    let sleeper = json!({"slug": "sleeper", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]});
    engine.apply(sleeper).await;
    let failed = json!({"runFailed": {"failure": {"code": "forged", "message": "nobody decided that"}}});

    // An end under a revision that was there already: the tables have no place for it.
    let run = start(&engine).await;
    let stream = engine.request(reqwest::Method::GET, &format!("/runs/{run}/events/stream")).send().await.unwrap();
    let name = quarantined(&engine, run, |commit| commit.events = run_events(json!([failed]))).await;
    let released = terminal.json(&["quarantine", "release", &name, "--end", "--actor", "Anna"]).await;
    let ended = read(&engine, run, &released).await;
    assert_eq!(shown(&ended), (&json!("failed"), &json!("quarantined"), true, &json!("cancelled")), "{ended}");
    assert_eq!(ended["cancelledBy"], json!({"claimed": "Anna"}), "{ended}");
    let heard = tokio::time::timeout(DEADLINE, stream.text()).await.expect("the stream ends with its run").unwrap();
    let last = heard.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().trim();
    assert_eq!(last, ended["revision"].to_string());
    let again = engine.request(reqwest::Method::GET, &format!("/runs/{run}/events/stream?after={last}"));
    assert_eq!(again.send().await.unwrap().status(), 204);
    terminal.exits(1, &["run", "watch", &run.to_string()]).await;

    // An end that is skipped has not been.
    let run = start(&engine).await;
    let name = quarantined(&engine, run, |commit| {
        (commit.revision, commit.events) =
            (Revision::new(90), run_events(json!([{"nodeCancelled": {"node": "wait"}}, failed])));
    });
    let name = name.await;
    let before = engine.get(&format!("/runs/{run}")).await;
    assert_eq!(before.data(200)["status"], "failed");
    let skip = ["quarantine", "release", &name, "--skip", "90", "--skip", "91"];
    let released = terminal.json(&skip).await;
    let goes_on = read(&engine, run, &released).await;
    assert_eq!(shown(&goes_on), (&json!("running"), &Value::Null, false, &json!("waiting")), "{goes_on}");
    let trace = &goes_on["traces"][0];
    assert!(trace["wakesAt"].is_string() && trace["finishedAt"].is_null(), "{goes_on}");
    let follows = engine.request(reqwest::Method::GET, &format!("/runs/{run}/events/stream")).send().await.unwrap();
    let cancelled = engine.post(&format!("/runs/{run}/cancel"), json!({})).await;
    assert_eq!(cancelled.data(200)["status"], "cancelled");
    let heard = tokio::time::timeout(DEADLINE, follows.text()).await.expect("the stream ends with its run").unwrap();
    assert!(heard.contains("runCancelled"), "{heard}");
    let over = read(&engine, run, &cancelled.body["data"]).await;
    assert_eq!(shown(&over), (&json!("cancelled"), &json!("cancelled"), true, &json!("cancelled")), "{over}");

    engine.is_rebuilt_alike().await;
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
