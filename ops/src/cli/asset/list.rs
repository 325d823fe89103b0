//! `asset list`

use std::process::ExitCode;

use clap::Args;

use super::{Moment, given};
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

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
    moment: Moment,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ListSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let query = given(
        settings.limit,
        [("prefix", settings.prefix), ("cursor", settings.cursor), ("asOf", settings.moment.as_of)],
    );
    let page = client.get("/assets", &query).await?;
    show::answer(client.output, &page, || {
        let columns = ["assetId", "latestVersion", "latestPartitionKey", "latestProducedAt", "latestWorkflow"];
        let rows = show::items(&page, "assets").map(|asset| columns.map(|name| show::cell(&asset[name])).to_vec());
        show::table(&["asset", "version", "partition", "produced", "workflow"], rows)
    });
    show::next_page(&page);
    Ok(ExitCode::SUCCESS)
}
