//! `quarantine show`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::path;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `quarantine show` takes.
#[derive(Debug, Args)]
pub struct ShowSettings {
    /// As `quarantine list` names it.
    aggregate: String,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(ShowSettings { aggregate, api }: ShowSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&api)?;
    let found = client.get(&path(&aggregate), &[]).await?;
    show::answer(client.output, &found, || cards(&found));
    Ok(ExitCode::SUCCESS)
}

fn cards(found: &Value) -> String {
    let names = ["aggregate", "shard", "reason", "at", "lastRevision", "since", "parked"];
    let cards =
        show::items(found, "aggregates").map(|one| show::card(names.map(|name| (name, show::cell(&one[name])))));
    cards.collect::<Vec<_>>().join("\n\n")
}
