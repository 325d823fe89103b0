//! `asset get`

use std::process::ExitCode;

use clap::Args;

use super::Moment;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `asset get` takes.
#[derive(Debug, Args)]
pub struct GetSettings {
    asset: String,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: GetSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let query: Vec<_> = settings.moment.as_of.map(|as_of| ("asOf", as_of)).into_iter().collect();
    let asset = client.get(&format!("/assets/{}", settings.asset), &query).await?;
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
