//! What handlers are to answer: by node or by job, for all attempts or one after the other, for all items or each.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::reading::{At, Fields, Problems};

/// How many times a handler may answer for one node, and how many items may have answers of their own.
const ANSWERS_MAX: usize = 1_000;

/// The mocks of a case.
#[derive(Debug, Clone, Default)]
pub struct Mocks {
    /// By `node`, by the address `node@branch`, or by either behind `workflow/`.
    pub nodes: BTreeMap<String, Mock>,
    pub jobs: BTreeMap<String, Mock>,
}

/// What stands in for a handler.
#[derive(Debug, Clone, Default)]
pub struct Mock {
    /// By attempt; the last one answers all that follow. Empty: there is none for all items.
    pub answers: Vec<Answer>,
    /// By the position of the innermost item that the node happens for, from 0.
    pub items: BTreeMap<u32, Self>,
    /// How often it may have its effect for one idempotency key. Absent: as often as it likes.
    pub effects: Option<u32>,
}

/// How one attempt ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the worker reports: see [`headwater_core::run::ReportOutcome`].
    pub outcome: Value,
    /// How long it takes.
    pub delay: Duration,
}

impl Answer {
    /// Returns whether the handler did what it is there for.
    pub fn has_effect(&self) -> bool {
        self.outcome.get("succeeded").is_some()
    }
}

impl Mocks {
    pub(super) fn read(at: &At<'_>, problems: &mut Problems) -> Self {
        let Some(fields) = at.fields(&["nodes", "jobs"], problems) else { return Self::default() };
        let mut listed = |name| {
            let entries = fields.get(name).map(|listed| listed.entries(problems)).unwrap_or_default();
            let mocks = entries.into_iter().map(|(name, at)| (name.to_owned(), Mock::read(&at, problems)));
            mocks.collect()
        };
        Self { nodes: listed("nodes"), jobs: listed("jobs") }
    }

    /// Finds the mock of a node, the most particular first.
    pub fn find(&self, workflow: &str, node: &headwater_core::NodeAddress, job: Option<&str>) -> Option<&Mock> {
        let (address, name) = (node.to_string(), node.node().as_str());
        let names = [format!("{workflow}/{address}"), address, format!("{workflow}/{name}"), name.to_owned()];
        let by_node = names.iter().find_map(|name| self.nodes.get(name));
        by_node.or_else(|| self.jobs.get(job?))
    }
}

/// The fields of one answer.
const SINGLE: [&str; 4] = ["output", "assets", "failure", "delay"];

impl Mock {
    fn read(at: &At<'_>, problems: &mut Problems) -> Self {
        let known = ["output", "assets", "failure", "delay", "attempts", "items", "effects"];
        let Some(fields) = at.fields(&known, problems) else { return Self::default() };
        let has_single = SINGLE.iter().any(|name| fields.get(name).is_some());
        let answers = match fields.get("attempts") {
            Some(_) if has_single => {
                problems.add(&at.path, "has an answer of its own beside `attempts`");
                Vec::new()
            }
            Some(attempts) => several(&attempts, problems),
            None if has_single => Answer::of(&fields, problems).into_iter().collect(),
            None => Vec::new(),
        };
        let items = fields.get("items").map(|items| items_of(&items, problems)).unwrap_or_default();
        if answers.is_empty() && items.is_empty() && fields.get("attempts").is_none() {
            problems.add(&at.path, "says neither `output`, `failure`, `attempts` nor `items`");
        }
        let effects = fields.get("effects").and_then(|effects| effects_of(&effects, problems));
        Self { answers, items, effects }
    }

    /// Returns what an attempt ends with, counted from 1.
    pub fn answer(&self, attempt: u32) -> Option<&Answer> {
        let nth = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        self.answers.get(nth).or_else(|| self.answers.last())
    }

    /// Returns the mock for an item, where that has one of its own.
    pub fn of_item(&self, item: Option<u32>) -> &Self {
        item.and_then(|item| self.items.get(&item)).unwrap_or(self)
    }
}

fn several(at: &At<'_>, problems: &mut Problems) -> Vec<Answer> {
    let items = at.items(problems);
    if items.is_empty() || items.len() > ANSWERS_MAX {
        problems.add(&at.path, format!("has {} answers: 1 to {ANSWERS_MAX} are read", items.len()));
        return Vec::new();
    }
    items.iter().filter_map(|item| Answer::of(&item.fields(&SINGLE, problems)?, problems)).collect()
}

fn items_of(at: &At<'_>, problems: &mut Problems) -> BTreeMap<u32, Mock> {
    let listed: Vec<(Option<u32>, At<'_>)> = match at.value {
        Value::Array(_) => (0..).map(Some).zip(at.items(problems)).filter(|(_, item)| !item.value.is_null()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            let entries = at.entries(problems).into_iter();
            let position = |name: &str| name.parse().ok().filter(|position: &u32| position.to_string() == name);
            entries.map(|(name, item)| (position(name), item)).collect()
        }
    };
    if listed.len() > ANSWERS_MAX {
        problems.add(&at.path, format!("has {} items: at most {ANSWERS_MAX} are read", listed.len()));
        return BTreeMap::new();
    }
    let mut items = BTreeMap::new();
    for (position, item) in listed {
        match position {
            Some(position) => drop(items.insert(position, Mock::read(&item, problems))),
            None => problems.add(&item.path, "is not named after an item: 0, 1, 2, …"),
        }
    }
    let nested = items.values().any(|item| !item.items.is_empty() || item.effects.is_some());
    if nested {
        problems.add(&at.path, "an item has neither `items` nor `effects` of its own");
    }
    items
}

fn effects_of(at: &At<'_>, problems: &mut Problems) -> Option<u32> {
    match at.value.as_str() {
        Some("once") => Some(1),
        Some("any") => None,
        Some(_) | None => {
            let number = at.value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
            if number.is_none() {
                problems.add(&at.path, "is neither `once`, `any` nor a number from 1");
            }
            number
        }
    }
}

impl Answer {
    fn of(fields: &Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let delay = fields.get("delay").and_then(|delay| delay.span(problems)).unwrap_or_default();
        let outcome = match (fields.get("output"), fields.get("assets"), fields.get("failure")) {
            (None, None, Some(failure)) => failed(&failure, problems)?,
            (output, assets, None) => {
                let output = output.map(|output| output.value.clone()).unwrap_or_default();
                // What each of them has to be, the reader of reports says.
                assets.iter().for_each(|assets| drop(assets.items(problems)));
                let assets = assets.map(|assets| assets.value.clone()).unwrap_or_else(|| json!([]));
                json!({"succeeded": {"output": output, "assets": assets}})
            }
            (_, _, Some(failure)) => {
                problems.add(&failure.path, "stands beside `output` or `assets`");
                return None;
            }
        };
        Some(Self { outcome, delay })
    }
}

fn failed(at: &At<'_>, problems: &mut Problems) -> Option<Value> {
    let fields = at.fields(&["code", "message", "permanent", "details", "retryAfter"], problems)?;
    let code = fields.need("code", problems)?.text(problems)?;
    let message = fields.get("message").and_then(|message| message.text(problems)).unwrap_or("the mock says so");
    let permanent = fields.get("permanent").and_then(|permanent| permanent.truth(problems)).unwrap_or_default();
    let mut said = json!({"code": code, "message": message, "permanent": permanent});
    if let Some(details) = fields.get("details") {
        said["details"] = details.value.clone();
    }
    if let Some(after) = fields.get("retryAfter").and_then(|after| after.span(problems)) {
        said["retryAfterMs"] = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into();
    }
    Some(json!({"failed": said}))
}
