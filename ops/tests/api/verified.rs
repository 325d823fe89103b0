//! Whether what is kept of a run is what happened in it: snapshots, and what `run verify` finds.

use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::Engine;

fn document() -> Value {
    let large = "${{ lists.range(100).map(i, input.pad) }}";
    json!({"slug": "kept", "snapshotPolicy": {"everyEvents": 4}, "steps": [
        {"id": "first", "action": {"kind": "transform", "output": "alpha"}, "storeResultAs": "word"},
        {"id": "many", "dependsOn": ["first"], "action": {"kind": "transform", "output": large}},
        {"id": "all", "dependsOn": ["many"], "forEach": {"items": "${{ nodes.many.output }}",
            "body": {"id": "one", "action": {"kind": "transform", "output": "${{ size(item) }}"}}}},
        {"id": "wait", "dependsOn": ["all"], "action": {"kind": "wait_signal", "name": "go"}},
        {"id": "nap", "dependsOn": ["wait"], "action": {"kind": "sleep", "duration": "1ms"}},
        {"id": "last", "dependsOn": ["nap"], "action": {"kind": "transform", "output": "${{ state.word + '-omega' }}"}}]})
}

struct Kept {
    engine: Engine,
    run: String,
    token: String,
}

impl Kept {
    /// A run that waits for a signal.
    async fn waiting() -> Self {
        let engine = Engine::start().await;
        engine.apply(document()).await;
        let input = json!({"input": {"pad": "x".repeat(1_000)}});
        let started = engine.post("/workflows/kept/runs", input).await.data(202).clone();
        let [run, token] = ["runId", "token"].map(|name| started[name].as_str().unwrap().to_owned());
        let kept = Self { engine, run, token };
        loop {
            let run = kept.engine.get(&format!("/runs/{}?minSeq={}", kept.run, kept.token)).await;
            let nodes = run.data(200)["nodes"].as_array().unwrap().clone();
            if nodes.iter().any(|node| node["nodeId"] == "wait" && node["status"] == "waiting") {
                return kept;
            }
        }
    }

    async fn ends(&mut self) {
        let said = self.engine.post(&format!("/runs/{}/signals", self.run), json!({"name": "go"})).await;
        said.data(202);
        loop {
            let run = self.engine.get(&format!("/runs/{}?minSeq={}", self.run, self.token)).await;
            if run.data(200)["status"] == "succeeded" {
                return;
            }
        }
    }

    async fn read(&self, what: &str) -> Value {
        self.engine.get(&format!("/runs/{}/{what}?minSeq={}", self.run, self.token)).await.data(200).clone()
    }

    /// Changes a column of one row, and returns what is found then; afterwards it is as it was.
    async fn changed(&self, table: &str, column: &str, expression: &str, only: &str) -> Value {
        let of = format!("headwater.{table} WHERE run_id = '{}' AND {only}", self.run);
        let is_commit = table == "commits";
        let which = if is_commit { "t.revision = w.revision" } else { "true" };
        let key = if is_commit { "run_id, revision" } else { "run_id" };
        self.execute(&format!("CREATE TABLE public.was AS SELECT {key}, {column} AS was FROM {of}")).await;
        let (table, same) = (format!("headwater.{table} t"), format!("t.run_id = w.run_id AND {which}"));
        let change = format!("UPDATE {of}").replacen(" WHERE", &format!(" SET {column} = {expression} WHERE"), 1);
        assert_eq!(self.execute(&change).await, 1, "{change}");
        let found = self.read("verify").await;
        let terminal = Terminal { engine: &self.engine };
        let (printed, _) = terminal.exits(1, &["run", "verify", &self.run]).await;
        assert!(printed.contains("something differs"), "{printed}");
        let back = format!("UPDATE {table} SET {column} = w.was FROM public.was w WHERE {same}");
        assert_eq!(self.execute(&back).await, 1, "{back}");
        self.execute("DROP TABLE public.was").await;
        found
    }

    async fn execute(&self, sql: &str) -> u64 {
        self.engine.servers.postgres.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_touched_is_the_same_everywhere_while_it_goes_on_and_afterwards() {
    let mut kept = Kept::waiting().await;
    let terminal = Terminal { engine: &kept.engine };
    let active = kept.read("verify").await;
    assert_eq!((&active["equal"], &active["differences"]), (&json!(true), &json!([])), "{active:#}");
    let compared = &active["compared"];
    assert_eq!((&compared["history"], &compared["row"], &compared["tail"]), (&json!(true), &json!(true), &json!(true)));
    assert_eq!((&compared["live"]["compared"], &compared["live"]["revision"]), (&json!(true), &active["revision"]));
    let (printed, _) = terminal.exits(0, &["run", "verify", &kept.run]).await;
    assert!(printed.contains("the same"), "{printed}");

    let snapshot = kept.read("snapshot").await["latestSnapshot"].clone();
    assert_eq!(snapshot["context"]["state"], json!({"word": "alpha"}), "{snapshot:#}");
    let many = &snapshot["context"]["nodes"]["many"]["output"]["stored"];
    kept.engine.get(&format!("/runs/{}/values/{}", kept.run, many["digest"].as_str().unwrap())).await.data(200);
    let after = snapshot["afterRevision"].as_u64().unwrap();
    assert!(after <= active["revision"].as_u64().unwrap());
    let then = kept.engine.get(&format!("/runs/{}/context?revision={after}", kept.run)).await.data(200).clone();
    assert_eq!(then["context"]["nodes"]["first"], snapshot["context"]["nodes"]["first"]);

    kept.ends().await;
    let ended = kept.read("verify").await;
    assert_eq!((&ended["equal"], &ended["differences"]), (&json!(true), &json!([])), "{ended:#}");
    assert_eq!(ended["compared"]["live"], json!({"compared": true}));

    let terminal = Terminal { engine: &kept.engine };
    for what in ["verify", "snapshot"] {
        let other = kept.engine.request(Method::GET, &format!("/runs/{}/{what}", kept.run));
        kept.engine.send(other.header("headwater-workspace", "other")).await.problem("run/not_found");
        let nowhere = format!("/runs/01890000-0000-7000-8000-000000000000/{what}");
        kept.engine.get(&nowhere).await.problem("run/not_found");
        kept.engine.get(&format!("/runs/{}/{what}?since=1", kept.run)).await.problem("request/invalid_parameter");
    }
    terminal.exits(4, &["run", "verify", "01890000-0000-7000-8000-000000000000"]).await;
    terminal.exits(2, &["run", "verify", "no-run"]).await;
    // One without a policy has no snapshot, and is verified all the same.
    kept.engine.apply(json!({"slug": "plain", "steps": [{"id": "a", "action": "noop"}]})).await;
    let plain = kept.engine.post("/workflows/plain/runs?wait=30s&readable=10s", json!({})).await.data(200).clone();
    let run = plain["runId"].as_str().unwrap();
    let none = kept.engine.get(&format!("/runs/{run}/snapshot")).await.data(200)["latestSnapshot"].clone();
    let verified = kept.engine.get(&format!("/runs/{run}/verify")).await.data(200).clone();
    assert_eq!(
        (none, &verified["equal"], &verified["compared"]["snapshot"]),
        (Value::Null, &json!(true), &Value::Null)
    );
    kept.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_found_wherever_it_is() {
    let mut kept = Kept::waiting().await;
    let events = kept.changed("commits", "events", "replace(events, 'alpha', 'alphb')", "events LIKE '%alpha%'").await;
    let [found] = &events["differences"].as_array().unwrap()[..] else { panic!("{events:#}") };
    assert_eq!(
        (&found["what"], &found["found"], &found["expected"]),
        (&json!("events"), &json!("\"alphb\""), &json!("\"alpha\""))
    );
    assert!(found["path"].as_str().unwrap().starts_with("/events/"), "{found}");
    assert!(found["path"].as_str().unwrap().ends_with("/run/nodeSucceeded/output"), "{found}");

    kept.ends().await;
    assert_eq!(kept.read("verify").await["equal"], true, "it is as it was");
    let row = [
        ("status", "'failed'", "row", "/status"),
        ("output", "replace(output, 'omega', 'omegb')", "row", "/output"),
        ("input", "replace(input, 'pad', 'pae')", "row", "/input"),
        ("completed_at", "completed_at + interval '1 microsecond'", "row", "/completedAt"),
        ("latest_snapshot", "replace(latest_snapshot, 'alpha', 'alphb')", "snapshot", "/latestSnapshot/context"),
        ("latest_snapshot", "NULL", "snapshot", "/latestSnapshot"),
    ];
    for (column, expression, what, path) in row {
        let found = kept.changed("workflow_runs", column, expression, "true").await;
        let differences = found["differences"].as_array().unwrap();
        assert_eq!((differences.len(), &differences[0]["what"]), (1, &json!(what)), "{column}: {found:#}");
        assert!(differences[0]["path"].as_str().unwrap().starts_with(path), "{column}: {found:#}");
    }
    for (column, expression, path) in [
        ("time", "time + interval '1 microsecond'", "/time"),
        ("events", "events || ' '", "/events"),
        ("ordinal", "ordinal + 77", "/position"),
        ("actor", "'{\"claimed\":\"Eve\"}'", "/actor"),
    ] {
        let found = kept.changed("commits", column, expression, "revision = 1").await;
        let first = &found["differences"][0];
        assert_eq!((&first["what"], &first["revision"], &first["path"]), (&json!("events"), &json!(1), &json!(path)));
    }
    // A commit that is missing is missed, wherever it was.
    let last = format!(
        "DELETE FROM headwater.commits WHERE run_id = '{0}' AND revision = (SELECT max(revision) FROM headwater.commits WHERE run_id = '{0}')",
        kept.run
    );
    assert_eq!(kept.execute(&last).await, 1);
    let missing = kept.read("verify").await;
    assert_eq!(missing["equal"], false, "{missing:#}");
    kept.execute(&format!("DELETE FROM headwater.commits WHERE run_id = '{}' AND revision = 1", kept.run)).await;
    let missing = kept.read("verify").await;
    assert_eq!((&missing["differences"][0]["revision"], &missing["compared"]["history"]), (&json!(1), &json!(false)));
    kept.engine.stop().await;
}
