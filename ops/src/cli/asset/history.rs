//! `asset history`

use std::process::ExitCode;

use clap::Args;

use super::{Moment, given};
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

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
    moment: Moment,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: HistorySettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let query = given(
        settings.limit,
        [("partitionKey", settings.partition), ("cursor", settings.cursor), ("asOf", settings.moment.as_of)],
    );
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
