//! The commands, as people and scripts run them.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::engine::{DEADLINE, Engine};

pub struct Terminal<'e> {
    pub engine: &'e Engine,
}

impl Terminal<'_> {
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(arguments).env("HEADWATER_API", &self.engine.base).stdin(Stdio::null()).kill_on_drop(true);
        tokio::time::timeout(DEADLINE, command.output()).await.expect("it ends in time").unwrap()
    }

    /// Runs a command that exits with `code`, and returns both of its outputs.
    pub async fn exits(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.run(arguments).await;
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
        (stdout, stderr)
    }

    pub async fn json(&self, arguments: &[&str]) -> Value {
        let (stdout, _) = self.exits(0, &[arguments, &["--output", "json"]].concat()).await;
        serde_json::from_str(&stdout).unwrap()
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_do_what_they_say_and_exit_with_their_codes() {
    let engine = Engine::start().await;
    let terminal = Terminal { engine: &engine };
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let step = r#"{"id":"a","action":{"kind":"transform","output":{"n":"${{ input.n + 1 }}"}}}"#;
    write(&good, "pure.json", &format!(r#"{{"slug":"pure","steps":[{step}]}}"#));
    write(&good, "deeper/sleeper.yml", "slug: sleeper\nsteps:\n- {id: wait, action: {kind: sleep, duration: 1h}}\n");
    let bad = write(folder.path(), "bad.json", r#"{"slug":"bad","steps":[{"id":"a","dependsOn":["b"]}]}"#);
    let good = good.to_str().unwrap();

    terminal.exits(0, &["validate", good]).await;
    for command in ["validate", "apply"] {
        let (_, stderr) = terminal.exits(2, &[command, good, &bad]).await;
        let place = format!("{bad}:1:47: error in bad at");
        for wanted in [place.as_str(), "/steps/0/dependsOn/0", "dangling_reference", "missing_field"] {
            assert!(stderr.contains(wanted), "{wanted} is missing in:\n{stderr}");
        }
    }
    terminal.exits(2, &["apply", "/no/such/place"]).await;
    let mixed = folder.path().join("mixed");
    let definition = r#"{"slug":"mixed","steps":[{"id":"a","action":"noop"}]}"#;
    for (name, text) in [
        ("one.json", definition),
        ("package.json", r#"{"name":"x","version":"1"}"#),
        ("tsconfig.json", "{ // a comment\n}"),
        ("list.yaml", "- 1\n- 2\n"),
        ("node_modules/deep/bad.json", r#"{"slug":1}"#),
        ("target/bad.json", r#"{"slug":1}"#),
        (".git/bad.json", r#"{"slug":1}"#),
    ] {
        write(&mixed, name, text);
    }
    let (table, said) = terminal.exits(0, &["validate", mixed.to_str().unwrap()]).await;
    assert!(table.contains("mixed") && said.contains("passed over: "), "{table}{said}");
    for passed in ["package.json (no definition)", "tsconfig.json", "list.yaml", "node_modules/", "target/"] {
        assert!(said.contains(passed), "{passed}: {said}");
    }
    // What is named is meant; what says that it is a definition is one.
    terminal.exits(2, &["validate", mixed.join("package.json").to_str().unwrap()]).await;
    let text = write(folder.path(), "a.txt", definition);
    let (_, said) = terminal.exits(2, &["validate", &text]).await;
    assert!(said.contains("a definition is a .json, .yaml or .yml file"), "{said}");
    let unquoted =
        write(folder.path(), "u.yaml", "slug: u\nsteps:\n- {id: a, jobSlug: x, input: {x: ${{ input.y }}}}\n");
    let (_, said) = terminal.exits(2, &["validate", &unquoted]).await;
    assert!(said.contains("put a value with ${{ … }} in quotes"), "{said}");
    let nameless = write(
        folder.path(),
        "two.yaml",
        "slug: ok\nsteps: [{id: a, action: noop}]\n---\nsteps: [{id: a, action: noop}]\n",
    );
    let (_, said) = terminal.exits(2, &["validate", &nameless]).await;
    assert!(said.contains("two.yaml:4:1: error in document 2 at \"/slug\""), "{said}");
    let applied = terminal.json(&["apply", good]).await;
    assert_eq!(applied["workflows"].as_array().unwrap().len(), 2);

    let token = applied["token"].as_str().unwrap();
    terminal.exits(2, &["workflow", "diff", "sleeper", "--min-seq", token]).await;
    write(
        folder.path(),
        "good/deeper/sleeper.yml",
        "slug: sleeper\nsteps:\n- {id: wait, action: {kind: sleep, duration: 2h}}\n",
    );
    let applied = terminal.json(&["apply", good]).await;
    let token = applied["token"].as_str().unwrap();
    let (table, _) = terminal.exits(0, &["workflow", "diff", "sleeper", "--min-seq", token]).await;
    assert!(table.contains("sleeper v1 -> v2") && table.contains("/action/duration"), "{table}");
    let (table, _) = terminal.exits(0, &["workflow", "diff", "sleeper", "2", "1"]).await;
    assert!(table.contains("sleeper v2 -> v1"), "{table}");

    assert_eq!(terminal.json(&["workflow", "pin", "sleeper", "1"]).await["pinnedVersion"], 1);
    let (table, _) = terminal.exits(0, &["workflow", "pin", "sleeper", "--none"]).await;
    assert!(table.contains("pinned to"), "{table}");
    terminal.exits(2, &["workflow", "pin", "sleeper"]).await;
    terminal.exits(4, &["workflow", "pin", "sleeper", "7"]).await;

    let run = terminal.json(&["run", "start", "pure", "-p", "n=1", "--wait"]).await;
    assert_eq!(run["output"], json!({"a": {"n": 2}}));
    let (_, lines) = terminal.exits(0, &["run", "start", "pure", "--input", r#"{"n":2}"#, "--watch"]).await;
    assert!(lines.contains("a succeeded"), "{lines}");
    terminal.exits(1, &["run", "start", "pure", "-p", "n=text", "--wait"]).await;
    terminal.exits(2, &["run", "start", "pure", "--input", "[]"]).await;
    terminal.exits(4, &["run", "start", "nope"]).await;
    let keyed = ["run", "start", "pure", "--idempotency-key", "k", "-p"];
    let (_, silent) = terminal.exits(0, &[&keyed[..], &["n=1"]].concat()).await;
    assert!(!silent.contains("this key"), "{silent}");
    let (_, said) = terminal.exits(0, &[&keyed[..], &["n=1", "--wait"]].concat()).await;
    assert!(said.contains("this key started run ") && said.contains(" on 20"), "{said}");
    terminal.exits(5, &[&keyed[..], &["n=2"]].concat()).await;

    let started = terminal.json(&["run", "start", "sleeper"]).await;
    let (run, token) = (started["runId"].as_str().unwrap(), started["token"].as_str().unwrap());
    assert_eq!(terminal.json(&["run", "get", run, "--min-seq", token]).await["status"], "running");
    let (listed, _) = terminal.exits(0, &["run", "list", "--workflow", "sleeper"]).await;
    assert!(listed.contains(run), "{listed}");
    assert_eq!(terminal.json(&["run", "events", run]).await["events"][0]["revision"], 1);
    let first = terminal.json(&["run", "events", run, "--from", "1", "--to", "1"]).await;
    assert_eq!(first["events"].as_array().unwrap().len(), 1);
    let (explained, _) = terminal.exits(0, &["run", "explain", run]).await;
    assert!(explained.contains("WAITS FOR") && explained.contains("the time "), "{explained}");
    assert_eq!(terminal.json(&["run", "explain", run]).await["waitsFor"]["first"][0]["for"], "time");
    terminal.exits(0, &["run", "cancel", run, "--reason", "enough"]).await;
    terminal.exits(5, &["run", "cancel", run, "--no-compensate"]).await;
    terminal.exits(1, &["run", "watch", run]).await;
    terminal.exits(0, &["asset", "list"]).await;
    terminal.exits(4, &["asset", "get", "no.such"]).await;
    terminal.exits(4, &["asset", "history", "no.such"]).await;
    terminal.exits(3, &["run", "list", "--api", "http://127.0.0.1:1"]).await;

    let broker = headwater::dev::broker_settings(&engine.servers.nats.engine());
    let (user, password) = (broker.nats_user.unwrap(), broker.nats_password.unwrap());
    let (url, monitor) = (broker.nats_url, broker.nats_monitor_url.unwrap());
    let postgres = engine.servers.postgres.url();
    let servers = ["--nats-url", &url, "--nats-user", &user, "--nats-password", &password, "--postgres-url", &postgres];
    let doctor = [&["doctor", "--nats-monitor-url", &monitor], &servers[..]].concat();
    let (findings, _) = terminal.exits(0, &doctor).await;
    assert!(findings.contains("all 2 answer"), "{findings}");
    let (findings, _) = terminal.exits(1, &[&doctor[..], &["--replicas", "3"]].concat()).await;
    assert!(findings.contains("replicas is 1, not 3"), "{findings}");
    assert_eq!(terminal.json(&[&["rebuild", "--compare-only"], &servers[..]].concat()).await["switched"], false);
    assert_eq!(terminal.json(&[&["rebuild"], &servers[..]].concat()).await["switched"], true);
    // What is read is now the new schema.
    assert_eq!(terminal.json(&["run", "get", run]).await["status"], "cancelled");
    engine.stop().await;
}
