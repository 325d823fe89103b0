//! `quarantine`: what is set aside because its history cannot be gone on from, and the way out.

mod list;
mod release;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;

/// What can be done about what is quarantined.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List what is quarantined.
    List(list::ListSettings),
    /// Show why one aggregate is.
    Show(show::ShowSettings),
    /// Take an aggregate out of quarantine.
    Release(release::ReleaseSettings),
}

pub async fn run(command: QuarantineCommand) -> Result<ExitCode, Failure> {
    match command {
        QuarantineCommand::List(settings) => list::run(settings).await,
        QuarantineCommand::Show(settings) => show::run(settings).await,
        QuarantineCommand::Release(settings) => release::run(settings).await,
    }
}

/// The names of aggregates have slashes in them.
fn path(aggregate: &str) -> String {
    let mut path = "/quarantine/".to_owned();
    for byte in aggregate.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}
