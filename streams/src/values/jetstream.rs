//! Values in a stream: in parts of one size, the last of which is shorter.

use std::collections::BTreeSet;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::{HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwater_core::{StoredValue, VALUE_BYTES_MAX, ValueDigest, WorkspaceId};

use super::{ValueError, Values, described, verified};
use crate::acked::{self, PublishFailure};
use crate::{Broker, ExchangeError, subject};

/// How many bytes every part but the last has.
const PART_BYTES: usize = 1 << 20;
/// How many parts the largest value has: its last is empty.
const PARTS_MAX: usize = VALUE_BYTES_MAX / PART_BYTES + 1;
/// How many parts of a value are under way at once.
const PARTS_AT_ONCE: usize = 4;
/// How often a writer looks for what another one is writing.
const ROUNDS_MAX: usize = 4;

/// The values of a cluster; [`crate::topology`] makes their stream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ValueStore {
    broker: Broker,
}

impl ValueStore {
    /// Opens the store.
    pub fn new(broker: &Broker) -> Self {
        Self { broker: broker.clone() }
    }

    async fn stream(&self, what: &'static str) -> Result<Stream<()>, ExchangeError> {
        let stream = self.broker.jetstream().get_stream_no_info(subject::VALUES).await;
        stream.map_err(|error| ExchangeError::unavailable(what, error))
    }

    /// Returns which parts of a value its stream's leader has.
    async fn parts(&self, workspace: &WorkspaceId, digest: ValueDigest) -> Result<BTreeSet<usize>, ExchangeError> {
        const WHAT: &str = "look for a value";
        let stream = self.stream(WHAT).await?;
        let filter = subject::value_filter(workspace, digest);
        let subjects = stream.info_with_subjects(filter).await;
        let subjects = subjects.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        let subjects: Vec<_> = subjects.try_collect().await.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        Ok(subjects.iter().filter_map(|(subject, _)| subject.rsplit('.').next()?.parse().ok()).collect())
    }

    /// Stores one part. `false`: somebody else does, or did.
    async fn put_part(
        &self,
        workspace: &WorkspaceId,
        digest: ValueDigest,
        part: usize,
        bytes: Bytes,
    ) -> Result<bool, ExchangeError> {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(0_u64));
        let subject = subject::value_subject(workspace, digest, part).to_wire();
        let wait = self.broker.request_timeout();
        match acked::publish(&self.broker, subject, Some(headers), bytes, wait).await {
            Ok(_) => Ok(true),
            Err(PublishFailure::WrongSequence(_)) => Ok(false),
            Err(failure) => Err(failure.exchange("store a value")),
        }
    }

    /// Returns one part as the leader has it.
    async fn part(
        &self,
        workspace: &WorkspaceId,
        digest: ValueDigest,
        part: usize,
    ) -> Result<Option<Bytes>, ExchangeError> {
        const WHAT: &str = "read a value";
        let stream = self.stream(WHAT).await?;
        let subject = subject::value_subject(workspace, digest, part);
        match stream.get_last_raw_message_by_subject(subject.as_str()).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    // A stream that is away is not one that has lost a value.
                    Err(ExchangeError::unavailable(WHAT, error))
                }
                _ => Err(ExchangeError::unavailable(WHAT, error)),
            },
        }
    }
}

impl Values for ValueStore {
    async fn put(&self, workspace: &WorkspaceId, value: Bytes) -> Result<StoredValue, ValueError> {
        let stored = described(&value)?;
        let count = value.len() / PART_BYTES + 1;
        for _ in 0..ROUNDS_MAX {
            let there = self.parts(workspace, stored.digest).await?;
            let missing = (0..count).filter(|part| !there.contains(part));
            let writes = missing.map(|part| {
                let bytes = value.slice(part * PART_BYTES..value.len().min((part + 1) * PART_BYTES));
                self.put_part(workspace, stored.digest, part, bytes)
            });
            let written: Vec<bool> = stream::iter(writes).buffer_unordered(PARTS_AT_ONCE).try_collect().await?;
            // What another writer has under way is there when the leader shows it.
            if written.into_iter().all(|is_written| is_written) {
                return Ok(stored);
            }
        }
        Err(ExchangeError::indeterminate("store a value", "another writer has it under way").into())
    }

    async fn get(&self, workspace: &WorkspaceId, digest: ValueDigest) -> Result<Bytes, ValueError> {
        let mut value = BytesMut::new();
        let reads = (0..PARTS_MAX).map(|part| self.part(workspace, digest, part));
        // The first tells whether there is more: most values have one.
        let mut reads = reads.into_iter();
        let first = reads.next().expect("a value has one part at least").await?;
        let mut rest = stream::iter(reads).buffered(PARTS_AT_ONCE);
        let mut next = first;
        loop {
            let Some(part) = next else {
                return Err(ValueError::Missing { workspace: workspace.clone(), digest });
            };
            if part.len() < PART_BYTES && value.is_empty() {
                return verified(workspace, digest, part);
            }
            value.extend_from_slice(&part);
            if part.len() < PART_BYTES {
                return verified(workspace, digest, value.freeze());
            }
            next = rest.next().await.transpose()?.flatten();
        }
    }
}
