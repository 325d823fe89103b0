//! A worker that runs the jobs of this package, as its own process, speaking only the worker protocol.
//!
//! Finds the engine by `HEADWATER_CONNECTION` (a `connection.json`) or `HEADWATER_NATS_URL` and its companions.

use std::error::Error;

use directory_insights::handlers::{HANDLERS, Handler};
use directory_insights::{Attempt, Failure};
use headwater_core::Json;
use headwater_workers::connection;
use headwater_workers::sdk::{Context, HandlerError, Outcome, ResultError, Worker};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = std::env::var("HEADWATER_LOG").unwrap_or_else(|_| "info,async_nats=warn".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let mut worker = Worker::builder().workspace("default".parse()?).broker(connection::from_environment()?).slots(4);
    for (job, handler) in HANDLERS {
        worker = worker.handler(job.parse()?, move |context, input| run(handler, context, input));
    }
    let worker = worker.build()?;
    println!("directory-insights serves {} jobs", HANDLERS.len());
    worker.run(asked_to_stop()).await?;
    Ok(())
}

/// The jobs read and write files: each runs on a thread that may block.
async fn run(handler: Handler, context: Context, input: Json) -> Result<Outcome, HandlerError> {
    let job = tokio::task::spawn_blocking(move || {
        let progress = |share: f64| context.progress(&share);
        let cancelled = || context.is_cancelled();
        handler(&input.to_value(), &Attempt { progress: &progress, cancelled: &cancelled })
    });
    let result = job.await.map_err(|error| HandlerError::new("panic", error.to_string()))?.map_err(refused)?;
    Outcome::from_result(&Json::of(&result)).map_err(ResultError::into_failure)
}

fn refused(failure: Failure) -> HandlerError {
    let error = HandlerError::new(failure.code(), failure.to_string());
    if failure.is_permanent() { error.permanent() } else { error }
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
