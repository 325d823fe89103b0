//! `run verify`: whether what is kept of a run is what happened in it.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};
use crate::codes::Exit;

/// What `run verify` takes.
#[derive(Debug, Args)]
pub struct VerifySettings {
    run: String,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: VerifySettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let verified = client.get(&format!("/runs/{}/verify", settings.run), &[]).await?;
    show::answer(client.output, &verified, || told(&verified));
    Ok(if verified["equal"] == true { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
}

fn told(verified: &Value) -> String {
    let compared = &verified["compared"];
    let yes = |is_compared: &Value| if is_compared == true { "compared" } else { "not compared" }.to_owned();
    let live = match compared["live"]["reason"].as_str() {
        Some(reason) => format!("not compared: {reason}"),
        None => "compared".to_owned(),
    };
    let snapshot = if compared["snapshot"].is_null() { "no policy".to_owned() } else { yes(&compared["snapshot"]) };
    let card = show::card([
        ("run", show::cell(&verified["runId"])),
        ("verdict", if verified["equal"] == true { "the same" } else { "something differs" }.to_owned()),
        ("revision", format!("{} in {} commits", verified["revision"], verified["commits"])),
        ("journal", yes(&compared["history"])),
        ("row", yes(&compared["row"])),
        ("snapshot", snapshot),
        ("tail", yes(&compared["tail"])),
        ("shard", live),
    ]);
    let rows: Vec<_> = show::items(verified, "differences")
        .map(|found| ["what", "revision", "path", "found", "expected"].map(|name| show::cell(&found[name])).to_vec())
        .collect();
    if rows.is_empty() {
        return card;
    }
    let table = show::table(&["what", "revision", "path", "is", "should be"], rows);
    match verified["leftOut"].as_u64() {
        Some(more) if more > 0 => format!("{card}\n\n{table}\n\nand {more} more"),
        Some(_) | None => format!("{card}\n\n{table}"),
    }
}
