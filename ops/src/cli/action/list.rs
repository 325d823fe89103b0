//! `action list`

use std::process::ExitCode;

use clap::Args;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `action list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Where the page begins: what the page before said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ListSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let cursor = settings.cursor.map(|cursor| ("cursor", cursor));
    let query: Vec<_> = std::iter::once(("limit", settings.limit.to_string())).chain(cursor).collect();
    let page = client.get("/actions", &query).await?;
    show::answer(client.output, &page, || {
        let columns = ["slug", "version", "workflows", "updatedAt", "description"];
        let rows = show::items(&page, "actions").map(|action| columns.map(|name| show::cell(&action[name])).to_vec());
        show::table(&["action", "version", "workflows", "updated", ""], rows)
    });
    show::next_page(&page);
    Ok(ExitCode::SUCCESS)
}
