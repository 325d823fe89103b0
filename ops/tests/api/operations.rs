//! How runs are taken in hand: what whoever does so is answered is a table of `docs/api.md`, and it holds.

use headwater::settings::ServeSettings;
use serde_json::{Value, json};

use crate::engine::{Answer, Engine};

/// The workflows whose runs come to stand where the rows of the table say.
fn documents() -> Value {
    let job = json!({"id": "work", "jobSlug": "nobody"});
    // What is done to the node does not end its run.
    let other = json!({"id": "other", "action": {"kind": "sleep", "duration": "1h"}});
    json!([
        {"slug": "queued", "steps": [job, other]},
        {"slug": "asleep", "steps": [{"id": "work", "action": {"kind": "sleep", "duration": "1h"}}, other]},
        {"slug": "listening", "steps": [{"id": "work", "action": {"kind": "wait_signal", "name": "go"}}, other]},
        {"slug": "asking", "steps": [{"id": "work", "action": {"kind": "human_input", "title": "Well?",
            "form": {"type": "boolean"}, "assignees": ["ada"]}}, other]},
        {"slug": "within", "steps": [{"id": "work", "forEach": {"items": 1, "body": {"id": "one", "jobSlug": "nobody"}}}]},
        {"slug": "last", "steps": [{"id": "first", "action": {"kind": "sleep", "duration": "1h"}}],
            "finally": {"steps": [job, other]}},
        {"slug": "undoes", "steps": [{"id": "first", "action": {"kind": "transform", "output": 1},
            "compensate": {"action": {"kind": "job", "jobSlug": "nobody"}}}, other]},
        {"slug": "done", "steps": [{"id": "work", "action": {"kind": "transform", "output": 1}}]},
    ])
}

/// Brings a run to where a row says; returns it, and its node.
async fn brought_to(engine: &Engine, stands: &str) -> (String, &'static str) {
    let workflow = match stands {
        "waiting for a worker" | "paused" => "queued",
        "asleep" => "asleep",
        "waiting for a signal" => "listening",
        "waiting for people" => "asking",
        "at the items of a `forEach`" => "within",
        "at its `finally`" => "last",
        "undoing what it has done" => "undoes",
        "succeeded" | "cancelled" => {
            if stands == "succeeded" {
                "done"
            } else {
                "queued"
            }
        }
        other => panic!("no run is brought there: {other}"),
    };
    let started = engine.post(&format!("/workflows/{workflow}/runs"), json!({})).await;
    let run = started.data(202)["runId"].as_str().unwrap().to_owned();
    let ask = async |what: &str| engine.post(&format!("/runs/{run}/{what}"), json!({})).await;
    match stands {
        "paused" => drop(ask("pause").await.data(200)),
        "cancelled" | "at its `finally`" | "undoing what it has done" => drop(ask("cancel").await.data(200)),
        _ => {}
    }
    let node = match stands {
        "at its `finally`" => "work@1",
        "undoing what it has done" => "first~undo@1",
        _ => "work",
    };
    (run, node)
}

/// Applies them twice: what starts is of version 2, and says the same as version 1.
async fn apply(engine: &Engine) {
    let mut others = documents();
    for document in others.as_array_mut().unwrap() {
        document["description"] = json!("as it was before");
    }
    engine.apply(others).await;
    engine.apply(documents()).await;
}

async fn ask(engine: &Engine, run: &str, node: &str, command: &str) -> Answer {
    let (path, body) = match command {
        "signal" => ("signals".to_owned(), json!({"name": "go"})),
        "update" => ("updates?wait=100ms".to_owned(), json!({"name": "go"})),
        "answer" => (format!("tasks/{node}/answers"), json!({"value": true, "by": "ada"})),
        "skip" => (format!("nodes/{node}/skip"), json!({"reason": "not needed"})),
        "migrate" => ("migrate".to_owned(), json!({"version": 1, "reason": "by hand"})),
        "complete" => (format!("nodes/{node}/complete"), json!({"output": {"by": "hand"}})),
        "restart" => {
            ("restart".to_owned(), json!({"node": node.split('~').next().unwrap().split('@').next().unwrap()}))
        }
        "timer" => (format!("nodes/{node}/timer"), json!({"dueAt": "2031-01-01T00:00:00Z"})),
        other => (other.to_owned(), json!({"reason": "by hand"})),
    };
    engine.post(&format!("/runs/{run}/{path}"), body).await
}

fn of_work(run: &Value) -> Value {
    let traces = run["traces"].as_array().unwrap();
    traces.iter().find(|trace| trace["nodeId"] == "work").unwrap().clone()
}

fn word(answer: &Answer) -> String {
    if answer.status.is_success() {
        answer.status.as_u16().to_string()
    } else {
        format!("`{}`", answer.body["code"].as_str().unwrap())
    }
}

/// A table, as the documentation has it: its columns, of which this is the first, and its rows by their first cell.
fn table(first: &str) -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let docs = include_str!("../../../docs/api.md");
    let begins = |line: &&str| line.starts_with(&format!("| the run is | {first} |"));
    let lines = docs.lines().skip_while(|line| !begins(line)).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut rows = lines.map(cells);
    let columns = rows.next().expect("the table is there").split_off(1);
    rows.next();
    let rows = rows.map(|mut row| (row.remove(0), row)).collect();
    (columns, rows)
}

async fn holds(engine: &Engine, first: &str, meanwhile: &str) {
    let (columns, rows) = table(first);
    assert!(columns.len() >= 3 && rows.len() >= 8, "{columns:?} {rows:?}");
    let cell = async |stands: &str, command: &str, expected: &str| {
        let (run, node) = brought_to(engine, stands).await;
        let first = word(&ask(engine, &run, node, command).await);
        let again = word(&ask(engine, &run, node, command).await);
        let answered = if first == again { first } else { format!("{first}, then {again}") };
        (answered != expected).then(|| format!("{stands}: {command}: {answered}, not {expected}"))
    };
    let cells = rows.iter().flat_map(|(stands, expected)| {
        columns.iter().zip(expected).map(move |(command, expected)| (stands, command, expected))
    });
    let told =
        futures_util::future::join_all(cells.map(|(stands, command, expected)| cell(stands, command, expected))).await;
    let told: Vec<_> = told.into_iter().flatten().collect();
    assert!(told.is_empty(), "{meanwhile}\n{}", told.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_run_in_hand_is_answered_as_the_table_says_with_a_database_and_without() {
    let mut engine = Engine::with(|settings| ServeSettings { shards: 2, ..settings }).await;
    apply(&engine).await;
    holds(&engine, "pause", "with the database").await;
    holds(&engine, "retry", "with the database").await;
    let (run, node) = brought_to(&engine, "cancelled").await;
    engine.servers.postgres.kill().await.unwrap();
    holds(&engine, "pause", "while the database is away").await;
    for command in ["retry", "restart", "fork"] {
        assert_eq!(ask(&engine, &run, node, command).await.status, 503, "{command}");
    }
    engine.servers.postgres.restart().await.unwrap();
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_hand_is_seen_in_the_tables_and_who_did_it_in_the_events() {
    let engine = Engine::start().await;
    engine.apply(documents()).await;
    let seen = async |run: &str, token: &Value| {
        engine.get(&format!("/runs/{run}?minSeq={}", token.as_str().unwrap())).await.data(200).clone()
    };
    let (run, node) = brought_to(&engine, "paused").await;
    let paused = ask(&engine, &run, node, "pause").await.data(200)["token"].as_str().unwrap().to_owned();
    let explained = engine.get(&format!("/runs/{run}/explain?minSeq={paused}")).await.data(200).clone();
    assert_eq!((&explained["status"], &explained["waitsFor"]["first"][1]["paused"]), (&json!("paused"), &json!(true)));
    assert!(explained["pausedSince"].is_string(), "{explained}");
    assert_eq!(engine.get("/runs?status=paused").await.data(200)["runs"][0]["runId"], json!(run));
    let resumed = ask(&engine, &run, node, "resume").await.data(200).clone();
    assert_eq!(seen(&run, &resumed["token"]).await["status"], "running");
    let completed = ask(&engine, &run, node, "complete").await.data(200).clone();
    let shown = seen(&run, &completed["token"]).await;
    let trace = of_work(&shown);
    assert_eq!((&trace["status"], &trace["output"]), (&json!("succeeded"), &json!({"by": "hand"})), "{trace}");

    let (run, node) = brought_to(&engine, "waiting for a worker").await;
    let skipped = ask(&engine, &run, node, "skip").await.data(200).clone();
    let shown = seen(&run, &skipped["token"]).await;
    let trace = of_work(&shown);
    assert_eq!((&trace["status"], &trace["errorCode"]), (&json!("skipped"), &json!("by_hand")), "{trace}");
    assert_eq!(trace["errorMessage"], "not needed");

    let (run, node) = brought_to(&engine, "asleep").await;
    let set = ask(&engine, &run, node, "timer").await.data(200).clone();
    assert_eq!(of_work(&seen(&run, &set["token"]).await)["wakesAt"], "2031-01-01T00:00:00.000000Z");
    let path = format!("/runs/{run}/nodes/{node}/timer");
    for odd in [
        json!({}),
        json!({"dueAt": "tomorrow"}),
        json!({"after": "-1s"}),
        json!({"after": "1s", "dueAt": "2031-01-01T00:00:00Z"}),
    ] {
        engine.post(&path, odd).await.problem("request/invalid_field");
    }
    engine.post(&path, json!({"dueAt": "2099-01-01T00:00:00Z"})).await.problem("run/timer_invalid");
    engine.post(&path, json!({"after": "1ms"})).await.data(200);
    let woken = async || of_work(&engine.get(&format!("/runs/{run}")).await.body["data"])["status"] == "succeeded";
    engine.until("it has woken", woken).await;
    engine
        .post(&format!("/runs/{run}/pause"), json!({"reason": "x".repeat(1_001)}))
        .await
        .problem("request/invalid_field");
    engine.post(&format!("/runs/{run}/pause"), json!({"why": "x"})).await.problem("request/unknown_field");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_a_paused_workflow_and_what_runs_goes_on() {
    let mut engine = Engine::start().await;
    engine.apply(documents()).await;
    let (run, _) = brought_to(&engine, "asleep").await;
    engine.servers.postgres.kill().await.unwrap();
    let body = json!({"reason": "the vault is shut"});
    for _ in 0..2 {
        let paused = engine.post("/workflows/asleep/pause", body.clone()).await.data(200).clone();
        assert_eq!((&paused["paused"], &paused["version"]), (&json!(true), &json!(1)));
        engine.post("/workflows/asleep/runs", json!({})).await.problem("workflow/paused");
        engine.post("/workflows/asleep/runs", json!({"version": 1})).await.problem("workflow/paused");
    }
    engine.post("/workflows/queued/runs", json!({})).await.data(202);
    engine.post(&format!("/runs/{run}/signals"), json!({"name": "go"})).await.data(202);
    engine.post("/workflows/nothing/pause", json!({})).await.problem("workflow/not_found");
    let other = engine.request(reqwest::Method::POST, "/workflows/asleep/pause").header("headwater-workspace", "other");
    engine.send(other.json(&json!({}))).await.problem("workflow/not_found");
    engine.servers.postgres.restart().await.unwrap();
    engine.until("it can be read", async || engine.get("/workflows/asleep").await.status.is_success()).await;
    assert_eq!(engine.get("/workflows/asleep").await.data(200)["paused"], true);
    engine.post("/workflows/asleep/resume", json!({})).await.data(200);
    engine.post("/workflows/asleep/runs", json!({})).await.data(202);
    assert_eq!(engine.get("/workflows/asleep").await.data(200)["paused"], false);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_run_of_another_workspace_in_hand() {
    let engine = Engine::start().await;
    engine.apply(documents()).await;
    let (run, node) = brought_to(&engine, "waiting for a worker").await;
    for path in ["pause".to_owned(), "resume".to_owned(), "terminate".to_owned(), format!("nodes/{node}/skip")] {
        let request = engine.request(reqwest::Method::POST, &format!("/runs/{run}/{path}")).json(&json!({}));
        engine.send(request.header("headwater-workspace", "other")).await.problem("run/not_found");
    }
    ask(&engine, &run, "nowhere", "skip").await.problem("run/node_not_found");
    ask(&engine, &run, "work@7", "skip").await.problem("run/node_not_found");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_taken_in_hand_piece_by_piece_and_no_others() {
    let mut engine = Engine::with(|settings| ServeSettings { shards: 3, ..settings }).await;
    engine.apply(documents()).await;
    for number in 0..30 {
        let (workflow, tier) = (["asleep", "queued"][number % 2], ["gold", "tin"][number / 2 % 2]);
        engine.post(&format!("/workflows/{workflow}/runs"), json!({"labels": {"tier": tier}})).await.data(202);
    }
    let other = engine.request(reqwest::Method::POST, "/runs/bulk").header("headwater-workspace", "other");
    let all = json!({"operation": "pause", "filter": {}, "preview": true});
    assert_eq!(
        engine.send(other.json(&all)).await.data(200)["matching"],
        0,
        "they are not there for another workspace"
    );
    engine.servers.postgres.kill().await.unwrap();
    let bulk = async |body: Value| engine.post("/runs/bulk", body).await.data(200).clone();
    assert_eq!(bulk(all).await["matching"], 30);
    let gold = json!({"workflow": "asleep", "labels": {"tier": "gold"}});
    let meant = bulk(json!({"operation": "pause", "filter": gold, "preview": true})).await;
    assert_eq!((&meant["matching"], &meant["done"], &meant["cursor"]), (&json!(8), &json!(0), &Value::Null));
    let (mut cursor, mut done, mut pieces) = (Value::Null, 0, 0);
    loop {
        let body =
            json!({"operation": "pause", "filter": gold, "limit": 3, "cursor": cursor, "reason": "the vault is shut"});
        let piece = bulk(body).await;
        assert_eq!(piece["matching"].as_u64().unwrap() + done, 8);
        done += piece["done"].as_u64().unwrap();
        (cursor, pieces) = (piece["cursor"].clone(), pieces + 1);
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((done, pieces), (8, 3));
    let paused = json!({"operation": "resume", "filter": {"status": "paused"}, "preview": true});
    assert_eq!(bulk(paused).await["matching"], 8);
    let ended = bulk(json!({"operation": "terminate", "filter": {}})).await;
    assert_eq!((&ended["done"], &ended["cursor"]), (&json!(30), &Value::Null));
    assert_eq!(bulk(json!({"operation": "cancel", "filter": {}})).await["matching"], 0);
    for odd in [
        json!({"filter": {}}),
        json!({"operation": "pause"}),
        json!({"operation": "skip", "filter": {}}),
        json!({"operation": "pause", "filter": {"status": "failed"}}),
        json!({"operation": "pause", "filter": {"labels": {"tier": 1}}}),
        json!({"operation": "pause", "filter": {}, "limit": 1_001}),
        json!({"operation": "pause", "filter": {}, "cursor": "here"}),
    ] {
        engine.post("/runs/bulk", odd).await.problem("request/invalid_field");
    }
    let unknown = json!({"operation": "pause", "filter": {"slug": "asleep"}});
    engine.post("/runs/bulk", unknown).await.problem("request/unknown_field");
    engine.servers.postgres.restart().await.unwrap();
    engine.stop().await;
}
