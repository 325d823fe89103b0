//! The journals on JetStream.

use std::time::Duration;

use headwater_core::definition::StoredDocument;
use headwater_core::shard::{HoldReason, Sighting};
use headwater_core::{Incarnation, Json, Sequence, ShardId};

use super::{Entry, JournalInfo, JournalReader, Journals, ReadError, look};
use crate::clock::now;
use crate::holds::{self, Hold};
use crate::journal::{Journal, StreamReader};
use crate::values::{self, ValueError, ValueStore};
use crate::{Broker, ExchangeError, shard_map};

/// How long until a journal that contradicts what was seen of it is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// The journals of a cluster, as its broker holds them.
#[derive(Debug, Clone)]
pub struct JetStreamJournals {
    broker: Broker,
}

impl JetStreamJournals {
    /// Reads from this broker.
    pub fn new(broker: &Broker) -> Self {
        Self { broker: broker.clone() }
    }
}

impl Journals for JetStreamJournals {
    type Reader = StreamReader;

    async fn describe(&self, shard: ShardId) -> Result<Option<JournalInfo>, ExchangeError> {
        Ok(Journal::look(&self.broker, shard).await?.map(|(_, info)| info))
    }

    async fn entry(&self, shard: ShardId, at: Sequence) -> Result<Option<Entry>, ExchangeError> {
        Journal::at(&self.broker, shard).entry(at).await
    }

    fn read(&self, shard: ShardId, from: Sequence) -> StreamReader {
        Journal::at(&self.broker, shard).read(from)
    }

    async fn incarnations(&self, shards: &[ShardId]) -> Result<Vec<Incarnation>, ExchangeError> {
        let Some(last) = shards.iter().max() else { return Ok(Vec::new()) };
        let states = shard_map::journal_states(&self.broker, last.number() + 1).await?;
        let of = |shard: &ShardId| states.get(usize::from(shard.number())).map(|(_, state)| state.incarnation());
        Ok(shards.iter().map(|shard| of(shard).unwrap_or_default()).collect())
    }

    async fn contradicts(&self, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, ExchangeError> {
        let mut found = None;
        // Not on the first word: who has just become the stream's leader may be behind for a moment.
        for again in [false, true] {
            if again {
                tokio::time::sleep(SECOND_LOOK).await;
            }
            found = look(self, shard, seen).await?;
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
            holds::raise(&self.broker, shard, &hold).await?;
        }
        Ok(found)
    }

    async fn document(&self, stored: &StoredDocument) -> Result<Option<Json>, ExchangeError> {
        let fetched = values::document(&ValueStore::new(&self.broker), stored).await;
        fetched.map(Some).or_else(|error| match error {
            ValueError::Exchange(error) => Err(error),
            ValueError::Missing { .. } | ValueError::Damaged { .. } | ValueError::TooLarge { .. } => Ok(None),
        })
    }
}

impl JournalReader for StreamReader {
    async fn next(&mut self, messages_max: usize, wait: Duration) -> Result<Vec<Entry>, ReadError> {
        Self::next(self, messages_max, wait).await
    }

    async fn close(self) {
        Self::close(self).await;
    }
}
