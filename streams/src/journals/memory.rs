//! Journals in memory: those a rebuild compares with, and those that are at hand without a broker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use headwater_core::definition::StoredDocument;
use headwater_core::shard::{HoldReason, Sighting};
use headwater_core::{Epoch, Incarnation, Json, Sequence, ShardId, Timestamp};
use tokio::sync::Notify;

use super::{Entry, JournalInfo, JournalReader, Journals, ReadError, look};
use crate::ExchangeError;

/// Journals in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournals {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Locked for a push or a slice copy, never across an await.
    kept: Mutex<BTreeMap<ShardId, Kept>>,
    grown: Notify,
    /// Locked for one look.
    documents: Mutex<BTreeMap<StoredDocument, Json>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// How many entries were there before those that are still there.
    purged: usize,
    entries: Vec<Bytes>,
}

impl Kept {
    fn first(&self) -> Sequence {
        Sequence::new(self.purged as u64 + 1)
    }

    fn last(&self) -> Sequence {
        Sequence::new((self.purged + self.entries.len()) as u64)
    }

    /// Returns the entries from `from` on, in its incarnation.
    fn from(&self, from: Sequence, entries_max: usize) -> Vec<Entry> {
        let skipped = from.in_stream().get().saturating_sub(self.first().get());
        let numbered = (self.first().get()..).zip(&self.entries);
        numbered
            .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
            .take(entries_max)
            .map(|(number, bytes)| Entry {
                sequence: Sequence::new(number).within(from.incarnation()),
                bytes: bytes.clone(),
            })
            .collect()
    }
}

impl MemoryJournals {
    /// Makes journals without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message to a shard's journal and wakes its readers.
    pub fn append(&self, shard: ShardId, bytes: Bytes) -> Sequence {
        let mut kept = self.kept();
        let journal = kept.entry(shard).or_default();
        journal.entries.push(bytes);
        let sequence = journal.last();
        drop(kept);
        self.shared.grown.notify_waiters();
        sequence
    }

    /// Keeps a document that entries name by digest.
    pub fn keep(&self, stored: StoredDocument, document: Json) {
        self.shared.documents.lock().expect("nothing panics while it holds the lock").insert(stored, document);
    }

    /// Returns a shard's entries from `from` on that are still there, at most `entries_max` of them.
    pub fn entries(&self, shard: ShardId, from: Sequence, entries_max: usize) -> Vec<Entry> {
        self.kept().get(&shard).map(|journal| journal.from(from, entries_max)).unwrap_or_default()
    }

    /// Removes every entry of a shard's journal below `first`.
    pub fn purge_below(&self, shard: ShardId, first: Sequence) {
        let mut kept = self.kept();
        let journal = kept.entry(shard).or_default();
        let gone = first.in_stream().get().saturating_sub(journal.first().get());
        let gone = usize::try_from(gone).unwrap_or(usize::MAX).min(journal.entries.len());
        journal.entries.drain(..gone);
        journal.purged += gone;
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<ShardId, Kept>> {
        self.shared.kept.lock().expect("nothing panics while it holds the lock")
    }
}

impl Journals for MemoryJournals {
    type Reader = MemoryReader;

    async fn describe(&self, shard: ShardId) -> Result<Option<JournalInfo>, ExchangeError> {
        let kept = self.kept();
        let empty = Kept::default();
        let journal = kept.get(&shard).unwrap_or(&empty);
        let bytes = journal.entries.iter().map(|bytes| bytes.len() as u64).sum();
        let made_at = Timestamp::from_micros(0);
        Ok(Some(JournalInfo { made_at, first: journal.first(), last: journal.last(), bytes }))
    }

    async fn entry(&self, shard: ShardId, at: Sequence) -> Result<Option<Entry>, ExchangeError> {
        Ok(self.entries(shard, at, 1).into_iter().find(|entry| entry.sequence == at))
    }

    fn read(&self, shard: ShardId, from: Sequence) -> MemoryReader {
        let next = if from.in_stream() == Sequence::ZERO { from.next() } else { from };
        MemoryReader { journals: self.clone(), shard, next }
    }

    async fn incarnations(&self, shards: &[ShardId]) -> Result<Vec<Incarnation>, ExchangeError> {
        #[derive(serde::Deserialize)]
        struct Head {
            epoch: Epoch,
        }
        let kept = self.kept();
        let begun = |shard| {
            let entries = kept.get(shard)?.entries.iter().rev();
            let heads = entries.filter_map(|bytes| serde_json::from_slice(bytes).ok());
            heads.map(|Head { epoch }| epoch.incarnation()).next()
        };
        Ok(shards.iter().map(|shard| begun(shard).unwrap_or_default()).collect())
    }

    async fn contradicts(&self, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, ExchangeError> {
        look(self, shard, seen).await
    }

    async fn document(&self, stored: &StoredDocument) -> Result<Option<Json>, ExchangeError> {
        Ok(self.shared.documents.lock().expect("nothing panics while it holds the lock").get(stored).cloned())
    }
}

/// Reads one journal of [`MemoryJournals`].
#[derive(Debug)]
pub struct MemoryReader {
    journals: MemoryJournals,
    shard: ShardId,
    next: Sequence,
}

impl MemoryReader {
    fn ready(&self, entries_max: usize) -> Result<Vec<Entry>, ReadError> {
        let entries = self.journals.entries(self.shard, self.next, entries_max);
        match entries.first() {
            Some(Entry { sequence: first, .. }) if *first != self.next => {
                Err(ReadError::Purged { wanted: self.next, first: *first })
            }
            Some(_) | None => Ok(entries),
        }
    }
}

impl JournalReader for MemoryReader {
    async fn next(&mut self, messages_max: usize, wait: Duration) -> Result<Vec<Entry>, ReadError> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let journals = self.journals.clone();
            let grown = journals.shared.grown.notified();
            tokio::pin!(grown);
            // Registered before the look, so that an append between look and wait is not missed.
            grown.as_mut().enable();
            let entries = self.ready(messages_max.max(1))?;
            if let Some(last) = entries.last() {
                self.next = last.sequence.next();
                return Ok(entries);
            }
            if tokio::time::timeout_at(deadline, grown).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn close(self) {}
}
