//! `run export`: everything that folding a run takes, in one file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use headwater_core::run::RunEvent;
use headwater_core::shard::Event;
use headwater_core::{DefinitionVersion, Json, RunId, StoredValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::Failure;
use crate::cli::client::{ApiSettings, Client};
use crate::codes::Exit;
use crate::export::{Chain, FORMAT, Recorded, Said};

/// What `run export` takes.
#[derive(Debug, Args)]
pub struct ExportSettings {
    run: String,
    /// The file to write. Default: standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    api: ApiSettings,
}

/// How many commits are asked for at once.
const COMMITS: u32 = 100;

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Recorded>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Detail {
    workflow: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    content_hash: String,
    document: Json,
}

#[derive(Deserialize)]
struct Seen {
    context: Json,
}

pub async fn run(settings: ExportSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let run: RunId = settings
        .run
        .parse()
        .map_err(|error: headwater_core::InvalidName| Failure::of(&error).exit(Exit::InvalidInput))?;
    match &settings.to {
        Some(path) => {
            let part = part_of(path);
            let file = File::create(&part).map_err(|error| unwritten(&part, &error))?;
            let written = write(&client, run, &mut BufWriter::new(file)).await;
            // Whole or not at all.
            let put = match &written {
                Ok(_) => std::fs::rename(&part, path),
                Err(_) => std::fs::remove_file(&part),
            };
            let events = written?;
            put.map_err(|error| unwritten(path, &error))?;
            eprintln!("{events} events in {}", path.display());
        }
        None => drop(write(&client, run, &mut io::stdout().lock()).await?),
    }
    Ok(ExitCode::SUCCESS)
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

/// Writes everything; returns how many events there are.
async fn write(client: &Client, run: RunId, to: &mut impl Write) -> Result<u64, Failure> {
    let mut chain = Chain::default();
    let mut put = |said: Said| -> Result<(), Failure> {
        let line = chain.line(Json::of(&said).as_str());
        to.write_all(line.as_bytes()).map_err(|error| Failure::of(&error))
    };
    let Detail { workflow } = get(client, &format!("/runs/{run}"), &[]).await?;
    put(Said::Run { format: FORMAT.to_owned(), run })?;
    let (mut after, mut events) = ("0".to_owned(), 0);
    loop {
        let query = [("after", after), ("limit", COMMITS.to_string())];
        let page: Page = get(client, &format!("/runs/{run}/events"), &query).await?;
        for mut recorded in page.events {
            if let Some(stored) = recorded.stored {
                recorded.value = Some(value(client, run, stored).await?);
            }
            events = recorded.revision;
            if let Some(version) = goes_over_to(&recorded.event) {
                let definition = format!("/workflows/{workflow}/versions/{version}");
                let Version { content_hash, document } = get(client, &definition, &[]).await?;
                put(Said::Definition { content_hash, document })?;
            }
            put(Said::Event(Box::new(recorded)))?;
        }
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let moment = [("revision", events.to_string())];
    match get::<Seen>(client, &format!("/runs/{run}/context"), &moment).await {
        Ok(Seen { context }) => put(Said::Seen { context })?,
        Err(failure) => eprintln!("what the engine sees of the run is not in the file: {failure}"),
    }
    put(Said::End { events })?;
    to.flush().map_err(|error| Failure::of(&error))?;
    Ok(events)
}

/// Returns the version that a run is at from this event on: with its start, or where it goes over to another.
fn goes_over_to(event: &Json) -> Option<DefinitionVersion> {
    let event: Event = serde_json::from_str(event.as_str()).ok()?;
    if let Event::Run(RunEvent::RunStarted { version, .. } | RunEvent::RunMigrated { version, .. }) = event {
        return Some(version);
    }
    None
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
    let text = client.text(path, query).await?;
    let Data { data } = serde_json::from_str(&text).map_err(|error| strange(path, &error.to_string()))?;
    Ok(data)
}

/// Reads a large value, byte for byte: it is known by its digest.
async fn value(client: &Client, run: RunId, stored: StoredValue) -> Result<Json, Failure> {
    let path = format!("/runs/{run}/values/{}", stored.digest);
    let Data::<Json> { data } = {
        let text = client.text(&path, &[]).await?;
        serde_json::from_str(&text).map_err(|error| strange(&path, &error.to_string()))?
    };
    if StoredValue::of(data.as_str().as_bytes()) != Some(stored) {
        return Err(strange(&path, "the value is not the one that was asked for"));
    }
    Ok(data)
}

fn strange(path: &str, what: &str) -> Failure {
    Failure::new(format!("the answer to {path} is not the engine's: {what}")).exit(Exit::Failed)
}
