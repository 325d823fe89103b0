//! The scenarios: what is started, what is loaded, what is read off.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use headwater_streams::yardstick;

use super::cluster::Cluster;
use super::figures::{Report, percentile};
use super::load;
use super::{BenchSettings, Scenario};
use crate::cli::Failure;
use crate::settings::{BrokerSettings, Role};

/// What the worker process of the benchmarks takes.
#[derive(Debug, Clone, Args)]
pub struct WorkerSettings {
    #[command(flatten)]
    pub broker: BrokerSettings,
    #[arg(long, default_value_t = 512)]
    pub slots: usize,
}

/// Serves the benchmark's job until it is killed.
///
/// # Errors
/// When the broker cannot be reached.
pub async fn work(settings: WorkerSettings) -> Result<ExitCode, Failure> {
    let _ = settings;
    Err(Failure::new("the worker SDK is still to come"))
}

/// Measures one scenario.
///
/// # Errors
/// What could not be started or measured.
pub async fn measure(scenario: Scenario, settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    match scenario {
        Scenario::Pure => throughput("pure", true, &[Role::Shards], settings, report).await,
        Scenario::Memory => memory(settings, report).await,
        Scenario::Jobs => throughput("jobs", false, &[Role::Shards], settings, report).await,
        Scenario::Projected => throughput("projected", false, &[Role::Shards, Role::Projector], settings, report).await,
        Scenario::Single | Scenario::FirstAttempt | Scenario::FanOut => Err(Failure::new("still to come")),
    }
}

/// The bare broker, as a yardstick: one 512-byte publish at a time.
async fn bare_publish(cluster: &Cluster) -> Result<Duration, Failure> {
    let measured =
        yardstick::publish(&cluster.access.broker, 512, 300, 1).await.map_err(|error| Failure::of(&error))?;
    percentile(&measured.0, 0.5).ok_or_else(|| Failure::new("nothing was published"))
}

async fn throughput(
    name: &'static str,
    pure: bool,
    roles: &[Role],
    settings: &BenchSettings,
    report: &mut Report,
) -> Result<(), Failure> {
    eprintln!("{name}: chains of 10, {} in flight", settings.in_flight);
    let (mut bare, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..settings.repetitions {
        let mut cluster = Cluster::start(settings.shards, roles).await?;
        bare.push(bare_publish(&cluster).await?.as_secs_f64() * 1e3);
        if !pure {
            cluster.add_worker(512).await?;
        }
        let workflow = load::apply(&cluster.access, &load::chain("chain", pure)).await?;
        let runs = load::keep_going(&cluster.access, &workflow, settings.in_flight, settings.seconds).await?;
        rates.push(runs * 10.0);
        cluster.stop().await;
    }
    report.add(name, "bare fsynced publish p50", "ms", &bare);
    report.add(name, "steps", "steps/s", &rates);
    Ok(())
}

async fn memory(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    eprintln!("memory: idle, and with {} waiting runs", settings.waiting_runs);
    let cluster = Cluster::start(settings.shards, &[Role::Shards, Role::Projector]).await?;
    report.add("memory", "engine idle", "MB", &[cluster.engine_memory()? as f64 / 1e6]);
    let workflow = load::apply(&cluster.access, &load::sleeper("sleeper")).await?;
    let began = Instant::now();
    let mut started = 0;
    while started < settings.waiting_runs {
        let count = (settings.waiting_runs - started).min(256);
        let starts = (0..count).map(|_| load::start(&cluster.access, &workflow));
        started += futures_util::future::try_join_all(starts).await?.len();
    }
    report.add("memory", "starting them", "runs/s", &[started as f64 / began.elapsed().as_secs_f64()]);
    report.add("memory", format!("engine with {started} waiting runs"), "MB", &[cluster.engine_memory()? as f64 / 1e6]);
    cluster.stop().await;
    Ok(())
}
