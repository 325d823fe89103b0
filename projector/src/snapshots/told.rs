//! What a row of `commits` tells a fold.

use std::panic::{AssertUnwindSafe, catch_unwind};

use headwater_core::definition::StoredDocument;
use headwater_core::run::{RunEvent, Snapshots};
use headwater_core::shard::{Event, Stored};
use headwater_core::{Json, Revision, StoredValue, Timestamp};
use headwater_streams::journals::Journals;
use serde::Serialize;
use tokio_postgres::Row;

use crate::JournalError;
use crate::columns::Time;

/// What happened cannot be read, or cannot have happened.
#[derive(Debug)]
pub(super) struct Unclear;

/// A commit of a run.
pub(super) struct Told {
    pub(super) revision: Revision,
    pub(super) time: Timestamp,
    pub(super) events: Vec<RunEvent>,
}

impl Told {
    pub(super) fn of_row(row: &Row, events: Vec<RunEvent>) -> Self {
        let Time(time) = row.get("time");
        Self { revision: Revision::new(row.get::<_, i64>("revision").unsigned_abs()), time, events }
    }

    /// Has a fold learn it; says whether a snapshot is taken then. What makes the fold panic cannot be either.
    pub(super) fn learned_by(self, folded: &mut Snapshots) -> Result<bool, Unclear> {
        let Self { revision, time, events } = self;
        let learned = catch_unwind(AssertUnwindSafe(|| folded.learn(revision, time, &events)));
        learned.ok().and_then(Result::ok).ok_or(Unclear)
    }
}

/// Reads the events of a commit, and says how many bytes they have. What stands in the place of a value that is too large for the journal is `{stored: {digest,
/// sizeBytes}}`; only lists of items are fetched, for how many there are is counted.
///
/// # Errors
/// See [`JournalError`]. Within: what is there cannot be folded.
pub(super) async fn read<J: Journals>(
    journals: &J,
    text: &[u8],
    stored: Option<&Json>,
) -> Result<Result<(Vec<RunEvent>, usize), Unclear>, JournalError> {
    let Ok(mut events) = serde_json::from_slice::<Vec<Event>>(text) else { return Ok(Err(Unclear)) };
    let mut bytes = text.len();
    if let Some(stored) = stored {
        let Ok(Stored { workspace, values }) = serde_json::from_str(stored.as_str()) else { return Ok(Err(Unclear)) };
        for field in values {
            let Some(event) = events.get_mut(field.event as usize) else { continue };
            let value = if matches!(event, Event::Run(RunEvent::ItemsListed { .. })) {
                let StoredValue { digest, size_bytes } = field.value;
                journals.document(&StoredDocument { workspace: workspace.clone(), digest, size_bytes }).await?
            } else {
                Some(named(field.value))
            };
            let Some(value) = value else { return Ok(Err(Unclear)) };
            bytes += value.len_bytes();
            event.put_back(value);
        }
    }
    let own = |event: Event| match event {
        Event::Run(event) => Ok(event),
        Event::Asset(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => Err(Unclear),
    };
    let own: Result<Vec<RunEvent>, Unclear> = events.into_iter().map(own).collect();
    Ok(own.map(|events| (events, bytes)))
}

/// What stands in a snapshot for a value that is too large for the journal.
fn named(stored: StoredValue) -> Json {
    #[derive(Serialize)]
    struct Named {
        stored: StoredValue,
    }
    Json::of(&Named { stored })
}
