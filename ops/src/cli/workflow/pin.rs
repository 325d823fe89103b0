//! `workflow pin`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `workflow pin` takes.
#[derive(Debug, Args)]
pub struct PinSettings {
    workflow: String,
    /// The version that starts take which name none.
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    version: Option<u32>,
    /// Let them take the current version again.
    #[arg(long)]
    none: bool,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: PinSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let version = settings.version.filter(|_| !settings.none);
    let request = client.request(Method::POST, &format!("/workflows/{}/pin", settings.workflow));
    let pinned = client.send(request.json(&json!({"version": version}))).await?;
    show::answer(client.output, &pinned, || {
        show::card([
            ("workflow", show::cell(&pinned["slug"])),
            ("current", show::cell(&pinned["version"])),
            ("pinned to", show::cell(&pinned["pinnedVersion"])),
        ])
    });
    Ok(ExitCode::SUCCESS)
}
