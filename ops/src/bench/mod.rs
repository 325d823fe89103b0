//! How fast it is, beside the bare broker measured in the same run.
//!
//! Every process is real: a broker and a database of its own, an engine and a worker as child processes. What the
//! benchmark itself costs is part of what is measured, because it shares the cores.

mod cluster;
mod dag;
mod figures;
mod graphs;
mod load;
mod queued;
mod scenarios;
mod sleepers;
mod talking;
mod worker;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::failure::Failure;

pub use worker::{WorkerSettings, work};

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Chains of 10 jobs with the projector on, and how far it lags.
    Projected,
    /// Chains of 10 jobs with the projector off, then how fast it catches up, then how fast a rebuild is.
    Jobs,
    /// Chains of 10 pure nodes, projector off.
    Pure,
    /// One run of 10 jobs at a time.
    Single,
    /// From the start of a run to the begin of its first attempt, on an idle system.
    FirstAttempt,
    /// From a signal to the begin of the next attempt, on an idle system.
    Signal,
    /// What is seen of an active run, asked of its shard and over HTTP, while the database is away.
    Live,
    /// Ten thousand runs paused and resumed by a filter.
    Bulk,
    /// One node to a thousand and back to one.
    FanOut,
    /// One run of a chain of a thousand jobs at a time.
    Chain,
    /// One `forEach` over 10,000 items of 1 KiB, there and back, projector on.
    ForEach,
    /// Sleeping runs: what they take in memory, and how late they wake.
    Sleepers,
    /// One graph of 10,000 nodes and 50,000 transitions.
    Dag,
    /// A thousand wide graphs at once on few slots, beside chains that just fill theirs.
    Queued,
    /// Chains of 10 jobs on fleets of ever smaller workers.
    Fleet,
    /// Resident memory, idle and with many waiting runs.
    Memory,
}

/// What `bench` takes.
#[derive(Debug, Clone, Args)]
pub struct BenchSettings {
    /// What to measure; everything when none is named.
    #[arg(value_enum)]
    pub scenarios: Vec<Scenario>,
    /// How often each is repeated.
    #[arg(long, default_value_t = 3)]
    pub repetitions: usize,
    /// How long one repetition of a throughput scenario runs.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// How many runs are in flight in the throughput scenarios.
    #[arg(long, default_value_t = 256)]
    pub in_flight: usize,
    /// How many shards.
    #[arg(long, default_value_t = 4)]
    pub shards: u16,
    /// How many runs wait in the scenarios `memory` and `sleepers`.
    #[arg(long, default_value_t = 100_000)]
    pub waiting_runs: usize,
    /// Where to keep the JSON too.
    #[arg(long)]
    pub out: Option<std::path::PathBuf>,
}

/// Measures and prints: a table on standard error as it goes, JSON on standard output at the end.
///
/// # Errors
/// What could not be started or measured.
pub async fn run(settings: BenchSettings) -> Result<ExitCode, Failure> {
    let mut report = figures::Report::new(&settings);
    for scenario in chosen(&settings.scenarios) {
        scenarios::measure(*scenario, &settings, &mut report).await?;
    }
    report.print(settings.out.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn chosen(named: &[Scenario]) -> &[Scenario] {
    match named {
        [] => Scenario::value_variants(),
        named => named,
    }
}
