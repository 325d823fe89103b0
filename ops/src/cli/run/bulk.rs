//! `run bulk`

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};
use crate::codes::Exit;

/// What `run bulk` takes.
#[derive(Debug, Args)]
pub struct BulkSettings {
    /// What is done to each run.
    operation: BulkOperation,
    /// Only runs of this workflow.
    #[arg(long)]
    workflow: Option<String>,
    /// Only those that are running, or paused.
    #[arg(long)]
    status: Option<String>,
    /// Only those with this label; several times: with all of them.
    #[arg(long = "label", value_name = "KEY:VALUE")]
    labels: Vec<String>,
    /// Only those that started then or later, as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    started_from: Option<String>,
    /// Only those that started before.
    #[arg(long, value_name = "TIME")]
    started_before: Option<String>,
    /// Written down with each run.
    #[arg(long)]
    reason: Option<String>,
    /// Do it; without, it is only said how many runs are meant.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    api: ApiSettings,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BulkOperation {
    Pause,
    Resume,
    Cancel,
    Terminate,
}

pub async fn run(settings: BulkSettings) -> Result<ExitCode, Failure> {
    let BulkSettings { operation, workflow, status, labels, started_from, started_before, reason, yes, api } = settings;
    let client = Client::new(&api)?;
    let operation = operation.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut of = Map::new();
    for label in labels {
        let (key, value) = label.split_once(':').ok_or_else(|| {
            Failure::new(format!("--label is KEY:VALUE, and {label:?} has no colon")).exit(Exit::InvalidInput)
        })?;
        of.insert(key.to_owned(), json!(value));
    }
    let filter = json!({"workflow": workflow, "status": status, "labels": of,
        "startedFrom": started_from, "startedBefore": started_before});
    let mut body = json!({"operation": operation, "filter": filter, "reason": reason, "preview": !yes});
    let mut sum = json!({"operation": operation, "matching": Value::Null, "done": 0, "ended": 0, "unanswered": 0});
    loop {
        let piece = client.send(client.request(Method::POST, "/runs/bulk").json(&body)).await?;
        if sum["matching"].is_null() {
            sum["matching"] = piece["matching"].clone();
        }
        for count in ["done", "ended", "unanswered"] {
            sum[count] = json!(sum[count].as_u64().unwrap_or_default() + piece[count].as_u64().unwrap_or_default());
        }
        if piece["cursor"].is_null() {
            break;
        }
        eprintln!("{} of {} runs; what is left is left where you stop now", sum["done"], sum["matching"]);
        body["cursor"] = piece["cursor"].clone();
    }
    show::answer(client.output, &sum, || {
        let rows = ["operation", "matching", "done", "ended", "unanswered"].map(|name| (name, show::cell(&sum[name])));
        let more = if yes { "" } else { "\nNothing was done: say --yes to do it." };
        show::card(rows) + more
    });
    Ok(if sum["unanswered"] == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
