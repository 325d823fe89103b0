//! `quarantine release`

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args};
use reqwest::Method;
use serde_json::json;

use super::path;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(630);

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

pub async fn run(settings: ReleaseSettings) -> Result<ExitCode, Failure> {
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
    Ok(ExitCode::SUCCESS)
}
