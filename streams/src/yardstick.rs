//! The bare broker, for benchmarks: what a publish costs without any of the engine around it.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, StorageType};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use crate::acked;
use crate::{Broker, ExchangeError};

const STREAM: &str = "HW_YARDSTICK";
const SUBJECT: &str = "hw.yardstick";

/// Publishes `count` messages of `bytes` bytes, `at_once` of them under way, to a file stream of its own that is
/// removed afterwards; returns how long each took to be acknowledged, and how long all of them took.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn publish(
    broker: &Broker,
    bytes: usize,
    count: usize,
    at_once: usize,
) -> Result<(Vec<Duration>, Duration), ExchangeError> {
    const WHAT: &str = "measure a publish";
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        storage: StorageType::File,
        ..Config::default()
    };
    let jetstream = broker.jetstream();
    jetstream.get_or_create_stream(config).await.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
    let payload = Bytes::from(vec![b'x'; bytes]);
    let began = Instant::now();
    let publishes = stream::iter(0..count).map(|_| {
        let payload = payload.clone();
        async move {
            let began = Instant::now();
            let sent = acked::publish(broker, SUBJECT.into(), None, payload, broker.request_timeout()).await;
            sent.map(|_| began.elapsed())
        }
    });
    let took: Vec<_> = publishes.buffer_unordered(at_once.max(1)).collect().await;
    let all = began.elapsed();
    jetstream.delete_stream(STREAM).await.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
    let took = took.into_iter().collect::<Result<Vec<_>, _>>().map_err(|failure| failure.exchange(WHAT))?;
    Ok((took, all))
}
