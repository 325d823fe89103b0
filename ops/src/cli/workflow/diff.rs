//! `workflow diff`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};
use crate::codes::Exit;

/// What `workflow diff` takes.
#[derive(Debug, Args)]
pub struct DiffSettings {
    workflow: String,
    /// From this version; else from the one before the newest.
    from: Option<u32>,
    /// To this version; else to the newest.
    to: Option<u32>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: DiffSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let versions = format!("/workflows/{}/versions", settings.workflow);
    let (from, to) = match (settings.from, settings.to) {
        (Some(from), Some(to)) => (u64::from(from), u64::from(to)),
        (from, _) => {
            let page = client.get(&versions, &[("limit", "2".to_owned())]).await?;
            let newest: Vec<u64> = show::items(&page, "versions").filter_map(|one| one["version"].as_u64()).collect();
            match (from, &newest[..]) {
                (Some(from), [newest, ..]) => (u64::from(from), *newest),
                (None, [newest, before]) => (*before, *newest),
                _ => {
                    let message = format!("`{}` has one version: there is nothing to compare", settings.workflow);
                    return Err(Failure::new(message).exit(Exit::InvalidInput));
                }
            }
        }
    };
    let found = client.get(&format!("{versions}/{from}/diff/{to}"), &[]).await?;
    show::answer(client.output, &found, || table(&found));
    if found["leftOut"].as_u64().is_some_and(|more| more > 0) {
        eprintln!("there are {} more changes", found["leftOut"]);
    }
    Ok(ExitCode::SUCCESS)
}

fn table(found: &Value) -> String {
    let rows = show::items(found, "changes").map(|change| {
        let side = |name: &str| if change[name].is_null() { String::new() } else { show::glance(&change[name]) };
        vec![show::cell(&change["change"]), subject(change), show::glance(&change["path"]), side("old"), side("new")]
    });
    let head = format!("{} v{} -> v{}", show::cell(&found["slug"]), found["from"], found["to"]);
    let changes = show::table(&["", "of", "field", "old", "new"], rows);
    let breaking = show::items(found, "breaking")
        .map(|one| format!("\nbreaking: {} ({})", show::cell(&one["message"]), show::cell(&one["path"])));
    format!("{head}\n{changes}{}", breaking.collect::<String>())
}

fn subject(change: &Value) -> String {
    let text = |name: &str| change[name].as_str().unwrap_or_default();
    match text("what") {
        "transition" if text("on") == "success" => format!("{} -> {}", text("from"), text("to")),
        "transition" => format!("{} -> {} on {}", text("from"), text("to"), text("on")),
        "node" if change["within"].is_string() => format!("{} (in {})", text("node"), text("within")),
        "node" => text("node").to_owned(),
        what => what.to_owned(),
    }
}
