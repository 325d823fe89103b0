//! The worker of the benchmarks: a job that does nothing, so that everything around it is what is measured.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use headwater_core::{JobSlug, Json, WorkspaceId};
use headwater_streams::BrokerConfig;
use headwater_workers::connection;
use headwater_workers::sdk::{Context, HandlerError, Outcome, Worker};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// What the worker process of the benchmarks takes.
#[derive(Debug, Clone, Args)]
pub struct WorkerSettings {
    /// How many attempts it runs at once.
    #[arg(long, default_value_t = 512)]
    pub slots: usize,
}

fn workspace() -> WorkspaceId {
    "bench".parse().expect("letters make a name")
}

fn job() -> JobSlug {
    "bench".parse().expect("letters make a name")
}

/// Serves the benchmark's job until it is killed.
///
/// # Errors
/// When the broker cannot be reached.
pub async fn work(settings: WorkerSettings) -> Result<ExitCode, Failure> {
    let broker = connection::from_environment().map_err(|error| Failure::of(&error))?;
    let echo = |_: Context, input: Json| async move { Ok::<_, HandlerError>(Outcome::from(input)) };
    let worker = Worker::builder().workspace(workspace()).broker(broker).slots(settings.slots).handler(job(), echo);
    let worker = worker.build().map_err(|error| Failure::of(&error))?;
    println!("ready");
    worker.run(std::future::pending()).await.map_err(|error| Failure::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a worker in this process that says when each attempt begins.
pub fn observed(broker: BrokerConfig, began: mpsc::UnboundedSender<Instant>) -> Result<Worker, Failure> {
    let handler = move |_: Context, _: Json| {
        // The receiver is gone when nobody measures any more.
        let _ = began.send(Instant::now());
        async { Ok::<_, HandlerError>(Outcome::nothing()) }
    };
    let worker = Worker::builder().workspace(workspace()).broker(broker).slots(16).handler(job(), handler);
    worker.build().map_err(|error| Failure::of(&error))
}
