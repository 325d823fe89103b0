//! `dev` as people start it: what it heeds, what it keeps, and what it leaves to whom.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use headwater_core::Json;
use headwater_workers::connection::Connection;
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::engine::DEADLINE;

fn headwater(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn ended(mut command: Command) -> Output {
    tokio::time::timeout(DEADLINE, command.output()).await.expect("it ends in time").unwrap()
}

/// A folder Postgres can pass through.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

/// A running `dev`, and the address of its API.
struct Dev {
    child: Child,
    api: String,
}

impl Dev {
    async fn start(data_dir: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = headwater(&["dev", "--listen", "127.0.0.1:0", "--shards", "1", "--data-dir"]);
        command.arg(data_dir).envs(variables.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("in time").unwrap();
        let line = line.expect("it becomes ready");
        let api = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { child, api }
    }

    async fn stop(mut self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("in time").unwrap();
        assert!(status.success(), "{status}");
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        headwater::cli::client::use_ring();
        let http = reqwest::Client::new();
        let answer = async {
            loop {
                let answer = http.post(format!("{}{path}", self.api)).json(&body).send().await.unwrap();
                // Until the shard has its owner.
                if answer.status().as_u16() != 503 && answer.status().as_u16() != 504 {
                    return answer.json().await.unwrap();
                }
            }
        };
        tokio::time::timeout(DEADLINE, answer).await.expect("an answer in time")
    }
}

fn read(path: &Path) -> String {
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    std::fs::read_to_string(path).unwrap()
}

async fn done(_: Context, _: Json) -> Result<Outcome, HandlerError> {
    Ok(Outcome::nothing())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dev_is_allowed_it_may_and_a_restart_is_where_it_was() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let dev = Dev::start(&data_dir, &[("HEADWATER_ALLOW_PROCESSES", "true")]).await;
    let process =
        json!({"slug": "pz", "steps": [{"id": "a", "action": {"kind": "process", "command": ["echo", "hi"]}}]});
    dev.post("/workflows", json!([process, {"slug": "job", "steps": [{"id": "a", "jobSlug": "do"}]}])).await;
    let ran = dev.post("/workflows/pz/runs?wait=30s", json!({})).await;
    assert_eq!(ran["data"]["status"], "succeeded", "{ran}");

    let (connection, operator) = (read(&data_dir.join(Connection::FILE)), read(&data_dir.join("operator.env")));
    assert!(!connection.contains("postgres") && !connection.contains("engine"), "{connection}");
    assert!(operator.contains("export HEADWATER_POSTGRES_URL='postgres://"), "{operator}");
    assert!(operator.contains(&format!("export HEADWATER_API='{}'", dev.api)), "{operator}");
    read(&data_dir.join("dev.json"));

    // A worker that stays while `dev` goes and comes back.
    let broker = Connection::read(&data_dir.join(Connection::FILE)).unwrap().worker();
    let worker = Worker::builder().workspace("default".parse().unwrap()).broker(broker);
    let worker = worker.handler("do".parse().unwrap(), done).build().unwrap();
    let working = tokio::spawn(async move { worker.run(std::future::pending()).await });
    let ran = dev.post("/workflows/job/runs?wait=30s", json!({})).await;
    assert_eq!(ran["data"]["status"], "succeeded", "{ran}");
    let api = dev.api.clone();
    dev.stop().await;

    let again = Dev::start(&data_dir, &[]).await;
    assert_eq!(again.api, api);
    assert_eq!(read(&data_dir.join(Connection::FILE)), connection);
    assert_eq!(read(&data_dir.join("operator.env")), operator);
    let ran = again.post("/workflows/job/runs?wait=60s", json!({})).await;
    assert_eq!(ran["data"]["status"], "succeeded", "{ran}");
    assert!(!working.is_finished(), "the worker goes on");
    working.abort();
    // Not allowed any more.
    let ran = again.post("/workflows/pz/runs?wait=30s", json!({})).await;
    assert_eq!(ran["data"]["status"], "failed", "{ran}");

    // After a crash too, which its servers may outlive for a moment.
    let mut crashed = again;
    crashed.child.kill().await.unwrap();
    let again = Dev::start(&data_dir, &[]).await;
    assert_eq!((&again.api, read(&data_dir.join(Connection::FILE))), (&api, connection));
    again.stop().await;

    let kept: Value = serde_json::from_str(&read(&data_dir.join("dev.json"))).unwrap();
    let ports =
        [&kept["broker"]["clientPort"], &kept["broker"]["monitorPort"], &kept["postgresPort"], &kept["apiPort"]];
    for port in ports {
        let port = port.as_u64().unwrap();
        let _taken = TcpListener::bind(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
        let mut command = headwater(&["dev", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(&data_dir);
        let refused = ended(command).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("port {port} is taken")) && said.contains("dev.json"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_its_address_is_taken_dev_makes_nothing() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = headwater(&["dev", "--listen", &address, "--data-dir"]);
    command.arg(&data_dir);
    let refused = ended(command).await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    assert!(!data_dir.exists());
    assert!(!said.contains('\u{1b}'), "colours are for terminals: {said:?}");
}

#[tokio::test]
async fn config_shows_what_the_environment_and_the_flags_make_of_it() {
    let mut command = headwater(&["config", "--output", "json"]);
    command.env("HEADWATER_ALLOW_PROCESSES", "1").env("HEADWATER_LISTEN", "127.0.0.1:7").env("HEADWATER_SHARDS", "9");
    command.env("HEADWATER_POSTGRES_URL", "postgres://me:s3cret@db/x").env("HEADWATER_WORKSPACES", "a,b");
    command.env("HEADWATER_NATS_USER", "me").env("HEADWATER_NATS_PASSWORD", "s3cret");
    let output = ended(command).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("s3cret"), "{text}");
    let shown: Value = serde_json::from_str(&text).unwrap();
    for server in ["dev", "serve"] {
        let settings = &shown[server];
        assert_eq!(settings["allow-processes"], true, "{server}");
        assert_eq!(settings["allow-private-addresses"], false, "{server}");
        assert_eq!(settings["listen"], "127.0.0.1:7", "{server}");
        assert_eq!(settings["shards"], 9, "{server}");
        assert_eq!(settings["workspaces"], json!(["a", "b"]), "{server}");
    }
    assert_eq!(shown["serve"]["postgres-url"], "postgres://me:(hidden)@db/x");
    assert_eq!(shown["dev"]["postgres-url"], "(its own)");

    let shown = ended(headwater(&["config", "dev", "--allow-private-addresses"])).await;
    let text = String::from_utf8(shown.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("allow-private-addresses")).unwrap();
    assert!(line.trim_end().ends_with("true"), "{text}");
    let mut command = headwater(&["config"]);
    command.env("HEADWATER_LOG", "headwater=notalevel");
    assert_eq!(ended(command).await.status.code(), Some(2));
}
