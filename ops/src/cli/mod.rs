//! What people type. One command, one file, one folder a resource; servers and clients alike.

mod action;
mod asset;
pub mod client;
mod config;
mod doctor;
mod hold;
mod quarantine;
mod rebuild;
mod run;
mod serve;
mod show;
mod task;
mod test;
mod workflow;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::dev::DevSettings;
use crate::failure::Failure;
use crate::settings::ServeSettings;
use crate::telemetry::LogFormat;

/// An event-sourced workflow engine over NATS JetStream, with an asset catalogue folded out of the same stream.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, max_term_width = 100)]
pub struct Arguments {
    /// How log lines look, on standard error.
    #[arg(long, env = "HEADWATER_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything here, with a broker and a database of its own.
    Dev(DevSettings),
    /// Run one process of the engine against an existing broker and database.
    Serve(ServeSettings),
    /// Show what `serve` and `dev` would go by: flags, environment and defaults together. Secrets are hidden.
    Config(config::ConfigSettings),
    /// Make definitions the current versions of their workflows.
    Apply(workflow::apply::ApplySettings),
    /// Say everything that is wrong with definitions, without an engine.
    Validate(workflow::validate::ValidateSettings),
    /// Play runs on paper: mocks for handlers, a clock that is told, and what is to come of it.
    Test(test::TestSettings),
    /// Look at what became of workflows.
    #[command(subcommand)]
    Workflow(workflow::WorkflowCommand),
    /// Look at the actions that workflows share.
    #[command(subcommand)]
    Action(action::ActionCommand),
    /// Start runs, look at them, follow and stop them.
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Look at what people are asked, and answer.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Look at assets: what was made, by whom, for whom.
    #[command(subcommand)]
    Asset(asset::AssetCommand),
    /// Look at what was set aside because its history cannot be gone on from, and release it.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Look at shards whose journals contradict what was seen of them, and accept a journal as it is found.
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    /// Say whether broker, streams, database and shards are as they should be.
    Doctor(doctor::DoctorSettings),
    /// Make the read models anew from the journals, compare, and put them in place.
    Rebuild(rebuild::RebuildSettings),
    /// Measure, beside the bare broker, and print a table and JSON.
    Bench(crate::bench::BenchSettings),
    /// The worker process that the benchmarks start.
    #[command(hide = true)]
    BenchWorker(crate::bench::WorkerSettings),
}

impl Arguments {
    /// Returns whether this is a process that stays.
    pub fn is_server(&self) -> bool {
        self.process() == Process::Server
    }

    /// Returns what it runs on: every core, but for a worker of which there may be many, as `docs/workers.md` recommends.
    pub fn runtime(&self) -> tokio::runtime::Builder {
        match self.process() {
            Process::Worker => tokio::runtime::Builder::new_current_thread(),
            Process::Server | Process::Errand => tokio::runtime::Builder::new_multi_thread(),
        }
    }

    fn process(&self) -> Process {
        match self.command {
            Command::Dev(_) | Command::Serve(_) => Process::Server,
            Command::BenchWorker(_) => Process::Worker,
            Command::Config(_)
            | Command::Apply(_)
            | Command::Validate(_)
            | Command::Test(_)
            | Command::Workflow(_)
            | Command::Action(_)
            | Command::Run(_)
            | Command::Task(_)
            | Command::Asset(_)
            | Command::Quarantine(_)
            | Command::Hold(_)
            | Command::Doctor(_)
            | Command::Rebuild(_)
            | Command::Bench(_) => Process::Errand,
        }
    }
}

/// What the process of a command is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    /// It stays.
    Server,
    /// One of many beside each other.
    Worker,
    /// It ends when it has done what it was asked for.
    Errand,
}

/// Carries out a command.
///
/// # Errors
/// What to print on standard error, and the exit code.
pub async fn carry_out(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Dev(settings) => serve::dev(settings).await,
        Command::Serve(settings) => serve::serve(settings).await,
        Command::Config(settings) => config::run(settings, arguments.log_format),
        Command::Apply(settings) => workflow::apply::run(settings).await,
        Command::Validate(settings) => workflow::validate::run(&settings),
        Command::Test(settings) => test::run(&settings),
        Command::Workflow(command) => workflow::run(command).await,
        Command::Action(command) => action::run(command).await,
        Command::Run(command) => run::run(command).await,
        Command::Task(command) => task::run(command).await,
        Command::Asset(command) => asset::run(command).await,
        Command::Quarantine(command) => quarantine::run(command).await,
        Command::Hold(command) => hold::run(command).await,
        Command::Doctor(settings) => doctor::run(settings).await,
        Command::Rebuild(settings) => rebuild::run(settings).await,
        Command::Bench(settings) => crate::bench::run(settings).await,
        Command::BenchWorker(settings) => crate::bench::work(settings).await,
    }
}

#[cfg(test)]
mod flags;
