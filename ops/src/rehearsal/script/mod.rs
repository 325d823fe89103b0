//! What a test file says.
//!
//! | file | question |
//! |---|---|
//! | here | which cases there are, and with what each begins |
//! | `mock` | what handlers are to answer |
//! | `signal` | what is said to the run |
//! | `person` | what people answer |
//! | `callback` | what is called back |
//! | `faults` | what is to go wrong |
//! | `expectation` | what is to come of it |
//! | `reading` | how values are read, and what is wrong with them where |

mod callback;
mod expectation;
mod faults;
mod mock;
mod person;
mod reading;
mod signal;

use std::time::Duration;

use headwater_core::{AssetId, Json, PartitionKey, Slug, Timestamp};
use serde_json::Value;

pub use self::callback::CallsBack;
pub use self::expectation::{Continues, Elapsed, Expectation, MadeAsset, Path};
pub use self::faults::Faults;
pub use self::mock::{Answer, Mock, Mocks};
pub use self::person::Answered;
pub use self::reading::Problem;
use self::reading::{At, Problems};
pub use self::signal::Said;

/// How many cases a file may have.
pub const CASES_MAX: usize = 1_000;
/// How many decisions a case may take where it says nothing of it, and at most.
pub const DECISIONS: u64 = 20_000;
pub const DECISIONS_MAX: u64 = 1_000_000;
/// How much virtual time may pass in a case where it says nothing of it.
pub const VIRTUAL_TIME: Duration = Duration::from_secs(366 * 86_400);
/// When a case begins that says nothing of it: 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000_000;

/// A test file.
#[derive(Debug, Clone)]
pub struct Script {
    /// Files and folders with the definitions, relative to the test file.
    pub definitions: Vec<String>,
    pub cases: Vec<Case>,
}

/// One run, what is made up around it, and what is to come of it.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    /// Absent: the only one that the file names.
    pub workflow: Option<Slug>,
    /// What the virtual clock says at first.
    pub start: Timestamp,
    pub input: Json,
    pub mocks: Mocks,
    pub assets: Vec<ExistingAsset>,
    /// What is said to the run, in the order in which it stands in the file.
    pub signals: Vec<Said>,
    /// What people answer who are asked.
    pub answers: Vec<Answered>,
    pub callbacks: Vec<CallsBack>,
    pub faults: Option<Faults>,
    pub limits: Limits,
    pub expect: Expectation,
    /// Where it stands in the file.
    pub path: String,
}

/// A version that is there before the run begins.
#[derive(Debug, Clone)]
pub struct ExistingAsset {
    pub asset: AssetId,
    pub partition: Option<PartitionKey>,
    pub payload: Json,
    /// Absent: as the case begins.
    pub produced_at: Option<Timestamp>,
    /// With what the run was started that made it.
    pub run_input: Json,
    /// Which workflow made it. Absent: the first by slug that makes such assets.
    pub producer: Option<Slug>,
}

/// After how much a case is over, whatever it has come to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub decisions: u64,
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { decisions: DECISIONS, time: VIRTUAL_TIME }
    }
}

impl Script {
    /// Reads a test file.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to a hundred problems.
    pub fn read(document: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let script = read(&At::root(document), &mut problems);
        match (script, problems.into_list()) {
            (Some(script), problems) if problems.is_empty() => Ok(script),
            (_, problems) => Err(problems),
        }
    }
}

fn read(at: &At<'_>, problems: &mut Problems) -> Option<Script> {
    let fields = at.fields(&["definitions", "cases"], problems)?;
    let definitions = fields.need("definitions", problems)?;
    let named = definitions.items(problems);
    if named.is_empty() {
        problems.add(&definitions.path, "names no definition");
    }
    let definitions = named.iter().filter_map(|one| one.text(problems).map(str::to_owned)).collect();
    let listed = fields.need("cases", problems)?;
    let items = listed.items(problems);
    if items.is_empty() || items.len() > CASES_MAX {
        problems.add(&listed.path, format!("has {} cases: 1 to {CASES_MAX} are read", items.len()));
        return None;
    }
    let mut cases: Vec<Case> = Vec::new();
    for item in items {
        let Some(case) = case(&item, problems) else { continue };
        if cases.iter().any(|other| other.name == case.name) {
            problems.add(&format!("{}/name", item.path), format!("another case is named `{}` too", case.name));
        }
        cases.push(case);
    }
    Some(Script { definitions, cases })
}

fn case(at: &At<'_>, problems: &mut Problems) -> Option<Case> {
    let known = [
        "name",
        "workflow",
        "start",
        "input",
        "mocks",
        "assets",
        "signals",
        "answers",
        "callbacks",
        "faults",
        "limits",
        "expect",
    ];
    let fields = at.fields(&known, problems)?;
    let name = fields.need("name", problems).and_then(|name| name.text(problems)).map(str::to_owned);
    let workflow = fields.get("workflow").and_then(|slug| slug.parsed(problems));
    let start = fields.get("start").and_then(|time| time.time(problems));
    let input = fields.get("input").map_or_else(Json::empty_object, |input| input.json());
    let mocks = fields.get("mocks").map(|mocks| Mocks::read(&mocks, problems)).unwrap_or_default();
    let assets = fields.get("assets").map(|assets| assets.items(problems)).unwrap_or_default();
    let assets = assets.iter().filter_map(|asset| existing(asset, problems)).collect();
    let signals = fields.get("signals").map(|signals| signals.items(problems)).unwrap_or_default();
    let signals = signals.iter().filter_map(|signal| Said::read(signal, problems)).collect();
    let answers = fields.get("answers").map(|answers| answers.items(problems)).unwrap_or_default();
    let answers = answers.iter().filter_map(|answer| Answered::read(answer, problems)).collect();
    let callbacks = fields.get("callbacks").map(|callbacks| callbacks.items(problems)).unwrap_or_default();
    let callbacks = callbacks.iter().filter_map(|said| CallsBack::read(said, problems)).collect();
    let faults = fields.get("faults").and_then(|faults| Faults::read(&faults, problems));
    let limits = fields.get("limits").map(|limits| limited(&limits, problems)).unwrap_or_default();
    let expect = fields.need("expect", problems).and_then(|expect| Expectation::read(&expect, problems));
    Some(Case {
        name: name?,
        workflow,
        start: start.unwrap_or(Timestamp::from_micros(START)),
        input,
        mocks,
        assets,
        signals,
        answers,
        callbacks,
        faults,
        limits,
        expect: expect?,
        path: at.path.clone(),
    })
}

fn existing(at: &At<'_>, problems: &mut Problems) -> Option<ExistingAsset> {
    let fields = at.fields(&["assetId", "partitionKey", "payload", "producedAt", "runInput", "workflow"], problems)?;
    let asset = fields.need("assetId", problems).and_then(|asset| asset.parsed(problems));
    let partition = fields.get("partitionKey").and_then(|key| key.parsed(problems));
    let produced_at = fields.get("producedAt").and_then(|time| time.time(problems));
    let payload = fields.get("payload").map_or_else(Json::null, |payload| payload.json());
    let run_input = fields.get("runInput").map_or_else(Json::empty_object, |input| input.json());
    let producer = fields.get("workflow").and_then(|slug| slug.parsed(problems));
    Some(ExistingAsset { asset: asset?, partition, payload, produced_at, run_input, producer })
}

fn limited(at: &At<'_>, problems: &mut Problems) -> Limits {
    let limits = Limits::default();
    let Some(fields) = at.fields(&["decisions", "time"], problems) else { return limits };
    let decisions = fields.get("decisions").and_then(|number| number.whole(1, DECISIONS_MAX, problems));
    let time = fields.get("time").and_then(|time| time.span(problems));
    Limits { decisions: decisions.unwrap_or(limits.decisions), time: time.unwrap_or(limits.time) }
}
