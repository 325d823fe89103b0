//! `workflow pause`, `workflow resume`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `workflow pause` and `workflow resume` take.
#[derive(Debug, Args)]
pub struct PauseSettings {
    workflow: String,
    /// Written down with it.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: PauseSettings, word: &str) -> Result<ExitCode, Failure> {
    let PauseSettings { workflow, reason, api } = settings;
    let client = Client::new(&api)?;
    let request = client.request(Method::POST, &format!("/workflows/{workflow}/{word}"));
    let done = client.send(request.json(&json!({"reason": reason}))).await?;
    show::answer(client.output, &done, || {
        show::card([
            ("workflow", show::cell(&done["slug"])),
            ("current", show::cell(&done["version"])),
            ("paused", show::cell(&done["paused"])),
        ])
    });
    Ok(ExitCode::SUCCESS)
}
