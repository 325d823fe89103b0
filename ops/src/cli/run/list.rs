//! `run list`

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    #[arg(long)]
    workflow: Option<String>,
    /// queued, running, waiting, paused, succeeded, failed or cancelled.
    #[arg(long)]
    status: Option<String>,
    /// What it is called, exactly.
    #[arg(long)]
    name: Option<String>,
    /// A label that it has. Can be given several times.
    #[arg(long = "label", value_name = "KEY:VALUE")]
    labels: Vec<String>,
    /// A search attribute that it has. Can be given several times.
    #[arg(long = "attribute", value_name = "KEY:VALUE")]
    attributes: Vec<String>,
    /// A value at the top of its input: a text, a number or a truth value. Can be given several times.
    #[arg(long = "input", value_name = "KEY:VALUE")]
    inputs: Vec<String>,
    /// It started then, or later.
    #[arg(long, value_name = "TIME")]
    started_from: Option<String>,
    /// It started before.
    #[arg(long, value_name = "TIME")]
    started_before: Option<String>,
    /// The run that called it.
    #[arg(long)]
    parent: Option<String>,
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Where the page begins: what the page before said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ListSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let mut query = Vec::new();
    let given = [
        ("workflow", settings.workflow),
        ("status", settings.status),
        ("name", settings.name),
        ("parent", settings.parent),
        ("startedFrom", settings.started_from),
        ("startedBefore", settings.started_before),
    ];
    query.extend(settings.labels.into_iter().map(|label| ("label", label)));
    query.extend(settings.attributes.into_iter().map(|attribute| ("attribute", attribute)));
    query.extend(settings.inputs.into_iter().map(|input| ("input", input)));
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let page = whole_page(&client, query, settings.limit, settings.cursor).await?;
    show::answer(client.output, &page, || {
        let columns = ["runId", "workflow", "version", "status", "startedAt", "completedAt", "name"];
        let rows = show::items(&page, "runs").map(|run| columns.map(|name| show::cell(&run[name])).to_vec());
        show::table(&["run", "workflow", "version", "status", "started", "ended", "name"], rows)
    });
    show::next_page(&page);
    Ok(ExitCode::SUCCESS)
}

/// Asks until there are as many runs as wanted, or no more: where several conditions hold, an answer can have fewer and go on.
async fn whole_page(
    client: &Client,
    query: Vec<(&'static str, String)>,
    limit: u32,
    mut cursor: Option<String>,
) -> Result<Value, Failure> {
    let mut runs: Vec<Value> = Vec::new();
    loop {
        let mut asked = query.clone();
        let left = u64::from(limit).saturating_sub(runs.len() as u64);
        asked.push(("limit", left.to_string()));
        asked.extend(cursor.map(|cursor| ("cursor", cursor)));
        let mut page = client.get("/runs", &asked).await?;
        let Value::Array(mut more) = page["runs"].take() else { return Ok(page) };
        runs.append(&mut more);
        let next = page["next"].as_str().map(str::to_owned);
        if next.is_none() || runs.len() as u64 >= u64::from(limit) {
            return Ok(json!({ "runs": runs, "next": next }));
        }
        cursor = next;
    }
}
