//! `hold`: shards whose journals contradict what was seen of them, and the way out where the journals do not come back.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use headwater_core::ShardId;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{ApiSettings, Client};
use super::{Failure, show};

/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(630);

/// What can be done about shards on hold.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// List the shards on hold: why, what the broker shows of their journals, and what can be done.
    List(ListSettings),
    /// Accept the journal of a shard as it is found. What it does not tell is given up, for good.
    Release(ReleaseSettings),
}

/// What `hold list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    #[command(flatten)]
    api: ApiSettings,
}

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

pub async fn run(command: HoldCommand) -> Result<ExitCode, Failure> {
    match command {
        HoldCommand::List(ListSettings { api }) => {
            let client = Client::new(&api)?;
            let listed = client.get("/holds", &[]).await?;
            show::answer(client.output, &listed, || cards(&listed));
        }
        HoldCommand::Release(settings) => release(settings).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn release(settings: ReleaseSettings) -> Result<(), Failure> {
    let ReleaseSettings { shard, reason, expect, api } = settings;
    let client = Client::new(&api)?;
    let wish = json!({"reason": reason, "expect": expect});
    let request = client.request(Method::POST, &format!("/holds/{shard}/release")).timeout(RELEASE_TIMEOUT);
    let released = client.send(request.json(&wish)).await?;
    show::answer(client.output, &released, || {
        show::card(["shard", "incarnation", "token"].map(|name| (name, show::cell(&released[name]))))
    });
    Ok(())
}

fn cards(listed: &Value) -> String {
    let cards = show::items(listed, "holds").map(|one| {
        let end = match &one["journal"] {
            Value::Null => "there is none".to_owned(),
            journal => format!("ends at entry {}, made at {}", journal["end"], show::cell(&journal["madeAt"])),
        };
        let release = match one["instead"].as_str() {
            Some(instead) => format!("no: {instead}"),
            None => format!("headwater hold release {} --reason … --expect {}", one["shard"], expected(one)),
        };
        let ordered = match &one["ordered"] {
            Value::Null => "-".to_owned(),
            order => format!(
                "at {} by {}: {}",
                show::cell(&order["at"]),
                show::actor(&order["actor"]),
                show::cell(&order["reason"])
            ),
        };
        let said = ["shard", "reason", "raisedAt", "remedy", "refused"].map(|name| (name, show::cell(&one[name])));
        show::card(said.into_iter().chain([("journal", end), ("ordered", ordered), ("release", release)]))
    });
    cards.collect::<Vec<_>>().join("\n\n")
}

fn expected(hold: &Value) -> u64 {
    hold["journal"]["end"].as_u64().unwrap_or(0)
}
