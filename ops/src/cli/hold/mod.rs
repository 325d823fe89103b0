//! `hold`: shards whose journals contradict what was seen of them, and the way out where the journals do not come back.

mod list;
mod release;

use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;

/// What can be done about shards on hold.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// List the shards on hold: why, what the broker shows of their journals, and what can be done.
    List(list::ListSettings),
    /// Accept the journal of a shard as it is found. What it does not tell is given up, for good.
    Release(release::ReleaseSettings),
}

pub async fn run(command: HoldCommand) -> Result<ExitCode, Failure> {
    match command {
        HoldCommand::List(settings) => list::run(settings).await,
        HoldCommand::Release(settings) => release::run(settings).await,
    }
}
