//! `hold release`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use headwater_core::ShardId;
use reqwest::Method;
use serde_json::json;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(630);

/// What `hold release` takes.
#[derive(Debug, Args)]
pub struct ReleaseSettings {
    /// As `hold list` names it.
    shard: ShardId,
    /// Why; it is journaled.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Where the journal ends, as `hold list` shows it, 0 where there is none: one that ends elsewhere by now is not released.
    #[arg(long, value_name = "ENTRY")]
    expect: Option<u64>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ReleaseSettings) -> Result<ExitCode, Failure> {
    let ReleaseSettings { shard, reason, expect, api } = settings;
    let client = Client::new(&api)?;
    let wish = json!({"reason": reason, "expect": expect});
    let request = client.request(Method::POST, &format!("/holds/{shard}/release")).timeout(RELEASE_TIMEOUT);
    let released = client.send(request.json(&wish)).await?;
    show::answer(client.output, &released, || {
        show::card(["shard", "incarnation", "token"].map(|name| (name, show::cell(&released[name]))))
    });
    Ok(ExitCode::SUCCESS)
}
