//! `run watch`: a run while it goes on. Nodes with status, attempt and time: live on a terminal, else line by line.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use reqwest::Response;
use serde_json::Value;
use tokio::time::Instant;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};
use crate::codes::Exit;

/// What `run watch` takes.
#[derive(Debug, Args)]
pub struct WatchSettings {
    run: String,
    #[command(flatten)]
    api: ApiSettings,
}

/// Whether the nodes are shown while the run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Shown,
    Hidden,
}

/// How often the run is looked at, at most; and so often where the engine does not tell what happens.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long the engine may be away before watching gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// A terminal holds no more; the others are only counted.
const LINES_MAX: usize = 30;

pub async fn run(settings: WatchSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    until_end(&client, &settings.run, None, Progress::Shown).await
}

/// Follows a run until it ends, and prints it.
pub async fn until_end(
    client: &Client,
    run: &str,
    token: Option<String>,
    progress: Progress,
) -> Result<ExitCode, Failure> {
    let mut view = match (progress, std::io::stderr().is_terminal()) {
        (Progress::Hidden, _) => View::None,
        (Progress::Shown, true) => View::Live(Live::new()),
        (Progress::Shown, false) => View::Lines(BTreeMap::new()),
    };
    let path = format!("/runs/{run}");
    let mut query: Vec<_> = token.map(|token| ("minSeq", token)).into_iter().collect();
    let (mut heard, mut told) = (Instant::now(), None);
    let run = loop {
        let looked = Instant::now();
        match client.get(&path, &query).await {
            Ok(found) => {
                (query, heard) = (Vec::new(), looked);
                view.show(&found);
                if !found["completedAt"].is_null() {
                    break found;
                }
                if told.is_none() {
                    told = client.follow(run, found["revision"].as_u64().unwrap_or(0)).await;
                }
                await_news(&mut told, &mut view, &found).await;
            }
            Err(failure) if failure.exit == Exit::Unavailable && heard.elapsed() < PATIENCE => told = None,
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep_until(looked + INTERVAL).await;
    };
    view.end();
    show::answer(client.output, &run, || super::card(&run));
    Ok(if run["status"] == "succeeded" { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
}

/// Waits until the engine tells that something happened. What is shown of times goes on meanwhile.
async fn await_news(told: &mut Option<Response>, view: &mut View, run: &Value) {
    while let Some(stream) = told {
        tokio::select! {
            news = stream.chunk() => match news {
                // Also a sign of life: one look every few seconds shows what nobody told.
                Ok(Some(_)) => return,
                Ok(None) | Err(_) => *told = None,
            },
            () = tokio::time::sleep(INTERVAL) => view.show(run),
        }
    }
}

enum View {
    None,
    /// What was last said of each node.
    Lines(BTreeMap<String, String>),
    Live(Live),
}

struct Live {
    all: MultiProgress,
    total: ProgressBar,
    nodes: BTreeMap<String, ProgressBar>,
}

impl Live {
    fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::no_length());
        total.set_style(style("{spinner} {msg}"));
        Self { all, total, nodes: BTreeMap::new() }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl View {
    fn show(&mut self, run: &Value) {
        let ended = show::items(run, "nodes").filter(|node| is_ended(node)).count();
        let count = show::items(run, "nodes").count();
        if let Self::Live(live) = self {
            let (workflow, status) = (show::cell(&run["workflow"]), show::cell(&run["status"]));
            live.total.set_message(format!("{workflow} {status}, {ended} of {count} nodes"));
            live.total.tick();
        }
        for node in show::items(run, "nodes").filter(|node| node["status"] != "pending") {
            let id = show::cell(&node["nodeId"]);
            let (status, attempts) = (super::status_of(node), show::cell(&node["attempts"]));
            match self {
                Self::None => {}
                Self::Lines(said) => {
                    let line = format!("{id} {status} (attempt {attempts})");
                    if said.get(&id) != Some(&line) {
                        eprintln!("{line}{}", elapsed(run, &id));
                        said.insert(id, line);
                    }
                }
                Self::Live(live) => {
                    if !live.nodes.contains_key(&id) {
                        if live.nodes.len() >= LINES_MAX {
                            continue;
                        }
                        let bar = live.all.add(ProgressBar::no_length());
                        bar.set_style(style("  {spinner} {prefix}  {msg}"));
                        bar.set_prefix(id.clone());
                        live.nodes.insert(id.clone(), bar);
                    }
                    let Some(bar) = live.nodes.get(&id) else { continue };
                    let message = format!("{status} (attempt {attempts}){}", elapsed(run, &id));
                    if !is_ended(node) {
                        bar.set_message(message);
                        bar.tick();
                    } else if !bar.is_finished() {
                        bar.finish_with_message(message);
                    }
                }
            }
        }
    }

    fn end(&self) {
        if let Self::Live(live) = self {
            live.total.finish();
        }
    }
}

fn is_ended(node: &Value) -> bool {
    matches!(node["status"].as_str(), Some("succeeded" | "failed" | "skipped" | "cancelled"))
}

/// How long the last attempt of a node takes, or took; nothing where it has no beginning.
fn elapsed(run: &Value, node: &str) -> String {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let last = show::items(run, "traces").filter(|trace| trace["nodeId"] == node).last();
    let Some(trace) = last else { return String::new() };
    let Some(began) = time(&trace["startedAt"]).or_else(|| time(&trace["scheduledAt"])) else { return String::new() };
    let until = time(&trace["finishedAt"]).unwrap_or_else(Timestamp::now);
    let millis = until.as_millisecond().saturating_sub(began.as_millisecond()).max(0);
    format!(", {}.{} s", millis / 1000, millis % 1000 / 100)
}
