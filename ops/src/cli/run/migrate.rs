//! `run migrate`

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};
use crate::codes::Exit;

/// What `run migrate` takes.
#[derive(Debug, Args)]
pub struct MigrateSettings {
    run: String,
    /// The version that it goes over to.
    #[arg(long)]
    version: u32,
    /// A node that is called otherwise there: `old=new`; `old=` of one that is gone. As often as needed.
    #[arg(long, value_name = "OLD=NEW")]
    map: Vec<String>,
    /// Only say whether it could, and everything that is in the way.
    #[arg(long)]
    dry_run: bool,
    /// Written down with the run.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: MigrateSettings) -> Result<ExitCode, Failure> {
    let MigrateSettings { run, version, map, dry_run, reason, api } = settings;
    let mut pairs = Map::new();
    for pair in &map {
        let Some((from, to)) = pair.split_once('=') else {
            return Err(Failure::new(format!("--map {pair}: say it as old=new, or old= of one that is gone"))
                .exit(Exit::InvalidInput));
        };
        pairs.insert(from.to_owned(), if to.is_empty() { Value::Null } else { to.into() });
    }
    let body = json!({"version": version, "map": pairs, "dryRun": dry_run, "reason": reason});
    let client = Client::new(&api)?;
    let done = client.send(client.request(Method::POST, &format!("/runs/{run}/migrate")).json(&body)).await?;
    show::answer(client.output, &done, || {
        show::card(["runId", "version", "dryRun", "token"].map(|name| (name, show::cell(&done[name]))))
    });
    Ok(ExitCode::SUCCESS)
}
