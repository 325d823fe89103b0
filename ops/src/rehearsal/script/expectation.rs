//! What is to come of a case. What nothing is said of may be as it likes.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::{AssetId, Json, PartitionKey};

use super::reading::{At, Problems};

/// What is to come of a case.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    pub end: RunEnd,
    /// The nodes that succeed, in the order in which they do.
    pub path: Option<Path>,
    /// All that are skipped.
    pub skipped: Option<Vec<String>>,
    /// All that fail for good, tolerated ones too, with the codes they fail with.
    pub failed: Option<BTreeMap<String, String>>,
    /// How many attempts these nodes take.
    pub attempts: BTreeMap<String, u32>,
    /// What these keys of `state` hold in the end.
    pub state: BTreeMap<String, Json>,
    /// All that is made, by this run and those it has started.
    pub assets: Option<Vec<MadeAsset>>,
    pub elapsed: Elapsed,
}

/// How the run is to end.
#[derive(Debug, Clone, Default)]
pub struct RunEnd {
    pub status: Option<String>,
    pub output: Option<Json>,
    /// The code that it fails with.
    pub error: Option<String>,
    pub continues_as: Option<Continues>,
}

/// As what it is to go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Continues {
    /// It is not.
    Not,
    As {
        /// Absent: whichever workflow.
        workflow: Option<String>,
        /// Absent: whatever it is.
        input: Option<Json>,
    },
}

/// Which nodes succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// These and no others.
    Whole(Vec<String>),
    /// These, in this order; others may come between them.
    Contains(Vec<String>),
}

/// A version that is to be made.
#[derive(Debug, Clone)]
pub struct MadeAsset {
    pub asset: AssetId,
    pub partition: Option<PartitionKey>,
    /// Absent: whatever it is.
    pub payload: Option<Json>,
}

/// How much virtual time is to pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elapsed {
    pub at_least: Option<Duration>,
    pub at_most: Option<Duration>,
}

const STATUSES: [&str; 7] = ["queued", "running", "waiting", "paused", "succeeded", "failed", "cancelled"];

impl Expectation {
    pub(super) fn read(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let known = [
            "status",
            "output",
            "error",
            "continuesAs",
            "path",
            "skipped",
            "failed",
            "attempts",
            "state",
            "assets",
            "elapsed",
        ];
        let fields = at.fields(&known, problems)?;
        let status = fields.get("status").and_then(|status| {
            let text = status.text(problems)?;
            if !STATUSES.contains(&text) {
                problems.add(&status.path, format!("is none of {}", STATUSES.join(", ")));
            }
            Some(text.to_owned())
        });
        let error = fields.get("error").and_then(|code| code.text(problems)).map(str::to_owned);
        let continues_as = fields.get("continuesAs").and_then(|continues| continues_of(&continues, problems));
        let end = RunEnd { status, output: fields.get("output").map(|output| output.json()), error, continues_as };
        let path = fields.get("path").and_then(|path| path_of(&path, problems));
        let skipped = fields.get("skipped").map(|skipped| texts(&skipped, problems));
        let failed = fields.get("failed").map(|failed| {
            let entries = failed.entries(problems);
            entries
                .iter()
                .filter_map(|(node, code)| Some(((*node).to_owned(), code.text(problems)?.to_owned())))
                .collect()
        });
        let attempts = fields.get("attempts").map(|attempts| attempts.entries(problems)).unwrap_or_default();
        let count = |(node, number): &(&str, At<'_>), problems: &mut Problems| {
            let number = u32::try_from(number.whole(0, u32::MAX.into(), problems)?).ok()?;
            Some(((*node).to_owned(), number))
        };
        let attempts = attempts.iter().filter_map(|entry| count(entry, problems)).collect();
        let state = fields.get("state").map(|state| state.entries(problems)).unwrap_or_default();
        let state = state.iter().map(|(key, value)| ((*key).to_owned(), value.json())).collect();
        let assets = fields.get("assets").map(|assets| assets_of(&assets, problems));
        let elapsed = fields.get("elapsed").map(|elapsed| elapsed_of(&elapsed, problems)).unwrap_or_default();
        Some(Self { end, path, skipped, failed, attempts, state, assets, elapsed })
    }
}

fn continues_of(at: &At<'_>, problems: &mut Problems) -> Option<Continues> {
    if *at.value == serde_json::Value::Bool(false) {
        return Some(Continues::Not);
    }
    let fields = at.fields(&["workflow", "input"], problems)?;
    let workflow = fields.get("workflow").and_then(|workflow| workflow.text(problems)).map(str::to_owned);
    Some(Continues::As { workflow, input: fields.get("input").map(|input| input.json()) })
}

fn texts(at: &At<'_>, problems: &mut Problems) -> Vec<String> {
    at.items(problems).iter().filter_map(|item| item.text(problems).map(str::to_owned)).collect()
}

fn path_of(at: &At<'_>, problems: &mut Problems) -> Option<Path> {
    if at.value.is_array() {
        return Some(Path::Whole(texts(at, problems)));
    }
    let contains = at.fields(&["contains"], problems)?.need("contains", problems)?;
    Some(Path::Contains(texts(&contains, problems)))
}

/// `{asset: payload}`, or a list where partitions or versions are told apart.
fn assets_of(at: &At<'_>, problems: &mut Problems) -> Vec<MadeAsset> {
    if at.value.is_object() {
        let entries = at.entries(problems);
        let made = entries.iter().filter_map(|(name, payload)| {
            let asset = name.parse().map_err(|error| problems.add(&payload.path, format!("{error}"))).ok()?;
            Some(MadeAsset { asset, partition: None, payload: Some(payload.json()) })
        });
        return made.collect();
    }
    let made = |item: &At<'_>, problems: &mut Problems| {
        let fields = item.fields(&["assetId", "partitionKey", "payload"], problems)?;
        let asset = fields.need("assetId", problems).and_then(|asset| asset.parsed(problems));
        let partition = fields.get("partitionKey").and_then(|key| key.parsed(problems));
        Some(MadeAsset { asset: asset?, partition, payload: fields.get("payload").map(|payload| payload.json()) })
    };
    at.items(problems).iter().filter_map(|item| made(item, problems)).collect()
}

fn elapsed_of(at: &At<'_>, problems: &mut Problems) -> Elapsed {
    if !at.value.is_object() {
        let exact = at.span(problems);
        return Elapsed { at_least: exact, at_most: exact };
    }
    let Some(fields) = at.fields(&["atLeast", "atMost"], problems) else { return Elapsed::default() };
    let [at_least, at_most] = ["atLeast", "atMost"].map(|name| fields.get(name).and_then(|span| span.span(problems)));
    Elapsed { at_least, at_most }
}
