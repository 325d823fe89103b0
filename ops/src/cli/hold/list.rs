//! `hold list`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `hold list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(ListSettings { api }: ListSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&api)?;
    let listed = client.get("/holds", &[]).await?;
    show::answer(client.output, &listed, || cards(&listed));
    Ok(ExitCode::SUCCESS)
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
