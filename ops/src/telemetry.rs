//! Logs: structured, on standard error, so that standard output stays the answer.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log. `HEADWATER_LOG` filters (`info`, `headwater_workers=debug`, …); servers say more than commands.
pub fn log_to_stderr(format: LogFormat, is_server: bool) {
    let usual = if is_server { "info,async_nats=warn,tokio_postgres=warn,refinery_core=warn" } else { "error" };
    let filter = EnvFilter::try_from_env("HEADWATER_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
