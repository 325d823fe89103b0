//! What is said to a run from outside, and when.

use std::time::Duration;

use headwater_core::{Json, SignalKey, SignalName};

use super::reading::{At, Problems};

/// A signal, so long after the case begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub after: Duration,
    pub name: SignalName,
    pub key: Option<SignalKey>,
    pub payload: Json,
    pub broadcast: bool,
    /// How often it is sent.
    pub times: u64,
}

/// How often one signal is sent at most.
const TIMES_MAX: u64 = 100;

impl Said {
    pub(super) fn read(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let fields = at.fields(&["after", "name", "key", "payload", "broadcast", "times"], problems)?;
        let name = fields.need("name", problems).and_then(|name| name.parsed(problems));
        let key = fields.get("key").map(|key| key.parsed(problems));
        let after = fields.get("after").map(|after| after.span(problems));
        let payload = fields.get("payload").map_or_else(Json::null, |payload| payload.json());
        let broadcast = fields.get("broadcast").map(|broadcast| broadcast.truth(problems));
        let times = fields.get("times").map(|times| times.whole(1, TIMES_MAX, problems));
        Some(Self {
            after: after.unwrap_or(Some(Duration::ZERO))?,
            name: name?,
            key: key.map_or(Some(None), |key| key.map(Some))?,
            payload,
            broadcast: broadcast.unwrap_or(Some(false))?,
            times: times.unwrap_or(Some(1))?,
        })
    }
}
