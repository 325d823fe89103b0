//! When what was seen of a run is kept beside it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ProblemCode;
use super::document::Fields;
use crate::Json;

/// The most that `everyEvents` may be.
const EVENTS_MAX: u64 = 1_000_000;
/// The most that `everySeconds` may be: a year.
const SECONDS_MAX: u64 = 365 * 24 * 3_600;
/// What a canonical document with a policy holds, and hardly another.
const WORD: &str = r#""snapshotPolicy":"#;

/// At the end of which commits of a run a snapshot is taken: wherever one of these is true. At least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotPolicy {
    /// So many events or more have happened since the last; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_events: Option<u32>,
    /// So many seconds or more have passed since the last, or since the start, by the times of commits; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u32>,
    /// A node has begun in which several ways come together, or the items of a `forEach` have come together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_join: bool,
}

impl SnapshotPolicy {
    /// Returns the policy of a canonical document, without compiling it; `None`: it has none.
    pub fn of_document(document: &Json) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Said {
            snapshot_policy: Option<SnapshotPolicy>,
        }
        let may_say = document.as_str().contains(WORD);
        may_say.then(|| serde_json::from_str::<Said>(document.as_str()).ok()?.snapshot_policy)?
    }

    /// Returns after how long a snapshot is taken whatever happened.
    pub(crate) fn every(&self) -> Option<Duration> {
        self.every_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }
}

/// Reads `snapshotPolicy`.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<SnapshotPolicy> {
    let field = fields.take(&["snapshotPolicy"])?;
    let mut said = field.fields()?;
    let number = |of: &mut Fields<'_>, name: &'static str, max: u64| {
        let read = of.take(&[name])?.number(1, max)?;
        of.keep(name, Value::from(read));
        u32::try_from(read).ok()
    };
    let is_empty = ["everyEvents", "everySeconds", "onJoin"].into_iter().all(|name| !said.has(name));
    let every_events = number(&mut said, "everyEvents", EVENTS_MAX);
    let every_seconds = number(&mut said, "everySeconds", SECONDS_MAX);
    let on_join = said.take(&["onJoin"]).and_then(|field| field.flag());
    if is_empty || (on_join == Some(false) && !said.has("everyEvents") && !said.has("everySeconds")) {
        let message = "says never: one of `everyEvents`, `everySeconds` and `onJoin: true` has to be there";
        field.error(ProblemCode::InvalidValue, message);
    }
    if on_join == Some(true) {
        said.keep("onJoin", Value::from(true));
    }
    let kept: Map<String, Value> = said.finish();
    fields.keep("snapshotPolicy", Value::Object(kept));
    Some(SnapshotPolicy { every_events, every_seconds, on_join: on_join.unwrap_or_default() })
}
