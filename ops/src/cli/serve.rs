//! `dev` and `serve`: processes that stay until they are asked to stop.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::dev::{self, DevSettings};
use crate::failure::Failure;
use crate::process;
use crate::roles;
use crate::settings::{Role, ServeSettings};

pub async fn dev(settings: DevSettings) -> Result<ExitCode, Failure> {
    let shutdown = shutdown_on_signals()?;
    dev::run(settings, shutdown).await.map_err(|error| Failure::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

pub async fn serve(settings: ServeSettings) -> Result<ExitCode, Failure> {
    let shutdown = shutdown_on_signals()?;
    let served = async {
        // Before anything is made: the streams, if they are missing.
        let listening = match settings.roles.contains(&Role::Api) {
            true => Some(roles::listen(settings.listen).await?),
            false => None,
        };
        let process = process::prepare(&settings).await?;
        let ready = |listening| println!("headwater serves on http://{listening}");
        roles::serve(process, &settings, listening, shutdown, ready).await
    };
    served.await.map_err(|error| Failure::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// The first SIGINT or SIGTERM asks to stop, the second does not wait.
fn shutdown_on_signals() -> Result<CancellationToken, Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::of(&error))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::of(&error))?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if last {
                std::process::exit(130);
            }
            tracing::info!("stopping");
            asked.cancel();
        }
    });
    Ok(token)
}
