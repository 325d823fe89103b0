//! The journals on JetStream.

use std::time::Duration;

use headwater_core::shard::{HoldReason, Sighting};
use headwater_core::{Incarnation, Sequence, ShardId};
use headwater_streams::clock::now;
use headwater_streams::holds::{self, Hold};
use headwater_streams::journal::{self, ReadError};
use headwater_streams::{Broker, ExchangeError, shard_map};

use crate::journal::{Journal, JournalEntry, JournalError, JournalReader};

/// How long until a journal that contradicts what was seen of it is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// The journals of a cluster, as its broker holds them.
#[derive(Debug, Clone)]
pub struct JetStreamJournal {
    broker: Broker,
}

impl JetStreamJournal {
    /// Reads from this broker.
    pub fn new(broker: &Broker) -> Self {
        Self { broker: broker.clone() }
    }

    async fn look(&self, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, ExchangeError> {
        if seen.at.in_stream() == Sequence::ZERO {
            return Ok(None);
        }
        let Some((journal, info)) = journal::Journal::look(&self.broker, shard).await? else {
            return Ok(Some(HoldReason::Missing {}));
        };
        let entry = journal.entry(seen.at).await?;
        Ok(seen.contradiction(info.last, entry.as_ref().map(|entry| &entry.bytes[..])))
    }

    async fn journal(&self, shard: ShardId) -> Result<journal::Journal, JournalError> {
        let opened = journal::Journal::open(&self.broker, shard).await;
        opened.map_err(|error| JournalError::Unavailable { shard, source: error.into() })
    }
}

/// Reads one of them.
pub struct JetStreamReader {
    shard: ShardId,
    incarnation: Incarnation,
    reader: journal::JournalReader,
}

impl Journal for JetStreamJournal {
    type Reader = JetStreamReader;

    async fn open(&self, shard: ShardId, after: Sequence) -> Result<JetStreamReader, JournalError> {
        let journal = self.journal(shard).await?;
        Ok(JetStreamReader { shard, incarnation: after.incarnation(), reader: journal.read(after.next()) })
    }

    async fn contradicts(&self, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, JournalError> {
        let unavailable = |error: ExchangeError| JournalError::Unavailable { shard, source: error.into() };
        let mut found = None;
        // Not on the first word: who has just become the stream's leader may be behind for a moment.
        for again in [false, true] {
            if again {
                tokio::time::sleep(SECOND_LOOK).await;
            }
            found = self.look(shard, seen).await.map_err(unavailable)?;
            if found.is_none() {
                return Ok(None);
            }
        }
        if self.incarnations(&[shard]).await?.iter().any(|begun| *begun > seen.at.incarnation()) {
            // It was released meanwhile, and what was projected of it starts over.
            return Ok(None);
        }
        if let Some(reason) = &found {
            let hold = Hold::of(reason.clone(), Some(seen.clone()), now());
            holds::raise(&self.broker, shard, &hold).await.map_err(unavailable)?;
        }
        Ok(found)
    }

    async fn incarnations(&self, shards: &[ShardId]) -> Result<Vec<Incarnation>, JournalError> {
        let Some(last) = shards.iter().max() else { return Ok(Vec::new()) };
        let states = shard_map::journal_states(&self.broker, last.number() + 1).await;
        let states = states.map_err(|error| JournalError::Unavailable { shard: *last, source: error.into() })?;
        let of = |shard: &ShardId| states.get(usize::from(shard.number())).map(|(_, state)| state.incarnation());
        Ok(shards.iter().map(|shard| of(shard).unwrap_or_default()).collect())
    }

    async fn head(&self, shard: ShardId) -> Result<Sequence, JournalError> {
        let info = self.journal(shard).await?.info().await;
        info.map(|info| info.last).map_err(|error| JournalError::Unavailable { shard, source: error.into() })
    }
}

impl JournalReader for JetStreamReader {
    async fn next(&mut self, messages_max: usize, wait: Duration) -> Result<Vec<JournalEntry>, JournalError> {
        let shard = self.shard;
        let entries = self.reader.next(messages_max, wait).await.map_err(|error| match error {
            ReadError::Purged { wanted, .. } => {
                JournalError::Gone { shard, after: Sequence::new(wanted.get().saturating_sub(1)) }
            }
            ReadError::Exchange(error) => JournalError::Unavailable { shard, source: error.into() },
        })?;
        let incarnation = self.incarnation;
        let entry =
            |entry: journal::Entry| JournalEntry { sequence: entry.sequence.within(incarnation), bytes: entry.bytes };
        Ok(entries.into_iter().map(entry).collect())
    }
}
