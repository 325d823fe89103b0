//! `task reassign`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::list::assignees;
use super::named;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `task reassign` takes.
#[derive(Debug, Args)]
pub struct ReassignSettings {
    /// As `task list` names it; without the attempt, whichever is open.
    task: String,
    /// Who is asked instead. Can be given several times.
    #[arg(long = "to", value_name = "NAME", required = true)]
    to: Vec<String>,
    /// Recorded with the run.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ReassignSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let task = named(&settings.task)?;
    let body = json!({"assignees": settings.to, "reason": settings.reason, "attempt": task.attempt});
    let path = format!("/runs/{}/tasks/{}/reassign", task.run, task.node);
    let reassigned = client.send(client.request(Method::POST, &path).json(&body)).await?;
    show::answer(client.output, &reassigned, || {
        let mut rows = ["runId", "node", "token"].map(|name| (name, show::cell(&reassigned[name]))).to_vec();
        rows.push(("assignees", assignees(&reassigned["assignees"])));
        show::card(rows)
    });
    Ok(ExitCode::SUCCESS)
}
