//! `run cancel`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use headwater_core::definition::parse_span;
use reqwest::Method;
use serde_json::json;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run cancel` takes.
#[derive(Debug, Args)]
pub struct CancelSettings {
    run: String,
    /// Recorded with the run.
    #[arg(long, default_value = "")]
    reason: String,
    /// Leave what has succeeded as it is: undo nothing.
    #[arg(long)]
    no_compensate: bool,
    /// How long what workers hold may still come to an end by itself, as 30s.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    grace: Option<Duration>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: CancelSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let request = client.request(Method::POST, &format!("/runs/{}/cancel", settings.run));
    let mut said = json!({"reason": settings.reason});
    if settings.no_compensate {
        said["compensate"] = json!(false);
    }
    if let Some(grace) = settings.grace {
        said["graceMs"] = json!(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    }
    let cancelled = client.send(request.json(&said)).await?;
    show::answer(client.output, &cancelled, || {
        show::card(["runId", "status", "token"].map(|name| (name, show::cell(&cancelled[name]))))
    });
    Ok(ExitCode::SUCCESS)
}
