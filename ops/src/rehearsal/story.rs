//! What happened in a case, for whoever compares it with what was expected, and for whoever reads it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::asset::AssetEvent;
use headwater_core::definition::Definition;
use headwater_core::run::{BranchKind, Context, History, ReportOutcome, RunEvent};
use headwater_core::shard::{AggregateId, Commit, Event};
use headwater_core::{AssetId, BranchId, Json, NodeAddress, PartitionKey, RunFailure, RunId, Timestamp};
use serde_json::Value;

/// How many lines of a timeline are kept.
pub const LINES_MAX: usize = 2_000;
/// How much of a value a line shows.
const GLANCE_CHARS_MAX: usize = 120;

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Since the case began.
    pub after: Duration,
    /// Of which workflow's run; more than one is numbered.
    pub run: String,
    pub text: String,
}

/// A version that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub asset: AssetId,
    pub partition: Option<PartitionKey>,
    pub payload: Json,
}

/// How the nodes of a run ended.
#[derive(Debug, Default)]
pub struct Ends {
    /// In the order in which they did.
    pub succeeded: Vec<NodeAddress>,
    pub skipped: Vec<NodeAddress>,
    pub failed: BTreeMap<NodeAddress, String>,
    pub attempts: BTreeMap<NodeAddress, u32>,
    pub output: Option<Json>,
    pub failure: Option<RunFailure>,
    /// The workflow that it goes on as, and with which input.
    pub continues_as: Option<(String, Json)>,
}

/// What happened in a case.
#[derive(Debug)]
pub struct Story {
    begun: Timestamp,
    main: RunId,
    history: History,
    ends: Ends,
    made: Vec<Made>,
    lines: Vec<Line>,
    /// How many lines there were too many.
    left_out: usize,
    runs: BTreeMap<RunId, String>,
    /// The item that a branch is for, by its position, and the branch around it.
    branches: BTreeMap<(RunId, BranchId), (Option<u32>, BranchId)>,
}

impl Story {
    /// Begins the story of a run.
    pub fn of(main: RunId, definition: Arc<Definition>, begun: Timestamp) -> Self {
        Self {
            begun,
            main,
            history: History::of(main, definition),
            ends: Ends::default(),
            made: Vec::new(),
            lines: Vec::new(),
            left_out: 0,
            runs: BTreeMap::new(),
            branches: BTreeMap::new(),
        }
    }

    /// Takes down what was decided.
    ///
    /// # Errors
    /// The rules decided what they hold for impossible.
    pub fn note(&mut self, commit: &Commit) -> Result<(), String> {
        let after = commit.time.since(self.begun);
        for event in &commit.events {
            match (&commit.aggregate, event) {
                (AggregateId::Run(run), Event::Run(event)) => self.note_run(*run, event, commit.time)?,
                (AggregateId::Asset(key), Event::Asset(AssetEvent::AssetMaterialized { version, record })) => {
                    // What was there before was made by no run of the case.
                    let Some(run) = self.runs.get(&record.run).cloned() else { continue };
                    let partition = record.partition.as_ref().map(|key| format!("[{key}]")).unwrap_or_default();
                    let payload = glance(&record.payload);
                    self.line(after, run, format!("made {}{partition}@{version} {payload}", key.asset));
                    let (partition, payload) = (record.partition.clone(), record.payload.clone());
                    self.made.push(Made { asset: key.asset.clone(), partition, payload });
                }
                (_, _) => {}
            }
        }
        Ok(())
    }

    fn note_run(&mut self, run: RunId, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        if let RunEvent::RunStarted { workflow, .. } = event {
            let others = self.runs.values().filter(|of| of.split('#').next() == Some(workflow.as_str())).count();
            let name = if others == 0 { workflow.to_string() } else { format!("{workflow}#{}", others + 1) };
            self.runs.insert(run, name);
        }
        if let RunEvent::BranchesOpened { node, kind, first, from, count } = event {
            for n in 0..*count {
                let item = (*kind == BranchKind::Item).then_some(from + n);
                self.branches.insert((run, BranchId::new(first.get() + n)), (item, node.branch()));
            }
        }
        if let RunEvent::BranchEnded { branch, .. } = event {
            self.branches.remove(&(run, *branch));
        }
        let name = self.runs.get(&run).cloned().unwrap_or_default();
        if let Some(text) = told(event) {
            self.line(time.since(self.begun), name, text);
        }
        if run != self.main {
            return Ok(());
        }
        self.ends.note(event);
        self.history.learn(event, time)
    }

    /// Adds what no event tells.
    pub fn line(&mut self, after: Duration, run: String, text: String) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(Line { after, run, text });
        } else {
            self.left_out += 1;
        }
    }

    /// Returns what a run is called in the timeline.
    pub fn name_of(&self, run: RunId) -> String {
        self.runs.get(&run).cloned().unwrap_or_default()
    }

    /// Returns the position of the innermost item that a node happens for.
    pub fn item_of(&self, run: RunId, node: &NodeAddress) -> Option<u32> {
        let mut branch = node.branch();
        while branch != BranchId::ROOT {
            let (item, around) = self.branches.get(&(run, branch))?;
            if item.is_some() {
                return *item;
            }
            branch = *around;
        }
        None
    }

    /// Returns the run that the case is of.
    pub fn main(&self) -> RunId {
        self.main
    }

    /// Returns how the nodes of the run ended.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Returns what is seen of the run now; `None`: it has not started.
    pub fn seen(&self) -> Option<Context> {
        self.history.seen_in(BranchId::ROOT)
    }

    /// Returns what was made, in order.
    pub fn made(&self) -> &[Made] {
        &self.made
    }

    /// Returns the timeline, and how many lines are left out at its end.
    pub fn timeline(&self) -> (&[Line], usize) {
        (&self.lines, self.left_out)
    }
}

impl Ends {
    fn note(&mut self, event: &RunEvent) {
        let mut tried = |node: &NodeAddress, attempt: u32| {
            let known = self.attempts.entry(node.clone()).or_default();
            *known = (*known).max(attempt);
        };
        if let RunEvent::AttemptScheduled { node, attempt, .. } = event {
            tried(node, attempt.get());
        } else if let RunEvent::NodeSucceeded { node, attempt, .. } = event {
            tried(node, attempt.get());
            self.succeeded.push(node.clone());
        } else if let RunEvent::NodeFailed { node, failure, .. } = event {
            self.failed.insert(node.clone(), failure.code.clone());
        } else if let RunEvent::NodeSkipped { node } = event {
            self.skipped.push(node.clone());
        } else if let RunEvent::SuccessorChosen { workflow, input, .. } = event {
            self.continues_as = Some((workflow.to_string(), input.clone()));
        } else if let RunEvent::RunSucceeded { output, .. } = event {
            self.output = Some(output.clone());
        } else if let RunEvent::RunFailed { failure } = event {
            self.failure = Some(failure.clone());
        }
    }
}

/// An event in words; `None`: it says nothing that another does not.
fn told(event: &RunEvent) -> Option<String> {
    // An event by its name, so that one that is new is told too.
    let written = serde_json::to_value(event).ok()?;
    let (name, fields) = written.as_object()?.iter().next()?;
    if ["attemptGranted", "nodeAwaitedAssets", "memoAsked", "memoCleared", "memoLeft"].contains(&name.as_str()) {
        return None;
    }
    let text = |field: &str| fields[field].as_str().map(str::to_owned);
    let failure = fields.get("failure").map(|failure| {
        let said = |field: &str| failure[field].as_str().unwrap_or_default();
        format!(" {}: {}", shortened(said("code")), shortened(said("message")))
    });
    let value = ["output", "input", "items", "chosen", "payload", "value", "assignees"]
        .iter()
        .find_map(|field| fields.get(field))
        .map(glance_of);
    let attempt = fields["attempt"].as_u64().filter(|attempt| *attempt > 1).map(|n| format!(" (attempt {n})"));
    let branch = fields["branch"].as_u64().map(|branch| format!("@{branch} "));
    // A signal is told of by its name.
    let about = text("node").or(text("name")).map(|about| format!("{about} "));
    let node = about.or(branch).unwrap_or_default();
    let value = value.map(|value| format!(" {value}")).unwrap_or_default();
    Some(format!("{node}{name}{}{}{value}", attempt.unwrap_or_default(), failure.unwrap_or_default()))
}

/// The beginning of a value.
pub fn glance(value: &Json) -> String {
    shortened(value.as_str())
}

fn glance_of(value: &Value) -> String {
    shortened(&value.to_string())
}

/// One line of it: what would move a terminal's cursor stands as it is escaped.
fn shortened(text: &str) -> String {
    let (text, more) = match text.char_indices().nth(GLANCE_CHARS_MAX) {
        Some((end, _)) => (&text[..end], "…"),
        None => (text, ""),
    };
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).chain([more.to_owned()]).collect()
}

/// Reads what a mock says as what a worker reports.
///
/// # Errors
/// It is not written as reports are.
pub fn outcome(said: &Value) -> Result<ReportOutcome, serde_json::Error> {
    serde_json::from_str(&said.to_string())
}
