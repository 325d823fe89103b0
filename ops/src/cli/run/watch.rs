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

use super::branches::counted;
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
/// How often it is said how many items of a `forEach` have ended, where lines stay.
const COUNTS_APART: Duration = Duration::from_secs(5);
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
    /// What was last said of each node, and when.
    Lines(BTreeMap<String, (String, Instant)>),
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
            match self {
                Self::None => {}
                Self::Lines(said) => {
                    let line = format!("{id} {}", word(node));
                    if said.get(&id).is_none_or(|(before, when)| is_news(node, &line, before, when.elapsed())) {
                        eprintln!("{line}{}", elapsed(run, node));
                        said.insert(id, (line, Instant::now()));
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
                    let message = format!("{}{}", word(node), elapsed(run, node));
                    if !is_ended(node) {
                        if bar.is_finished() {
                            // The next turn of its loop.
                            bar.reset();
                        }
                        bar.set_message(message);
                        bar.tick();
                    } else if !bar.is_finished() || bar.message() != message {
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

/// Where a node stands: with the count of its branches where it opens some, and else of its attempts.
fn word(node: &Value) -> String {
    let status = super::status_of(node);
    match counted(node) {
        Some(counted) => format!("{status} ({counted})"),
        // It happens many times, each with attempts of its own.
        None if !node["bodyOf"].is_null() => status,
        None => format!("{status} (attempt {})", show::cell(&node["attempts"])),
    }
}

/// Whether a line is worth saying after another of the same node, said so long ago: items that only count up are not, each.
fn is_news(node: &Value, line: &str, before: &str, since: Duration) -> bool {
    let status = |line: &str| line.split(" (").next().map(str::to_owned);
    let counts_up = node["branches"]["kind"] == "item" && status(line) == status(before);
    line != before && (!counts_up || since >= COUNTS_APART)
}

/// How long the last attempt of a node takes, or took; nothing where it has no beginning, or happens for many items.
fn elapsed(run: &Value, node: &Value) -> String {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let is_last_unknown = run["hasMoreTraces"] == true && node["attempts"].as_u64() > Some(1);
    if !node["bodyOf"].is_null() || is_last_unknown {
        return String::new();
    }
    let last = show::items(run, "traces").filter(|trace| trace["nodeId"] == node["nodeId"]).last();
    let Some(trace) = last else { return String::new() };
    let Some(began) = time(&trace["startedAt"]).or_else(|| time(&trace["scheduledAt"])) else { return String::new() };
    let until = time(&trace["finishedAt"]).unwrap_or_else(Timestamp::now);
    let millis = until.as_millisecond().saturating_sub(began.as_millisecond()).max(0);
    format!(", {}.{} s", millis / 1000, millis % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_that_count_up_are_said_now_and_then() {
        let judges = |status: &str, succeeded: u32| {
            json!({"nodeId": "judges", "status": status, "attempts": 1, "bodyOf": null,
                "branches": {"kind": "item", "total": 3, "open": 0, "succeeded": succeeded, "failed": 0, "cancelled": 0}})
        };
        let (one, two, done) = (judges("running", 1), judges("running", 2), judges("succeeded", 3));
        assert_eq!(word(&one), "running (1/3 items)");
        assert!(!is_news(&two, &word(&two), &word(&one), Duration::ZERO));
        assert!(is_news(&two, &word(&two), &word(&one), COUNTS_APART));
        assert!(!is_news(&two, &word(&two), &word(&two), COUNTS_APART));
        assert!(is_news(&done, &word(&done), &word(&two), Duration::ZERO));
        let judge =
            json!({"nodeId": "judge", "status": "running", "attempts": 7, "bodyOf": "judges", "branches": null});
        assert_eq!(word(&judge), "running", "its attempts are of many items");
        let draft = json!({"nodeId": "draft", "status": "running", "attempts": 3, "bodyOf": null,
            "branches": {"kind": "turn", "total": 3, "open": 1, "succeeded": 2, "failed": 0, "cancelled": 0}});
        assert_eq!(word(&draft), "running (turn 3)");
        let plain = json!({"nodeId": "a", "status": "running", "attempts": 2});
        assert_eq!(word(&plain), "running (attempt 2)");
    }
}
