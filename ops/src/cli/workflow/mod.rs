//! Commands on definitions: applying them, saying what is wrong with them, and what became of them.

pub mod apply;
mod diff;
pub mod files;
mod pause;
mod pin;
pub mod validate;

use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;

/// What can be asked of workflows.
#[derive(Debug, Subcommand)]
pub enum WorkflowCommand {
    /// Say what changes from a version to another, node by node.
    Diff(diff::DiffSettings),
    /// Hold a workflow at a version whatever is applied, or let it go.
    Pin(pin::PinSettings),
    /// Have nothing start a workflow before it is resumed; what runs goes on.
    Pause(pause::PauseSettings),
    /// Have a workflow be started again.
    Resume(pause::PauseSettings),
}

pub async fn run(command: WorkflowCommand) -> Result<ExitCode, Failure> {
    match command {
        WorkflowCommand::Diff(settings) => diff::run(settings).await,
        WorkflowCommand::Pin(settings) => pin::run(settings).await,
        WorkflowCommand::Pause(settings) => pause::run(settings, "pause").await,
        WorkflowCommand::Resume(settings) => pause::run(settings, "resume").await,
    }
}
