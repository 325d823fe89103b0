//! Logs: structured, on standard error, so that standard output stays the answer.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::codes::Exit;
use crate::failure::Failure;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Names what is logged.
const FILTER: &str = "HEADWATER_LOG";

/// Begins to log. `HEADWATER_LOG` filters (`info`, `headwater_workers=debug`, …); servers say more than commands. Colours
/// are for terminals.
///
/// # Errors
/// A filter that is not one.
pub fn log_to_stderr(format: LogFormat, is_server: bool) -> Result<(), Failure> {
    let usual = if is_server { "info,async_nats=warn,tokio_postgres=warn,refinery_core=warn" } else { "error" };
    let given = std::env::var(FILTER).ok().filter(|given| !given.is_empty());
    let filter = EnvFilter::try_new(given.as_deref().unwrap_or(usual)).map_err(|error| {
        Failure::new(format!("{FILTER} is not a filter like info or headwater_workers=debug: {error}"))
            .exit(Exit::InvalidInput)
    })?;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|given| !given.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_target(false).with_ansi(std::io::stderr().is_terminal() && !plain).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
