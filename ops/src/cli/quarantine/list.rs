//! `quarantine list`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `quarantine list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(ListSettings { api }: ListSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&api)?;
    let listed = client.get("/quarantine", &[]).await?;
    show::answer(client.output, &listed, || table(&listed));
    Ok(ExitCode::SUCCESS)
}

fn table(listed: &Value) -> String {
    let rows = show::items(listed, "aggregates").map(|one| {
        let cells = ["aggregate", "shard", "since", "parked"].map(|name| show::cell(&one[name]));
        cells.into_iter().chain([show::glance(&one["reason"])]).collect()
    });
    show::table(&["aggregate", "shard", "since", "parked", "reason"], rows)
}
