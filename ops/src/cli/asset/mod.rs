//! `asset`: what was made, by whom, for whom.

mod get;
mod history;
mod list;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

/// What can be asked of assets.
#[derive(Debug, Subcommand)]
pub enum AssetCommand {
    /// List the assets there are.
    List(list::ListSettings),
    /// Show an asset with everybody who makes and uses it.
    Get(get::GetSettings),
    /// List the versions of an asset, newest first.
    History(history::HistorySettings),
}

/// As of when.
#[derive(Debug, Args)]
struct Moment {
    /// As it was then: an RFC 3339 time, or a token that a write answered.
    #[arg(long, value_name = "TIME|TOKEN")]
    as_of: Option<String>,
}

pub async fn run(command: AssetCommand) -> Result<ExitCode, Failure> {
    match command {
        AssetCommand::List(settings) => list::run(settings).await,
        AssetCommand::Get(settings) => get::run(settings).await,
        AssetCommand::History(settings) => history::run(settings).await,
    }
}

/// What a list is asked for: its limit, and of the others those that are given.
fn given(limit: u32, others: [(&'static str, Option<String>); 3]) -> Vec<(&'static str, String)> {
    let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
    std::iter::once(("limit", limit.to_string())).chain(others).collect()
}
