//! A journal read up to an end that is known to be there: what a take-over folds, what a rebuild projects.

use std::time::Duration;

use headwater_core::{Sequence, ShardId};

use super::{Entry, JournalReader as _, Journals, ReadError};
use crate::ExchangeError;

/// How long one read waits before it is asked whether the next entry is there at all.
const READ_WAIT: Duration = Duration::from_secs(10);
/// How many entries are read at once.
const ENTRIES_MAX: usize = 256;

/// Says why a stretch of a journal is not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum StretchError {
    /// An entry before the end is not there (any more).
    #[error("entry {at} of the journal is gone")]
    Gone { at: Sequence },
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// Reads one journal from a place up to its end, in pieces.
pub struct Stretch<'a, J: Journals> {
    journals: &'a J,
    shard: ShardId,
    next: Sequence,
    end: Sequence,
    reader: Option<J::Reader>,
}

impl<'a, J: Journals> Stretch<'a, J> {
    /// Reads from `from` on up to `end`, which are in one incarnation. Nothing is asked for before [`Self::next`].
    pub fn new(journals: &'a J, shard: ShardId, from: Sequence, end: Sequence) -> Self {
        Self { journals, shard, next: from, end, reader: None }
    }

    /// Returns the next entries; none when everything up to the end has been returned. The last ones may be behind it: they
    /// came meanwhile.
    ///
    /// # Errors
    /// See [`StretchError`].
    pub async fn next(&mut self) -> Result<Vec<Entry>, StretchError> {
        while self.next <= self.end {
            let reader = self.reader.get_or_insert_with(|| self.journals.read(self.shard, self.next));
            let entries = reader.next(ENTRIES_MAX, READ_WAIT).await.map_err(|error| match error {
                ReadError::Purged { wanted, .. } => StretchError::Gone { at: wanted },
                ReadError::Exchange(error) => StretchError::Exchange(error),
            })?;
            if let Some(last) = entries.last() {
                self.next = last.sequence.next();
                return Ok(entries);
            }
            // What is not delivered may be gone, also where nothing is behind it: the leader knows.
            if self.journals.entry(self.shard, self.next).await?.is_none() {
                return Err(StretchError::Gone { at: self.next });
            }
        }
        if let Some(reader) = self.reader.take() {
            reader.close().await;
        }
        Ok(Vec::new())
    }
}
