//! `run`: starts runs, looks at them, follows and stops them.

mod again;
mod branches;
mod bulk;
mod callbacks;
mod cancel;
mod events;
mod explain;
mod export;
mod get;
pub(super) mod given;
mod list;
mod migrate;
mod operate;
mod replay;
mod signal;
mod start;
mod update;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::{Failure, show};

/// What can be done with runs.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Start a run of a workflow.
    Start(start::StartSettings),
    /// List runs, newest first.
    List(list::ListSettings),
    /// Show a run with its nodes.
    Get(get::GetSettings),
    /// List the items and turns of a run, in the order in which they began.
    Branches(branches::BranchesSettings),
    /// List the attempts of a run that somebody outside ends, with the tokens by which he does.
    Callbacks(callbacks::CallbacksSettings),
    /// Say why a run stands where it does: what it waits for, what decided, what was skipped, what could still fire.
    Explain(explain::ExplainSettings),
    /// Show what happened in a run.
    Events(events::EventsSettings),
    /// Write everything that folding a run takes to one file.
    Export(export::ExportSettings),
    /// Fold an exported run without an engine: says where it stands, and which event cannot be.
    Replay(replay::ReplaySettings),
    /// Say whether what is kept of a run is what happened in it: exits with 1 when something differs.
    Verify(verify::VerifySettings),
    /// Follow a run until it ends: exits with 0 when it succeeds, with 1 when it does not.
    Watch(watch::WatchSettings),
    /// Say something to a run: a node that waits for this signal goes on with it, now or when it comes to wait.
    Signal(signal::SignalSettings),
    /// Say something to a run, and wait for what it replies: exits with 1 when it has not in time.
    Update(update::UpdateSettings),
    /// Have nothing of a run, or of one node of it, begin before it is resumed.
    Pause(operate::PauseSettings),
    /// Have a run, or a node of it, go on.
    Resume(operate::PauseSettings),
    /// End a node that has begun as if it had not been reached.
    Skip(operate::SkipSettings),
    /// End a node that has begun with an output of yours.
    Complete(operate::CompleteSettings),
    /// Have the end of a sleep, or the next attempt of a node, be due at another time.
    Timer(operate::TimerSettings),
    /// Start a run that goes on from one that failed or was cancelled: what had succeeded is not done again.
    Retry(again::RetrySettings),
    /// Start a run that goes on from one that has ended: this node is done again, and whatever stands behind it.
    Restart(again::RestartSettings),
    /// Start a run that goes its own way from a moment of another, with another input or version; or say what it would do.
    Fork(again::ForkSettings),
    /// Say in what a run differs from the one that it goes on from, or from another.
    Diff(again::DiffSettings),
    /// Have a live run go over to another version of its workflow.
    Migrate(migrate::MigrateSettings),
    /// Pause, resume, cancel or terminate all active runs that a filter means.
    Bulk(bulk::BulkSettings),
    /// Stop a run: what runs whatever the end still does.
    Cancel(cancel::CancelSettings),
    /// End a run at once.
    Terminate(operate::TerminateSettings),
}

pub async fn run(command: RunCommand) -> Result<ExitCode, Failure> {
    match command {
        RunCommand::Start(settings) => start::run(settings).await,
        RunCommand::List(settings) => list::run(settings).await,
        RunCommand::Get(settings) => get::run(settings).await,
        RunCommand::Branches(settings) => branches::run(settings).await,
        RunCommand::Callbacks(settings) => callbacks::run(settings).await,
        RunCommand::Explain(settings) => explain::run(settings).await,
        RunCommand::Events(settings) => events::run(settings).await,
        RunCommand::Export(settings) => export::run(settings).await,
        RunCommand::Replay(settings) => replay::run(&settings),
        RunCommand::Verify(settings) => verify::run(settings).await,
        RunCommand::Watch(settings) => watch::run(settings).await,
        RunCommand::Signal(settings) => signal::run(settings).await,
        RunCommand::Pause(settings) => operate::pause(settings).await,
        RunCommand::Resume(settings) => operate::resume(settings).await,
        RunCommand::Skip(settings) => operate::skip(settings).await,
        RunCommand::Complete(settings) => operate::complete(settings).await,
        RunCommand::Timer(settings) => operate::timer(settings).await,
        RunCommand::Retry(settings) => again::retry(settings).await,
        RunCommand::Restart(settings) => again::restart(settings).await,
        RunCommand::Fork(settings) => again::fork(settings).await,
        RunCommand::Diff(settings) => again::diff(settings).await,
        RunCommand::Migrate(settings) => migrate::run(settings).await,
        RunCommand::Bulk(settings) => bulk::run(settings).await,
        RunCommand::Update(settings) => update::run(settings).await,
        RunCommand::Cancel(settings) => cancel::run(settings).await,
        RunCommand::Terminate(settings) => operate::terminate(settings).await,
    }
}

/// Where a node stands, as people see it.
fn status_of(node: &Value) -> String {
    let status = show::cell(&node["status"]);
    if node["tolerated"] == true { format!("{status} (tolerated)") } else { status }
}

/// A run as people see it.
fn card(run: &Value) -> String {
    let mut properties = vec![
        ("run", show::cell(&run["runId"])),
        ("workflow", format!("{} v{}", show::cell(&run["workflow"]), run["version"])),
        ("status", show::cell(&run["status"])),
        ("started", show::cell(&run["startedAt"])),
        ("ended", show::cell(&run["completedAt"])),
    ];
    for (name, field) in [("started by", "startedBy"), ("cancelled by", "cancelledBy")] {
        if !run[field].is_null() {
            properties.push((name, show::actor(&run[field])));
        }
    }
    if !run["name"].is_null() {
        properties.insert(1, ("name", show::cell(&run["name"])));
    }
    for (name, field) in [("labels", "labels"), ("attributes", "attributes")] {
        let of = run[field].as_object().into_iter().flatten();
        let pairs: Vec<String> = of.map(|(key, value)| format!("{key}={}", show::cell(value))).collect();
        if !pairs.is_empty() {
            properties.push((name, pairs.join(", ")));
        }
    }
    if !run["targets"].is_null() {
        properties.push(("targets", show::cell(&run["targets"])));
    }
    let call = &run["trigger"]["call"];
    if !call.is_null() {
        properties.push(("called by", format!("{} of {}", show::cell(&call["node"]), show::cell(&call["parent"]))));
    }
    for (name, of) in [("goes on from", &run["continuedFrom"]["run"]), ("goes on as", &run["continuedAs"])] {
        if !of.is_null() {
            properties.push((name, show::cell(of)));
        }
    }
    if let Some(error) = run["error"].as_object() {
        let node = error.get("nodeId").and_then(Value::as_str).map(|node| format!("{node}: ")).unwrap_or_default();
        let text = |name: &str| error.get(name).map(show::cell).unwrap_or_default();
        properties.push(("error", format!("{node}{} [{}]", text("message"), text("code"))));
    }
    if !run["output"].is_null() {
        properties.push(("output", run["output"].to_string()));
    }
    show::card(properties)
}
