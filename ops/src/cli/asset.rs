//! `asset`: what was made, by whom, for whom.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{ApiSettings, Client};
use super::{Failure, show};

/// What can be asked of assets.
#[derive(Debug, Subcommand)]
pub enum AssetCommand {
    /// List the assets there are.
    List(ListSettings),
    /// Show an asset with everybody who makes and uses it.
    Get(GetSettings),
    /// List the versions of an asset, newest first.
    History(HistorySettings),
}

/// What `asset list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    /// What their ids begin with.
    #[arg(long)]
    prefix: Option<String>,
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Where the page begins: what the page before said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `asset get` takes.
#[derive(Debug, Args)]
pub struct GetSettings {
    asset: String,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `asset history` takes.
#[derive(Debug, Args)]
pub struct HistorySettings {
    asset: String,
    /// Of one partition only.
    #[arg(long)]
    partition: Option<String>,
    #[arg(long, default_value_t = 10)]
    limit: u32,
    /// Where the page begins: what the page before said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(command: AssetCommand) -> Result<ExitCode, Failure> {
    match command {
        AssetCommand::List(settings) => list(settings).await,
        AssetCommand::Get(settings) => get(settings).await,
        AssetCommand::History(settings) => history(settings).await,
    }
}

fn given(limit: u32, others: [(&'static str, Option<String>); 2]) -> Vec<(&'static str, String)> {
    let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
    std::iter::once(("limit", limit.to_string())).chain(others).collect()
}

async fn list(settings: ListSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let query = given(settings.limit, [("prefix", settings.prefix), ("cursor", settings.cursor)]);
    let page = client.get("/assets", &query).await?;
    show::answer(client.output, &page, || {
        let columns = ["assetId", "latestVersion", "latestPartitionKey", "latestProducedAt", "latestWorkflow"];
        let rows = show::items(&page, "assets").map(|asset| columns.map(|name| show::cell(&asset[name])).to_vec());
        show::table(&["asset", "version", "partition", "produced", "workflow"], rows)
    });
    show::next_page(&page);
    Ok(ExitCode::SUCCESS)
}

async fn get(settings: GetSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let asset = client.get(&format!("/assets/{}", settings.asset), &[]).await?;
    show::answer(client.output, &asset, || {
        let edges = ["producers", "consumers"].into_iter().flat_map(|role| {
            show::items(&asset, role).map(move |edge| {
                let step = format!("{} v{}", show::cell(&edge["workflow"]), edge["workflowVersion"]);
                vec![role.trim_end_matches('s').to_owned(), step, show::cell(&edge["stepId"])]
            })
        });
        let latest = &asset["latest"];
        let card = show::card([
            ("asset", show::cell(&asset["assetId"])),
            ("version", show::cell(&latest["version"])),
            ("partition", show::cell(&latest["partitionKey"])),
            ("produced", show::cell(&latest["producedAt"])),
            ("run", show::cell(&latest["runId"])),
            ("payload", show::cell(&latest["payload"])),
        ]);
        format!("{card}\n\n{}", show::table(&["role", "workflow", "step"], edges))
    });
    Ok(ExitCode::SUCCESS)
}

async fn history(settings: HistorySettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let query = given(settings.limit, [("partitionKey", settings.partition), ("cursor", settings.cursor)]);
    let page = client.get(&format!("/assets/{}/history", settings.asset), &query).await?;
    show::answer(client.output, &page, || {
        let columns = ["version", "partitionKey", "producedAt", "workflow", "runId"];
        let rows = show::items(&page, "history").map(|version| {
            let cells = columns.map(|name| show::cell(&version[name]));
            let last = [show::actor(&version["runStartedBy"]), show::glance(&version["payload"])];
            cells.into_iter().chain(last).collect()
        });
        show::table(&["version", "partition", "produced", "workflow", "run", "by", "payload"], rows)
    });
    show::next_page(&page);
    Ok(ExitCode::SUCCESS)
}
