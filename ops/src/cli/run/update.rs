//! `run update`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::given;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run update` takes.
#[derive(Debug, Args)]
pub struct UpdateSettings {
    run: String,
    /// Which signal it is.
    name: String,
    /// Which of several waiting for it is meant.
    #[arg(long)]
    key: Option<String>,
    /// What it says: JSON, else text; `@file`, or `@-` for standard input.
    #[arg(long, value_name = "PAYLOAD")]
    payload: Option<String>,
    /// How long the answer is waited for, at most 60s.
    #[arg(long, default_value = "30s")]
    wait: String,
    /// Said again under the same key, it is the same update, and is answered as it was.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: UpdateSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let mut body = json!({"name": settings.name});
    if let Some(key) = &settings.key {
        body["key"] = json!(key);
    }
    if let Some(payload) = &settings.payload {
        body["payload"] = given::json_or_text("--payload", &given::text(payload)?)?;
    }
    let path = format!("/runs/{}/updates", settings.run);
    let mut request = client.request(Method::POST, &path).query(&[("wait", &settings.wait)]).json(&body);
    if let Some(key) = &settings.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let answered = client.send(request).await?;
    let is_answered = answered.get("reply").is_some();
    show::answer(client.output, &answered, || {
        let reply = if is_answered { show::cell(&answered["reply"]) } else { "not yet".to_owned() };
        let ids = ["runId", "updateId"].map(|name| (name, show::cell(&answered[name])));
        show::card(ids.into_iter().chain([("reply", reply)]))
    });
    Ok(if is_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
