//! Where bundles come from: the seam between a journal and what folds it.
//!
//! Two things implement it: the JetStream reader (wired in by the binary) and [`MemoryJournal`], which holds
//! journals that are already at hand: those a rebuild compares and those the tests make.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::{HoldReason, Sighting};
use headwater_core::{Epoch, Incarnation, Sequence, ShardId};
use tokio::sync::Notify;

/// One message of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its place in the journal, contiguous from 1, in the incarnation that it was read in.
    pub sequence: Sequence,
    /// A [`headwater_core::shard::Bundle`] as JSON.
    pub bytes: Bytes,
}

/// Says why a journal gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Unavailable: it cannot be reached now. The caller opens it again after a moment.
    #[error("the journal of shard {shard} is out of reach")]
    Unavailable { shard: ShardId, source: Box<dyn std::error::Error + Send + Sync> },
    /// Corrupt: what was asked for is no longer (or not yet) there, so nothing can be continued from here.
    #[error("the journal of shard {shard} has nothing after {after} any more")]
    Gone { shard: ShardId, after: Sequence },
    /// Conflict: a later incarnation has begun. What was projected of the one before starts over.
    #[error("incarnation {incarnation} of the journal of shard {shard} has begun")]
    Replaced { shard: ShardId, incarnation: Incarnation },
}

/// The journals of a cluster.
pub trait Journal: Send + Sync + 'static {
    /// Reads one journal from a place on.
    type Reader: JournalReader;

    /// Opens the journal of a shard behind `after`, in whose incarnation its entries are.
    fn open(&self, shard: ShardId, after: Sequence) -> impl Future<Output = Result<Self::Reader, JournalError>> + Send;

    /// Returns how a shard's journal contradicts what was seen of it; `None`: it shows it. A journal that contradicts the
    /// projector's cursor has lost what was told to readers, so whoever drives the shard is told to stop.
    fn contradicts(
        &self,
        shard: ShardId,
        seen: &Sighting,
    ) -> impl Future<Output = Result<Option<HoldReason>, JournalError>> + Send;

    /// Returns which incarnations of these journals have begun, in their order.
    fn incarnations(&self, shards: &[ShardId]) -> impl Future<Output = Result<Vec<Incarnation>, JournalError>> + Send;

    /// Returns the number of the last entry of a shard's journal: zero for an empty one.
    fn head(&self, shard: ShardId) -> impl Future<Output = Result<Sequence, JournalError>> + Send;
}

/// Reads one journal, in order, without an end.
pub trait JournalReader: Send + 'static {
    /// Returns the next entries: at most `messages_max`, at once when there are some, none when `wait` has passed.
    ///
    /// # Errors
    /// After an error the reader is used up; a new one continues behind the last entry that was handled.
    fn next(
        &mut self,
        messages_max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<JournalEntry>, JournalError>> + Send;
}

/// Journals in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Locked for a push or a slice copy, never across an await.
    entries: Mutex<BTreeMap<ShardId, Vec<JournalEntry>>>,
    grown: Notify,
}

impl MemoryJournal {
    /// Makes journals without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message to a shard's journal and wakes its readers.
    pub fn append(&self, shard: ShardId, bytes: Bytes) -> Sequence {
        let mut entries = self.shared.entries.lock().expect("nothing panics while it holds the lock");
        let journal = entries.entry(shard).or_default();
        let sequence = journal.last().map_or(Sequence::FIRST, |last| last.sequence.next());
        journal.push(JournalEntry { sequence, bytes });
        drop(entries);
        self.shared.grown.notify_waiters();
        sequence
    }

    /// Returns a shard's entries behind `after`, at most `messages_max` of them.
    pub fn read(&self, shard: ShardId, after: Sequence, messages_max: usize) -> Vec<JournalEntry> {
        let entries = self.shared.entries.lock().expect("nothing panics while it holds the lock");
        let Some(journal) = entries.get(&shard) else { return Vec::new() };
        let start = journal.partition_point(|entry| entry.sequence <= after.in_stream());
        let placed = |entry: &JournalEntry| JournalEntry {
            sequence: entry.sequence.within(after.incarnation()),
            bytes: entry.bytes.clone(),
        };
        journal[start..].iter().take(messages_max).map(placed).collect()
    }
}

impl Journal for MemoryJournal {
    type Reader = MemoryReader;

    async fn open(&self, shard: ShardId, after: Sequence) -> Result<MemoryReader, JournalError> {
        Ok(MemoryReader { journal: self.clone(), shard, after })
    }

    async fn contradicts(&self, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, JournalError> {
        let before = Sequence::new(seen.at.in_stream().get().saturating_sub(1)).within(seen.at.incarnation());
        let entry = self.read(shard, before, 1).into_iter().find(|entry| entry.sequence == seen.at);
        Ok(seen.contradiction(self.head(shard).await?, entry.as_ref().map(|entry| &entry.bytes[..])))
    }

    async fn incarnations(&self, shards: &[ShardId]) -> Result<Vec<Incarnation>, JournalError> {
        #[derive(serde::Deserialize)]
        struct Head {
            epoch: Epoch,
        }
        let entries = self.shared.entries.lock().expect("nothing panics while it holds the lock");
        let begun = |shard| {
            let heads = entries.get(shard)?.iter().rev().filter_map(|entry| serde_json::from_slice(&entry.bytes).ok());
            heads.map(|Head { epoch }| epoch.incarnation()).next()
        };
        Ok(shards.iter().map(|shard| begun(shard).unwrap_or_default()).collect())
    }

    async fn head(&self, shard: ShardId) -> Result<Sequence, JournalError> {
        let entries = self.shared.entries.lock().expect("nothing panics while it holds the lock");
        Ok(entries.get(&shard).and_then(|journal| journal.last()).map_or(Sequence::ZERO, |last| last.sequence))
    }
}

/// Reads one journal of a [`MemoryJournal`].
#[derive(Debug)]
pub struct MemoryReader {
    journal: MemoryJournal,
    shard: ShardId,
    after: Sequence,
}

impl JournalReader for MemoryReader {
    async fn next(&mut self, messages_max: usize, wait: Duration) -> Result<Vec<JournalEntry>, JournalError> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let journal = self.journal.clone();
            let grown = journal.shared.grown.notified();
            tokio::pin!(grown);
            // Registered before the look, so that an append between look and wait is not missed.
            grown.as_mut().enable();
            let entries = self.journal.read(self.shard, self.after, messages_max);
            if let Some(last) = entries.last() {
                self.after = last.sequence;
                return Ok(entries);
            }
            if tokio::time::timeout_at(deadline, grown).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }
}
