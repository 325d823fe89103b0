//! The bare broker, for benchmarks: what a publish costs without any of the engine around it.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, StorageType};
use bytes::Bytes;

use crate::acked;
use crate::{Broker, ExchangeError};

const STREAM: &str = "HW_YARDSTICK";
const SUBJECT: &str = "hw.yardstick";
const WHAT: &str = "measure a publish";

/// A file stream of its own to publish to.
#[derive(Debug)]
pub struct Yardstick {
    broker: Broker,
    payload: Bytes,
}

impl Yardstick {
    /// Creates the stream; messages will have `bytes` bytes.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn open(broker: &Broker, bytes: usize) -> Result<Self, ExchangeError> {
        let config = Config {
            name: STREAM.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            storage: StorageType::File,
            ..Config::default()
        };
        let opened = broker.jetstream().get_or_create_stream(config).await;
        opened.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        Ok(Self { broker: broker.clone(), payload: Bytes::from(vec![b'x'; bytes]) })
    }

    /// Publishes `count` messages, one after the other; returns how long each took to be acknowledged.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn publish(&self, count: usize) -> Result<Vec<Duration>, ExchangeError> {
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            let (payload, timeout) = (self.payload.clone(), self.broker.request_timeout());
            let stored = acked::publish(&self.broker, SUBJECT.into(), None, payload, timeout).await;
            stored.map_err(|failure| failure.exchange(WHAT))?;
            took.push(began.elapsed());
        }
        Ok(took)
    }

    /// Removes the stream.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn close(self) -> Result<(), ExchangeError> {
        let deleted = self.broker.jetstream().delete_stream(STREAM).await;
        deleted.map(drop).map_err(|error| ExchangeError::unavailable(WHAT, error))
    }
}
