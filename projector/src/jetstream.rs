//! The journals on JetStream.

use std::time::Duration;

use headwater_core::{Sequence, ShardId};
use headwater_streams::Broker;
use headwater_streams::journal::{self, ReadError};

use crate::journal::{Journal, JournalEntry, JournalError, JournalReader};

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

    async fn journal(&self, shard: ShardId) -> Result<journal::Journal, JournalError> {
        let opened = journal::Journal::open(&self.broker, shard).await;
        opened.map_err(|error| JournalError::Unavailable { shard, source: error.into() })
    }
}

/// Reads one of them.
pub struct JetStreamReader {
    shard: ShardId,
    reader: journal::JournalReader,
}

impl Journal for JetStreamJournal {
    type Reader = JetStreamReader;

    async fn open(&self, shard: ShardId, after: Sequence) -> Result<JetStreamReader, JournalError> {
        let journal = self.journal(shard).await?;
        Ok(JetStreamReader { shard, reader: journal.read(after.next()) })
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
        let entry = |entry: journal::Entry| JournalEntry { sequence: entry.sequence, bytes: entry.bytes };
        Ok(entries.into_iter().map(entry).collect())
    }
}
