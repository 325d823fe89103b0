//! `run pause`, `run resume`, `run terminate`, `run skip`, `run complete`, `run timer`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::given;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run pause` and `run resume` take.
#[derive(Debug, Args)]
pub struct PauseSettings {
    run: String,
    /// Only this node, in whatever branch.
    #[arg(long)]
    node: Option<String>,
    /// Written down with the run.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `run terminate` takes.
#[derive(Debug, Args)]
pub struct TerminateSettings {
    run: String,
    /// Written down with the run.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `run skip` takes.
#[derive(Debug, Args)]
pub struct SkipSettings {
    run: String,
    /// A node that has begun, and the branch that it is in: `report`, `check@17`.
    node: String,
    /// Written down with the run.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `run complete` takes.
#[derive(Debug, Args)]
pub struct CompleteSettings {
    run: String,
    /// A node that has begun, and the branch that it is in: `report`, `check@17`.
    node: String,
    /// What it has made: JSON, else text; `@file`, or `@-` for standard input.
    #[arg(long, value_name = "OUTPUT")]
    result: Option<String>,
    /// What it has produced: a JSON list of assets, as a handler returns it; `@file`, or `@-` for standard input.
    #[arg(long, value_name = "ASSETS")]
    assets: Option<String>,
    /// Written down with the run.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `run timer` takes.
#[derive(Debug, Args)]
pub struct TimerSettings {
    run: String,
    /// A node that sleeps or waits for its next attempt, and the branch that it is in: `report`, `check@17`.
    node: String,
    /// A time as 2026-01-31T08:00:00Z, or a span from now as 90s.
    due: String,
    /// Written down with the run.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn pause(settings: PauseSettings) -> Result<ExitCode, Failure> {
    let PauseSettings { run, node, reason, api } = settings;
    send(&api, &format!("/runs/{run}/pause"), json!({"node": node, "reason": reason})).await
}

pub async fn resume(settings: PauseSettings) -> Result<ExitCode, Failure> {
    let PauseSettings { run, node, reason, api } = settings;
    send(&api, &format!("/runs/{run}/resume"), json!({"node": node, "reason": reason})).await
}

pub async fn terminate(settings: TerminateSettings) -> Result<ExitCode, Failure> {
    let TerminateSettings { run, reason, api } = settings;
    send(&api, &format!("/runs/{run}/terminate"), json!({"reason": reason})).await
}

pub async fn skip(settings: SkipSettings) -> Result<ExitCode, Failure> {
    let SkipSettings { run, node, reason, api } = settings;
    send(&api, &format!("/runs/{run}/nodes/{node}/skip"), json!({"reason": reason})).await
}

pub async fn complete(settings: CompleteSettings) -> Result<ExitCode, Failure> {
    let CompleteSettings { run, node, result, assets, reason, api } = settings;
    let mut body = json!({"reason": reason});
    if let Some(result) = &result {
        body["output"] = given::json_or_text("--result", &given::text(result)?)?;
    }
    if let Some(assets) = &assets {
        body["assets"] = given::json_or_text("--assets", &given::text(assets)?)?;
    }
    send(&api, &format!("/runs/{run}/nodes/{node}/complete"), body).await
}

pub async fn timer(settings: TimerSettings) -> Result<ExitCode, Failure> {
    let TimerSettings { run, node, due, reason, api } = settings;
    // A time has a date, and a span none.
    let field = if due.contains('-') { "dueAt" } else { "after" };
    send(&api, &format!("/runs/{run}/nodes/{node}/timer"), json!({field: due, "reason": reason})).await
}

async fn send(api: &ApiSettings, path: &str, body: Value) -> Result<ExitCode, Failure> {
    let client = Client::new(api)?;
    let done = client.send(client.request(Method::POST, path).json(&body)).await?;
    show::answer(client.output, &done, || show::card(["runId", "token"].map(|name| (name, show::cell(&done[name])))));
    Ok(ExitCode::SUCCESS)
}
