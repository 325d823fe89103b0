//! `run signal`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::given;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run signal` takes.
#[derive(Debug, Args)]
pub struct SignalSettings {
    run: String,
    /// Which signal it is.
    name: String,
    /// Which of several waiting for it is meant.
    #[arg(long)]
    key: Option<String>,
    /// What it says: JSON, else text; `@file`, or `@-` for standard input.
    #[arg(long, value_name = "PAYLOAD")]
    payload: Option<String>,
    /// Every node takes it that waits for it now, and none later.
    #[arg(long)]
    broadcast: bool,
    /// Said again under the same key, it is the same signal.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: SignalSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let mut body = json!({"name": settings.name, "broadcast": settings.broadcast});
    if let Some(key) = &settings.key {
        body["key"] = json!(key);
    }
    if let Some(payload) = &settings.payload {
        body["payload"] = given::json_or_text("--payload", &given::text(payload)?)?;
    }
    let mut request = client.request(Method::POST, &format!("/runs/{}/signals", settings.run)).json(&body);
    if let Some(key) = &settings.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let received = client.send(request).await?;
    show::answer(client.output, &received, || {
        show::card(["runId", "signalId", "token"].map(|name| (name, show::cell(&received[name]))))
    });
    Ok(ExitCode::SUCCESS)
}
