//! `run list`

use std::process::ExitCode;

use clap::Args;

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
    let mut query = vec![("limit", settings.limit.to_string())];
    let given = [
        ("workflow", settings.workflow),
        ("status", settings.status),
        ("name", settings.name),
        ("parent", settings.parent),
        ("cursor", settings.cursor),
    ];
    query.extend(settings.labels.into_iter().map(|label| ("label", label)));
    query.extend(settings.attributes.into_iter().map(|attribute| ("attribute", attribute)));
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let page = client.get("/runs", &query).await?;
    show::answer(client.output, &page, || {
        let columns = ["runId", "workflow", "version", "status", "startedAt", "completedAt", "name"];
        let rows = show::items(&page, "runs").map(|run| columns.map(|name| show::cell(&run[name])).to_vec());
        show::table(&["run", "workflow", "version", "status", "started", "ended", "name"], rows)
    });
    show::next_page(&page);
    Ok(ExitCode::SUCCESS)
}
