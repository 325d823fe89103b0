//! `run retry`, `run restart`, `run fork`, `run diff`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::given::{self, invalid};
use super::watch::{self, Progress};
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run retry` takes.
#[derive(Debug, Args)]
pub struct RetrySettings {
    /// One that failed or was cancelled.
    run: String,
    #[command(flatten)]
    next: NextSettings,
}

/// What `run restart` takes.
#[derive(Debug, Args)]
pub struct RestartSettings {
    /// One that has ended.
    run: String,
    /// From which node on, in whatever branch.
    node: String,
    #[command(flatten)]
    next: NextSettings,
}

/// What `run fork` takes.
#[derive(Debug, Args)]
pub struct ForkSettings {
    run: String,
    /// From which event of the run on; else from where it stands.
    #[arg(long)]
    revision: Option<u64>,
    /// Another input: a JSON object, `@file`, or `@-` for standard input.
    #[arg(long)]
    input: Option<String>,
    /// Another version of the workflow.
    #[arg(long)]
    version: Option<u32>,
    /// Publish no asset, call no workflow, make no asset that is missing.
    #[arg(long)]
    sandbox: bool,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    next: NextSettings,
}

/// What whoever starts a run that goes on from another may say.
#[derive(Debug, Args)]
struct NextSettings {
    /// Written down with the new run.
    #[arg(long)]
    reason: Option<String>,
    /// Makes it safe to repeat: the same key starts the same run.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Wait for the new run's end: exits with 0 when it succeeds, with 1 when it does not.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `run diff` takes.
#[derive(Debug, Args)]
pub struct DiffSettings {
    run: String,
    /// The run to compare it with; else the one that it goes on from.
    with: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn retry(settings: RetrySettings) -> Result<ExitCode, Failure> {
    let RetrySettings { run, next } = settings;
    begin(&next, &format!("/runs/{run}/retry"), json!({})).await
}

pub async fn restart(settings: RestartSettings) -> Result<ExitCode, Failure> {
    let RestartSettings { run, node, next } = settings;
    begin(&next, &format!("/runs/{run}/restart"), json!({"node": node})).await
}

pub async fn fork(settings: ForkSettings) -> Result<ExitCode, Failure> {
    let ForkSettings { run, revision, input, version, sandbox, dry_run, next } = settings;
    let mut body = json!({"revision": revision, "version": version, "sandbox": sandbox, "dryRun": dry_run});
    if let Some(input) = &input {
        let text = given::text(input)?;
        let json = headwater_core::Json::parse_strict(&text).map_err(|error| invalid(format!("--input: {error}")))?;
        body["input"] = json.to_value();
    }
    begin(&next, &format!("/runs/{run}/fork"), body).await
}

async fn begin(settings: &NextSettings, path: &str, mut body: Value) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    body["reason"] = json!(settings.reason);
    let mut request = client.request(Method::POST, path).json(&body);
    if let Some(key) = &settings.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let begun = client.send(request).await?;
    if begun["dryRun"] == true {
        show::answer(client.output, &begun, || foreseen(&begun));
        return Ok(ExitCode::SUCCESS);
    }
    if settings.wait {
        let (run, token) = (show::cell(&begun["runId"]), show::cell(&begun["token"]));
        return watch::until_end(&client, &run, Some(token), Progress::Hidden).await;
    }
    show::answer(client.output, &begun, || {
        let recalled = format!("{} results of run {}", begun["recalled"], show::cell(&begun["continuedFrom"]["run"]));
        show::card([
            ("run", show::cell(&begun["runId"])),
            ("goes on with", recalled),
            ("token", show::cell(&begun["token"])),
        ])
    });
    Ok(ExitCode::SUCCESS)
}

/// What a fork would do, as people see it.
fn foreseen(preview: &Value) -> String {
    let nodes = preview["nodes"].as_array().into_iter().flatten();
    let rows = nodes.map(|node| vec![show::cell(&node["node"]), show::cell(&node["what"])]);
    let mut text = show::table(&["NODE", "WOULD BE"], rows);
    if preview["leftOut"] != 0 {
        text.push_str(&format!("\nand {} more", preview["leftOut"]));
    }
    text
}

pub async fn diff(settings: DiffSettings) -> Result<ExitCode, Failure> {
    let DiffSettings { run, with, api } = settings;
    let client = Client::new(&api)?;
    let mut request = client.request(Method::GET, &format!("/runs/{run}/diff"));
    if let Some(with) = &with {
        request = request.query(&[("with", with)]);
    }
    let found = client.send(request).await?;
    show::answer(client.output, &found, || differences(&found));
    Ok(ExitCode::SUCCESS)
}

/// In what two runs differ, as people see it.
fn differences(found: &Value) -> String {
    let came = |of: &Value| match of["status"].as_str() {
        None => "-".to_owned(),
        Some(status) => {
            let made = if of["error"].is_null() { &of["output"] } else { &of["error"] };
            let short: String = made.to_string().chars().take(40).collect();
            format!("{status} {short}{}", if of["reused"] == true { " (reused)" } else { "" })
        }
    };
    let nodes = found["nodes"].as_array().into_iter().flatten();
    let rows = nodes.map(|node| vec![show::cell(&node["path"]), came(&node["with"]), came(&node["here"])]);
    let mut text = show::table(&["NODE", "THERE", "HERE"], rows);
    text.push_str(&format!(
        "\n{} nodes came to the same, {} did not; they took {} ms, and {} ms there",
        found["same"], found["different"], found["tookMs"], found["tookWithMs"]
    ));
    text
}
