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
        let nodes = show::table(&["node", "kind", "status", "attempts"], rows);
        let calls: Vec<_> = show::items(&run, "traces").filter(|trace| !trace["childRunId"].is_null()).collect();
        let children = calls.into_iter().map(|trace| {
            let [node, attempt, child] = ["nodeId", "attempt", "childRunId"].map(|name| show::cell(&trace[name]));
            vec![node, attempt, child, show::cell(&trace["status"])]
        });
        let children: Vec<_> = children.collect();
        let card = super::card(&run);
        if children.is_empty() {
            return format!("{card}\n\n{nodes}");
        }
        let calls = show::table(&["node", "attempt", "calls run", "status"], children);
        format!("{card}\n\n{nodes}\n\n{calls}")
    });
    Ok(ExitCode::SUCCESS)
}
