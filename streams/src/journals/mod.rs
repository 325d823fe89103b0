//! The journals of a cluster as whoever folds them reads them: the shards' recovery, the projector, a rebuild.
//!
//! Two things implement it: [`JetStreamJournals`], and [`MemoryJournals`], which holds journals that are already at hand.

mod jetstream;
mod memory;
mod stretch;

use std::future::Future;
use std::time::Duration;

use headwater_core::definition::StoredDocument;
use headwater_core::shard::{HoldReason, Sighting};
use headwater_core::{Incarnation, Json, Sequence, ShardId};

pub use self::jetstream::JetStreamJournals;
pub use self::memory::{MemoryJournals, MemoryReader};
pub use self::stretch::{Stretch, StretchError};
use crate::ExchangeError;
pub use crate::journal::{Entry, JournalInfo, ReadError};

/// The journals of a cluster.
pub trait Journals: Send + Sync + 'static {
    /// Reads one journal from a place on.
    type Reader: JournalReader;

    /// Returns what a shard's journal holds, as whoever decides has it (`STR-4`). `None`: there is none.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    fn describe(&self, shard: ShardId) -> impl Future<Output = Result<Option<JournalInfo>, ExchangeError>> + Send;

    /// Returns one entry, `None` when there is none (any more); as whoever decides has it (`STR-4`).
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    fn entry(&self, shard: ShardId, at: Sequence) -> impl Future<Output = Result<Option<Entry>, ExchangeError>> + Send;

    /// Reads a shard's journal from `from` on (inclusive), for ever. Its entries are in the incarnation of `from`.
    fn read(&self, shard: ShardId, from: Sequence) -> Self::Reader;

    /// Returns which incarnations of these journals have begun, in their order.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    fn incarnations(&self, shards: &[ShardId]) -> impl Future<Output = Result<Vec<Incarnation>, ExchangeError>> + Send;

    /// Returns how a shard's journal contradicts what was seen of it; `None`: it shows it. A journal that contradicts a reader's
    /// cursor has lost what was told to readers, so whoever drives the shard is told to stop.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    fn contradicts(
        &self,
        shard: ShardId,
        seen: &Sighting,
    ) -> impl Future<Output = Result<Option<HoldReason>, ExchangeError>> + Send;

    /// Returns a document that a journal names by digest. `None`: the store of values has lost it.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    fn document(&self, stored: &StoredDocument) -> impl Future<Output = Result<Option<Json>, ExchangeError>> + Send;

    /// Returns the number of the last entry of a shard's journal: zero for an empty one.
    ///
    /// # Errors
    /// See [`ExchangeError`]; a journal that is not there is `Unavailable`.
    fn head(&self, shard: ShardId) -> impl Future<Output = Result<Sequence, ExchangeError>> + Send {
        async move {
            let info = self.describe(shard).await?;
            info.map(|info| info.last)
                .ok_or_else(|| ExchangeError::unavailable("describe a journal", format!("shard {shard} has none")))
        }
    }
}

/// Reads one journal, in order, without an end (`STR-3`).
pub trait JournalReader: Send + 'static {
    /// Returns the next entries: at most `messages_max`, at once when there are some, none when `wait` has passed.
    ///
    /// # Errors
    /// [`ReadError::Purged`] for good; [`ReadError::Exchange`] when the journal was out of reach all the time: ask again.
    fn next(
        &mut self,
        messages_max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Entry>, ReadError>> + Send;

    /// Frees what is kept elsewhere for this reader. Without it that happens after a minute.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Looks once whether a journal shows what was seen of it.
async fn look<J: Journals>(journals: &J, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, ExchangeError> {
    if seen.at.in_stream() == Sequence::ZERO {
        return Ok(None);
    }
    let Some(info) = journals.describe(shard).await? else { return Ok(Some(HoldReason::Missing {})) };
    let entry = journals.entry(shard, seen.at).await?;
    Ok(seen.contradiction(info.last, entry.as_ref().map(|entry| &entry.bytes[..])))
}
