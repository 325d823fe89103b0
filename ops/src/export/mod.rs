//! One file with everything that folding a run takes: what the API showed of it, line by line, each bound to those before it.
//!
//! | file | question |
//! |---|---|
//! | here | what the lines say |
//! | `chain` | how a changed byte shows |
//! | `replay` | whether the run can have been so, and where it stands |

mod chain;
mod replay;

use headwater_core::{Json, RunId, StoredValue};
use serde::{Deserialize, Serialize};

pub use self::chain::{Broken, Chain, LINE_BYTES_MAX};
pub use self::replay::{Flawed, Replay, Standing};

/// How the file is written.
pub const FORMAT: &str = "headwater-run/1";

/// One line of the file, in this order: the run, its definition, its events, what was seen of it, and the end. Before the event
/// with which the run goes over to another version stands the definition of that.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Said {
    Run {
        format: String,
        run: RunId,
    },
    Definition {
        content_hash: String,
        document: Json,
    },
    Event(Box<Recorded>),
    /// What the engine saw in the run itself after the last event. Absent where it could not say.
    Seen {
        context: Json,
    },
    End {
        events: u64,
    },
}

/// An event as `GET /runs/{runId}/events` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    pub revision: u64,
    /// RFC 3339.
    pub time: String,
    /// Where its commit stands: `shard:sequence`.
    pub position: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    pub event: Json,
    /// What stands in the place of its value, where that is too large for the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredValue>,
    /// That value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
}
