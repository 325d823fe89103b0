//! Reads a stream in order, from anywhere, for ever: what the journal, the feed and the tables are read with.
//!
//! The consumer behind it is ephemeral and acknowledges nothing. Two pull requests are kept open, so that the next
//! batch is under way while one is worked on and a new message is pushed at once. A gap, a silence longer than the
//! heartbeat allows, or a consumer that is gone make a new one that resumes behind the last message returned.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::{Message, StatusCode, Subject, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::complaints::Complaints;
use crate::{Broker, ExchangeError};

/// What one pull request aims at: enough to keep a fast reader busy, and so little that many readers on one connection
/// stay far below what the broker keeps for a slow one (64 MiB) before it cuts it off.
const PULL_BYTES_WANTED: u64 = 1024 * 1024;
const PULL_MESSAGES_MAX: u64 = 1024;
/// A pull request always takes one message, however large the broker lets it be.
const PULL_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How large a message is taken to be before one was seen.
const MESSAGE_BYTES_FIRST: u64 = 64 * 1024;
const PULLS_OPEN: usize = 2;
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(1);
const SILENCE_MAX: Duration = Duration::from_millis(2500);
const CONSUMER_IDLE_MAX: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With this sequence, or the first after it.
    At(u64),
    /// With the newest message of every subject.
    LastOfEachSubject,
}

/// One stored message.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) message: Message,
    pub(crate) sequence: u64,
    /// How many messages the consumer still had to deliver behind this one.
    pub(crate) pending: u64,
}

/// An ordered reader of one stream. Not cancelled by dropping a future of it: what was not returned is returned next.
pub(crate) struct Tail {
    broker: Broker,
    stream: String,
    filters: Vec<String>,
    start: Start,
    consumer: Option<Consumer>,
    /// A consumer on its way. Kept here, so that a caller who gives up early again and again gets it all the same.
    creation: Option<JoinHandle<Result<(Consumer, u64), ExchangeError>>>,
    /// Whether everything that was stored when reading began has been returned.
    caught_up: bool,
}

struct Consumer {
    name: String,
    inbox: Subscriber,
    inbox_prefix: String,
    next_subject: Subject,
    /// Open pull requests, oldest first: number and messages still owed.
    open: VecDeque<(u64, u64)>,
    pulls: u64,
    /// The consumer sequence of the next message.
    next_delivery: u64,
    heard_at: Instant,
    /// The connection it was made on: what another one had on its way is lost, and no heartbeat says so.
    connects: u64,
    /// Of the messages seen lately, on average.
    message_bytes: u64,
}

enum Received {
    Stored(Stored),
    Nothing,
    /// Messages were lost on the way, or the consumer is gone.
    Broken,
}

impl Tail {
    pub(crate) fn new(broker: &Broker, stream: String, filters: Vec<String>, start: Start) -> Self {
        Self { broker: broker.clone(), stream, filters, start, consumer: None, creation: None, caught_up: false }
    }

    /// Returns whether everything that was stored when reading began has been returned.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Makes the consumer if there is none, so that [`Self::is_caught_up`] says something.
    pub(crate) async fn open(&mut self, wait: Duration) -> Result<(), ExchangeError> {
        self.prepare(Instant::now() + wait).await
    }

    /// Returns up to `messages_max` messages as soon as there is one, or none after `wait`.
    ///
    /// # Errors
    /// Only when the broker could not be reached during the whole of `wait`.
    pub(crate) async fn next(&mut self, messages_max: usize, wait: Duration) -> Result<Vec<Stored>, ExchangeError> {
        let deadline = Instant::now() + wait;
        loop {
            if let Err(error) = self.prepare(deadline).await {
                if Instant::now() + RETRY_PAUSE >= deadline {
                    return Err(error);
                }
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            let Some(consumer) = self.consumer.as_mut() else { continue };
            if consumer.connects != self.broker.connects() {
                tracing::debug!(stream = self.stream, "the connection was made anew; reading on with a new consumer");
                self.consumer = None;
                continue;
            }
            let until = deadline.min(consumer.heard_at + SILENCE_MAX);
            let first = match tokio::time::timeout_at(until, consumer.inbox.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.consumer = None;
                    continue;
                }
                Err(_) if Instant::now() < deadline => {
                    tracing::debug!(stream = self.stream, "the consumer fell silent; reading on with a new one");
                    self.consumer = None;
                    continue;
                }
                Err(_) => return Ok(Vec::new()),
            };
            let batch = self.drain(first, messages_max);
            if !batch.is_empty() {
                return Ok(batch);
            }
            if Instant::now() >= deadline {
                return Ok(batch);
            }
        }
    }

    /// Takes what has already arrived. Does not wait, so nothing is lost when the caller is dropped.
    fn drain(&mut self, first: Message, messages_max: usize) -> Vec<Stored> {
        let mut batch = Vec::new();
        let mut arrived = Some(first);
        while let (Some(message), Some(consumer)) = (arrived, self.consumer.as_mut()) {
            match consumer.receive(message, &self.stream) {
                Received::Stored(stored) => {
                    self.start = Start::At(stored.sequence + 1);
                    self.caught_up |= stored.pending == 0;
                    batch.push(stored);
                }
                Received::Nothing => {}
                Received::Broken => {
                    self.consumer = None;
                    break;
                }
            }
            if batch.len() >= messages_max {
                break;
            }
            arrived = consumer.inbox.next().now_or_never().flatten();
        }
        batch
    }

    async fn prepare(&mut self, deadline: Instant) -> Result<(), ExchangeError> {
        const WHAT: &str = "read a stream";
        if self.consumer.is_none() {
            let patience = self.broker.request_timeout().min(deadline.saturating_duration_since(Instant::now()));
            let patience = patience.max(Duration::from_millis(100));
            if self.creation.is_none() {
                let created = create(self.broker.clone(), self.stream.clone(), self.filters.clone(), self.start);
                self.creation = Some(tokio::spawn(created));
            }
            let Some(creation) = self.creation.as_mut() else { return Ok(()) };
            let created = tokio::time::timeout(patience, creation).await;
            let created = created.map_err(|elapsed| ExchangeError::unavailable(WHAT, elapsed))?;
            self.creation = None;
            let (consumer, pending) = created.map_err(|error| ExchangeError::unavailable(WHAT, error))??;
            self.caught_up |= pending == 0;
            self.consumer = Some(consumer);
        }
        if let Some(consumer) = self.consumer.as_mut() {
            consumer.pull(&self.broker).await.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        }
        Ok(())
    }

    /// Removes the consumer now instead of leaving it to idle out.
    pub(crate) async fn close(mut self) {
        if let Some(consumer) = self.consumer.take() {
            // Best effort: the broker removes an idle consumer by itself.
            let gone = self.broker.jetstream().delete_consumer_from_stream(&consumer.name, &self.stream).await;
            if let Err(error) = gone {
                tracing::debug!(%error, stream = self.stream, "the reader's consumer is left to idle out");
            }
        }
    }
}

async fn create(
    broker: Broker,
    stream: String,
    filters: Vec<String>,
    start: Start,
) -> Result<(Consumer, u64), ExchangeError> {
    const WHAT: &str = "create a reader";
    if !broker.is_connected() {
        return Err(ExchangeError::unavailable(WHAT, "not connected"));
    }
    let connects = broker.connects();
    let client = broker.client();
    let inbox_prefix = client.new_inbox();
    let inbox = client.subscribe(format!("{inbox_prefix}.*")).await;
    let inbox = inbox.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
    let (filter_subject, filter_subjects) = match filters.as_slice() {
        [one] => (one.clone(), Vec::new()),
        many => (String::new(), many.to_vec()),
    };
    let config = pull::Config {
        deliver_policy: match start {
            Start::At(sequence) => DeliverPolicy::ByStartSequence { start_sequence: sequence.max(1) },
            Start::LastOfEachSubject => DeliverPolicy::LastPerSubject,
        },
        ack_policy: AckPolicy::None,
        inactive_threshold: CONSUMER_IDLE_MAX,
        memory_storage: true,
        num_replicas: 1,
        filter_subject,
        filter_subjects,
        ..pull::Config::default()
    };
    let created = broker.jetstream().create_consumer_on_stream(config, &stream).await;
    let created = created.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
    let info = created.cached_info();
    let consumer = Consumer {
        name: info.name.clone(),
        inbox,
        inbox_prefix,
        next_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", stream, info.name).into(),
        open: VecDeque::new(),
        pulls: 0,
        next_delivery: 1,
        heard_at: Instant::now(),
        connects,
        message_bytes: MESSAGE_BYTES_FIRST,
    };
    Ok((consumer, info.num_pending))
}

impl Consumer {
    /// Keeps two pull requests open.
    async fn pull(&mut self, broker: &Broker) -> Result<(), async_nats::PublishError> {
        while self.open.len() < PULLS_OPEN {
            let messages = (PULL_BYTES_WANTED / self.message_bytes.max(1)).clamp(1, PULL_MESSAGES_MAX);
            let request = format!(
                r#"{{"batch":{messages},"max_bytes":{PULL_BYTES_MAX},"expires":{},"idle_heartbeat":{}}}"#,
                PULL_EXPIRES.as_nanos(),
                HEARTBEAT.as_nanos()
            );
            let reply = format!("{}.{}", self.inbox_prefix, self.pulls);
            broker.client().publish_with_reply(self.next_subject.clone(), reply, request.into()).await?;
            self.open.push_back((self.pulls, messages));
            self.pulls += 1;
        }
        Ok(())
    }

    fn receive(&mut self, message: Message, stream: &str) -> Received {
        self.heard_at = Instant::now();
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::IDLE_HEARTBEAT) => return Received::Nothing,
            Some(StatusCode::NO_RESPONDERS) => return Received::Broken,
            // Every other status ends the pull request it answers, or the consumer; then the next request says so.
            Some(_) => {
                let number = message.subject.rsplit('.').next().and_then(|n| n.parse::<u64>().ok());
                self.open.retain(|(open, _)| Some(*open) != number);
                return Received::Nothing;
            }
        }
        let Some(stamp) = message.reply.as_deref().and_then(Stamp::parse) else {
            static PLACELESS: Complaints = Complaints::new();
            if let Some(count) = PLACELESS.due() {
                tracing::warn!(stream, count, "a message without its place in the stream");
            }
            return Received::Broken;
        };
        if stamp.delivery != self.next_delivery {
            tracing::debug!(stream, expected = self.next_delivery, got = stamp.delivery, "gap in the delivery");
            return Received::Broken;
        }
        self.next_delivery += 1;
        self.message_bytes = (self.message_bytes * 7 + message.length as u64) / 8;
        if let Some((_, owed)) = self.open.front_mut() {
            *owed -= 1;
            if *owed == 0 {
                self.open.pop_front();
            }
        }
        Received::Stored(Stored { message, sequence: stamp.sequence, pending: stamp.pending })
    }
}

/// What the reply subject of a delivered message says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counts how often this message was delivered, from 1.
    pub(crate) times_delivered: u64,
    pub(crate) sequence: u64,
    /// Counts the consumer's deliveries, from 1.
    pub(crate) delivery: u64,
    pub(crate) pending: u64,
}

impl Stamp {
    /// Reads `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<delivery>.<nanos>.<pending>`, also with a domain and an
    /// account hash before the stream, as ADR-15 of the broker defines them.
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let tokens = reply.bytes().filter(|b| *b == b'.').count() + 1;
        let skipped = match tokens {
            9 => 4,
            11.. => 6,
            _ => return None,
        };
        let mut parts = reply.strip_prefix("$JS.ACK.")?.split('.').skip(skipped - 2);
        let mut number = || parts.next()?.parse().ok();
        let (times_delivered, sequence, delivery) = (number()?, number()?, number()?);
        let _stored_at_nanos = number()?;
        Some(Self { times_delivered, sequence, delivery, pending: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_message_is_read_from_both_forms_of_its_reply_subject() {
        let stamp = Stamp { times_delivered: 2, sequence: 30, delivery: 7, pending: 5 };
        for reply in ["$JS.ACK.HW_TASKS.acme=q.2.30.7.1700.5", "$JS.ACK._.hash.HW_TASKS.acme=q.2.30.7.1700.5.token"] {
            assert_eq!(Stamp::parse(reply), Some(stamp), "{reply}");
        }
        for reply in ["", "_INBOX.x", "$JS.ACK.S.C.a.b.c.d.e", "$JS.ACK.S.C.1.2.3.4"] {
            assert_eq!(Stamp::parse(reply), None, "{reply}");
        }
    }
}
