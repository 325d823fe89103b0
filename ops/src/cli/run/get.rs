//! `run get`

use std::process::ExitCode;

use clap::Args;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run get` takes.
#[derive(Debug, Args)]
pub struct GetSettings {
    run: String,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: GetSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let run = client.get(&format!("/runs/{}", settings.run), &[]).await?;
    show::answer(client.output, &run, || {
        let rows = show::items(&run, "nodes").map(|node| {
            let [id, kind, attempts] = ["nodeId", "kind", "attempts"].map(|name| show::cell(&node[name]));
            vec![id, kind, super::status_of(node), attempts]
        });
        format!("{}\n\n{}", super::card(&run), show::table(&["node", "kind", "status", "attempts"], rows))
    });
    Ok(ExitCode::SUCCESS)
}
