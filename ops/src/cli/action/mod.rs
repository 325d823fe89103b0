//! `action`: the actions that workflows share.

mod list;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;

/// What can be asked of reusable actions.
#[derive(Debug, Subcommand)]
pub enum ActionCommand {
    /// List the actions there are.
    List(list::ListSettings),
    /// Show a version of an action, and who uses the action.
    Show(show::ShowSettings),
}

pub async fn run(command: ActionCommand) -> Result<ExitCode, Failure> {
    match command {
        ActionCommand::List(settings) => list::run(settings).await,
        ActionCommand::Show(settings) => show::run(settings).await,
    }
}
