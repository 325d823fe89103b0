//! `task answer`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::{given, named};
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `task answer` takes.
#[derive(Debug, Args)]
pub struct AnswerSettings {
    /// As `task list` names it; without the attempt, whichever is open.
    task: String,
    /// What is answered: JSON, else text; `@file`, or `@-` for standard input.
    value: String,
    /// Who answers. Absent: `--actor`.
    #[arg(long)]
    by: Option<String>,
    /// Said again under the same key, it is the same answer.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: AnswerSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let task = named(&settings.task)?;
    let value = given::json_or_text("VALUE", &given::text(&settings.value)?)?;
    let body = json!({"value": value, "by": settings.by, "attempt": task.attempt});
    let path = format!("/runs/{}/tasks/{}/answers", task.run, task.node);
    let mut request = client.request(Method::POST, &path).json(&body);
    if let Some(key) = &settings.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let answered = client.send(request).await?;
    show::answer(client.output, &answered, || {
        let mut rows = ["runId", "node", "answerId", "token"].map(|name| (name, show::cell(&answered[name]))).to_vec();
        rows.push(("by", show::actor(&answered["by"])));
        show::card(rows)
    });
    Ok(ExitCode::SUCCESS)
}
