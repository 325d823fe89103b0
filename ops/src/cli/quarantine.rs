//! `quarantine`: what is set aside because its history cannot be gone on from, and the way out.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{ApiSettings, Client};
use super::{Failure, show};

/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(630);

/// What can be done about what is quarantined.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List what is quarantined.
    List(ListSettings),
    /// Show why one aggregate is.
    Show(ShowSettings),
    /// Take an aggregate out of quarantine.
    Release(ReleaseSettings),
}

/// What `quarantine list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    #[command(flatten)]
    api: ApiSettings,
}

/// What `quarantine show` takes.
#[derive(Debug, Args)]
pub struct ShowSettings {
    /// As `quarantine list` names it.
    aggregate: String,
    #[command(flatten)]
    api: ApiSettings,
}

/// What `quarantine release` takes.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("way").required(true)))]
pub struct ReleaseSettings {
    /// As `quarantine list` names it.
    aggregate: String,
    /// Fold its history anew, by the release that runs now.
    #[arg(long, group = "way")]
    refold: bool,
    /// The same without the event of this revision; may be given several times.
    #[arg(long, group = "way", value_name = "REVISION")]
    skip: Vec<u64>,
    /// End a run: it has failed, with the code `quarantined`. A definition version is adopted anew when a run needs it.
    #[arg(long, group = "way")]
    end: bool,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(command: QuarantineCommand) -> Result<ExitCode, Failure> {
    match command {
        QuarantineCommand::List(ListSettings { api }) => {
            let client = Client::new(&api)?;
            let listed = client.get("/quarantine", &[]).await?;
            show::answer(client.output, &listed, || table(&listed));
        }
        QuarantineCommand::Show(ShowSettings { aggregate, api }) => {
            let client = Client::new(&api)?;
            let found = client.get(&path(&aggregate), &[]).await?;
            show::answer(client.output, &found, || cards(&found));
        }
        QuarantineCommand::Release(settings) => release(settings).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn release(settings: ReleaseSettings) -> Result<(), Failure> {
    let ReleaseSettings { aggregate, refold, skip, end: _, api } = settings;
    let client = Client::new(&api)?;
    let way = match (refold, skip.is_empty()) {
        (true, _) => json!({"by": "refold"}),
        (false, false) => json!({"by": "skip", "revisions": skip}),
        (false, true) => json!({"by": "end"}),
    };
    let request = client.request(Method::POST, &format!("{}/release", path(&aggregate))).timeout(RELEASE_TIMEOUT);
    let released = client.send(request.json(&way)).await?;
    show::answer(client.output, &released, || {
        show::card(["aggregate", "token"].map(|name| (name, show::cell(&released[name]))))
    });
    Ok(())
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

fn table(listed: &Value) -> String {
    let rows = show::items(listed, "aggregates").map(|one| {
        let cells = ["aggregate", "shard", "since", "parked"].map(|name| show::cell(&one[name]));
        cells.into_iter().chain([show::glance(&one["reason"])]).collect()
    });
    show::table(&["aggregate", "shard", "since", "parked", "reason"], rows)
}

fn cards(found: &Value) -> String {
    let names = ["aggregate", "shard", "reason", "at", "lastRevision", "since", "parked"];
    let cards =
        show::items(found, "aggregates").map(|one| show::card(names.map(|name| (name, show::cell(&one[name])))));
    cards.collect::<Vec<_>>().join("\n\n")
}
