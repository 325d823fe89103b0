//! The asset feed: every change of every asset as a CloudEvent, in order for each asset and partition.

mod reader;

use std::collections::HashMap;

use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use headwater_core::shard::AssetNotice;
use headwater_core::{AssetId, Json, PartitionKey, Timestamp, Version};
use serde::{Deserialize, Serialize};

pub use reader::{FeedEvent, FeedReader, subscribe};

use crate::acked::{self, PublishFailure};
use crate::subject::{ASSETS, Subject, asset_subject};
use crate::{Broker, ExchangeError};

/// How many subjects' last versions a publisher remembers; beyond that it forgets and asks again.
const REMEMBERED_MAX: usize = 65_536;
/// How often a publish that was overtaken is decided again.
const TRIES_MAX: u32 = 5;

/// A CloudEvent 1.0 in structured mode (`application/cloudevents+json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    pub specversion: String,
    /// The same for the same fact: `<workspace>/<asset>/<partition or empty>/<version>`.
    pub id: String,
    /// `/workspaces/<workspace>/assets`.
    pub source: String,
    /// `asset.produced`.
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: AssetId,
    /// RFC 3339.
    pub time: String,
    pub datacontenttype: String,
    /// Extension: contiguous from 1 for each asset and partition.
    pub assetversion: Version,
    /// Extension: absent for assets without partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitionkey: Option<PartitionKey>,
    pub data: Json,
}

impl CloudEvent {
    fn produced(notice: &AssetNotice) -> Self {
        let partition = notice.partition.as_ref().map_or("", PartitionKey::as_str);
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{}/{}/{partition}/{}", notice.workspace, notice.asset, notice.version),
            source: format!("/workspaces/{}/assets", notice.workspace),
            kind: "asset.produced".to_owned(),
            subject: notice.asset.clone(),
            time: Timestamp::to_string(&notice.time),
            datacontenttype: "application/json".to_owned(),
            assetversion: notice.version,
            partitionkey: notice.partition.clone(),
            data: notice.data.clone(),
        }
    }
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is on the feed now.
    New,
    /// It, or a later version, was on the feed already.
    Already,
}

/// Puts changes on the feed. One for each shard: what it remembers is only true as long as it is alone, and cheap
/// to find out again when it was not.
pub struct FeedPublisher {
    broker: Broker,
    last: HashMap<Subject, Last>,
}

/// The newest message on one subject.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    /// Zero: there is none.
    sequence: u64,
    /// Zero: there is none.
    version: u64,
}

impl FeedPublisher {
    /// Makes a publisher that remembers nothing yet.
    pub fn new(broker: &Broker) -> Self {
        Self { broker: broker.clone(), last: HashMap::new() }
    }

    /// Publishes a change unless it, or a later one of the same asset and partition, is on the feed already. Give
    /// the notices of one asset in order.
    ///
    /// # Errors
    /// See [`ExchangeError`]; safe to repeat.
    pub async fn publish(&mut self, notice: &AssetNotice) -> Result<Published, ExchangeError> {
        const WHAT: &str = "publish a change of an asset";
        let subject = asset_subject(&notice.workspace, "produced", notice.partition.as_ref(), &notice.asset);
        let event = CloudEvent::produced(notice);
        let bytes: Bytes = serde_json::to_vec(&event).expect("an event has text keys only").into();
        for _ in 0..TRIES_MAX {
            let last = match self.last.get(&subject) {
                Some(last) => *last,
                None => self.read_last(&subject).await?,
            };
            if last.version >= notice.version.get() {
                self.remember(subject, last);
                return Ok(Published::Already);
            }
            let mut headers = HeaderMap::new();
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(last.sequence));
            headers.insert(NATS_EXPECTED_STREAM, ASSETS);
            headers.insert("Content-Type", "application/cloudevents+json");
            let wait = self.broker.request_timeout();
            match acked::publish(&self.broker, subject.to_wire(), Some(headers), bytes.clone(), wait).await {
                Ok(stored) => {
                    self.remember(subject, Last { sequence: stored.sequence, version: notice.version.get() });
                    return Ok(Published::New);
                }
                Err(PublishFailure::WrongSequence(_)) => self.last.remove(&subject),
                Err(failure) => {
                    self.last.remove(&subject);
                    return Err(failure.exchange(WHAT));
                }
            };
        }
        Err(ExchangeError::unavailable(WHAT, "overtaken again and again"))
    }

    fn remember(&mut self, subject: Subject, last: Last) {
        if self.last.len() >= REMEMBERED_MAX {
            self.last.clear();
        }
        self.last.insert(subject, last);
    }

    async fn read_last(&self, subject: &Subject) -> Result<Last, ExchangeError> {
        const WHAT: &str = "read the last change of an asset";
        let stream = self.broker.jetstream().get_stream_no_info(ASSETS).await;
        let stream = stream.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        match stream.get_last_raw_message_by_subject(subject.as_str()).await {
            Ok(message) => {
                let event: CloudEvent =
                    serde_json::from_slice(&message.payload).map_err(|error| ExchangeError::malformed(WHAT, error))?;
                Ok(Last { sequence: message.sequence, version: event.assetversion.get() })
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Last::default()),
            Err(error) => Err(ExchangeError::unavailable(WHAT, error)),
        }
    }
}
