//! A table of keys in a stream, as the broker's key-value buckets lay it out (its ADR-8): readable with its own tools.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{HeaderMap, HeaderValue, Subject};
use bytes::Bytes;

use crate::acked::{self, PublishFailure};
use crate::tail::{Start, Tail};
use crate::{Broker, ExchangeError};

/// One bucket. Reads go to the leader (`STR-4`).
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    broker: Broker,
    name: &'static str,
}

/// A key as it stands, or as it changed.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) key: String,
    /// Of the bucket, not of the key: what a compare-and-set compares.
    pub(crate) revision: u64,
    /// `None`: the key was removed.
    pub(crate) value: Option<Bytes>,
}

/// What a compare-and-set expects of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Anything,
    /// Zero: that there never was such a key.
    Revision(u64),
}

const OPERATION: &str = "KV-Operation";

impl Bucket {
    pub(crate) fn new(broker: &Broker, name: &'static str) -> Self {
        Self { broker: broker.clone(), name }
    }

    fn prefix(&self) -> String {
        format!("$KV.{}.", self.name)
    }

    fn subject(&self, key: &str) -> Subject {
        format!("$KV.{}.{key}", self.name).into()
    }

    /// Sets a key and returns its revision.
    pub(crate) async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<u64, PublishFailure> {
        self.write(key, value, expected, HeaderMap::new()).await
    }

    /// Removes a key; what was there stays until it is compacted.
    pub(crate) async fn remove(&self, key: &str, expected: Expected) -> Result<u64, PublishFailure> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        self.write(key, Bytes::new(), expected, headers).await
    }

    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Expected,
        mut headers: HeaderMap,
    ) -> Result<u64, PublishFailure> {
        if let Expected::Revision(revision) = expected {
            headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(revision));
        }
        let wait = self.broker.request_timeout();
        let stored = acked::publish(&self.broker, self.subject(key), Some(headers), value, wait).await?;
        Ok(stored.sequence)
    }

    /// Returns the key as the leader has it, removed keys with their revision; `None` where there never was one.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Slot>, ExchangeError> {
        const WHAT: &str = "read a key";
        let context = self.broker.jetstream();
        let stream = context.get_stream_no_info(format!("KV_{}", self.name)).await;
        let stream = stream.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        match stream.get_last_raw_message_by_subject(&self.subject(key)).await {
            Ok(message) => {
                let removed = is_removal(&message.headers);
                let value = (!removed).then_some(message.payload);
                Ok(Some(Slot { key: key.to_owned(), revision: message.sequence, value }))
            }
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                // Where there is no table yet, there is no key either.
                LastRawMessageErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                _ => Err(ExchangeError::unavailable(WHAT, error)),
            },
        }
    }

    /// Follows the keys that match `filter` (`>` for all): first as they stand, then as they change.
    pub(crate) fn watch(&self, filter: &str) -> BucketWatch {
        let prefix = self.prefix();
        let filters = vec![format!("{prefix}{filter}")];
        let tail = Tail::new(&self.broker, format!("KV_{}", self.name), filters, Start::LastOfEachSubject);
        BucketWatch { tail, prefix_bytes: prefix.len() }
    }
}

/// Follows keys.
pub(crate) struct BucketWatch {
    tail: Tail,
    prefix_bytes: usize,
}

impl BucketWatch {
    const SLOTS_MAX: usize = 256;

    /// Returns the next changes, or none after `wait`; none at once when the bucket turns out to be empty.
    pub(crate) async fn next(&mut self, wait: Duration) -> Result<Vec<Slot>, ExchangeError> {
        if !self.is_caught_up() {
            self.tail.open(wait).await?;
            if self.is_caught_up() {
                return Ok(Vec::new());
            }
        }
        let stored = self.tail.next(Self::SLOTS_MAX, wait).await?;
        let slot = |stored: crate::tail::Stored| Slot {
            key: stored.message.subject[self.prefix_bytes..].to_owned(),
            revision: stored.sequence,
            value: match &stored.message.headers {
                Some(headers) if is_removal(headers) => None,
                Some(_) | None => Some(stored.message.payload),
            },
        };
        Ok(stored.into_iter().map(slot).collect())
    }

    /// Returns whether the keys as they stood when watching began have all been returned.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.tail.is_caught_up()
    }
}

fn is_removal(headers: &HeaderMap) -> bool {
    // `Nats-Marker-Reason` stands on what the broker writes when a key has run out.
    headers.get(OPERATION).is_some_and(|op| matches!(op.as_str(), "DEL" | "PURGE"))
        || headers.get("Nats-Marker-Reason").is_some()
}
