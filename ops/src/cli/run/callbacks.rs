//! `run callbacks`

use std::process::ExitCode;

use clap::Args;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run callbacks` takes.
#[derive(Debug, Args)]
pub struct CallbacksSettings {
    run: String,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: CallbacksSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let all = client.get(&format!("/runs/{}/callbacks", settings.run), &[]).await?;
    show::answer(client.output, &all, || {
        let columns = ["node", "attempt", "since", "timesOutAt", "silentFrom", "key", "token"];
        let rows = show::items(&all, "callbacks").map(|one| columns.map(|name| show::cell(&one[name])).to_vec());
        show::table(&["node", "attempt", "since", "times out", "silent from", "key", "token"], rows)
    });
    Ok(ExitCode::SUCCESS)
}
