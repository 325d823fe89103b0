//! `task`: what people are asked, and how they answer.

mod answer;
mod list;
mod reassign;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;
use super::run::given;

/// What can be done with what people are asked.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List what people are asked and have not answered, longest first.
    List(list::ListSettings),
    /// Show what people are asked, with the form of an answer.
    Show(show::ShowSettings),
    /// Answer.
    Answer(answer::AnswerSettings),
    /// Ask others instead.
    Reassign(reassign::ReassignSettings),
}

pub async fn run(command: TaskCommand) -> Result<ExitCode, Failure> {
    match command {
        TaskCommand::List(settings) => list::run(settings).await,
        TaskCommand::Show(settings) => show::run(settings).await,
        TaskCommand::Answer(settings) => answer::run(settings).await,
        TaskCommand::Reassign(settings) => reassign::run(settings).await,
    }
}

/// A task as it is named: run, node, and perhaps attempt, with dots between.
#[derive(Debug, Clone)]
struct Named {
    run: String,
    node: String,
    attempt: Option<u32>,
}

fn named(task: &str) -> Result<Named, Failure> {
    let mut parts = task.split('.').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next().map(|attempt| attempt.parse()), parts.next()) {
        (Some(run), Some(node), None, None) => Ok(Named { run, node, attempt: None }),
        (Some(run), Some(node), Some(Ok(attempt)), None) => Ok(Named { run, node, attempt: Some(attempt) }),
        _ => Err(given::invalid(format!("{task:?} is not a task: a run, a node and an attempt, with dots between"))),
    }
}
