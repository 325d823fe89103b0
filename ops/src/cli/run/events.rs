//! `run events`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run events` takes.
#[derive(Debug, Args)]
pub struct EventsSettings {
    run: String,
    /// Only what came after this revision; behind `INCARNATION.` where its shard was released from hold.
    #[arg(long, default_value = "0")]
    after: String,
    /// Only what came from this revision on.
    #[arg(long)]
    from: Option<u64>,
    /// Only what came up to this revision, and this one.
    #[arg(long)]
    to: Option<u64>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: EventsSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let path = format!("/runs/{}/events", settings.run);
    let (mut after, mut events) = (settings.after, Vec::new());
    let range = [("from", settings.from), ("to", settings.to)];
    let range = range.map(|(name, revision)| Some((name, revision?.to_string())));
    loop {
        let mut query = vec![("after", after), ("limit", "100".to_owned())];
        query.extend(range.clone().into_iter().flatten());
        let mut page = client.get(&path, &query).await?;
        if let Value::Array(more) = page["events"].take() {
            events.extend(more);
        }
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    let events = serde_json::json!({"events": events});
    show::answer(client.output, &events, || {
        let rows = show::items(&events, "events").map(|recorded| {
            let event = &recorded["event"]["run"];
            let (kind, body) = event.as_object().and_then(|event| event.iter().next()).map_or_else(
                || ("?".to_owned(), recorded["event"].to_string()),
                |(kind, body)| (kind.clone(), body.to_string()),
            );
            let [revision, time] = ["revision", "time"].map(|name| show::cell(&recorded[name]));
            vec![revision, time, show::actor(&recorded["by"]), kind, body]
        });
        show::table(&["revision", "time", "by", "event", ""], rows)
    });
    Ok(ExitCode::SUCCESS)
}
