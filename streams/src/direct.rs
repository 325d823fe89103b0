//! How tasks reach workers without a queue: workers introduce themselves to the shards, shards hand tasks to those
//! with room. Nothing is stored, and who is missed falls back on the queue or on the lease of the attempt.

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use headwater_core::protocol::{Hello, Task};

use crate::subject::HELLO;
use crate::{Broker, ExchangeError};

/// Introduces a worker to every shard. Returns when the word is on its way.
///
/// # Errors
/// [`ExchangeError::Unavailable`]: the next heartbeat says it again.
pub async fn announce(broker: &Broker, hello: &Hello) -> Result<(), ExchangeError> {
    let bytes = serde_json::to_vec(hello).expect("a hello has text keys only");
    let sent = broker.client().publish(HELLO, bytes.into()).await;
    sent.map_err(|error| ExchangeError::unavailable("introduce a worker", error))
}

/// Begins to hear of workers.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn hear(broker: &Broker) -> Result<Hellos, ExchangeError> {
    let subscribed = broker.client().subscribe(HELLO).await;
    let heard = subscribed.map_err(|error| ExchangeError::unavailable("hear of workers", error))?;
    Ok(Hellos { broker: broker.clone(), heard })
}

/// The workers that introduce themselves; made by [`hear`].
pub struct Hellos {
    broker: Broker,
    heard: Subscriber,
}

impl Hellos {
    /// Waits for the next one; `None` when the connection is closed for good. Who would be handed tasks where no inbox
    /// is is passed over.
    pub async fn next(&mut self) -> Option<Hello> {
        loop {
            let message = self.heard.next().await?;
            match serde_json::from_slice::<Hello>(&message.payload) {
                Ok(hello) if self.broker.inbox_named(&hello.tasks_to).is_ok() => return Some(hello),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a hello that cannot be read"),
            }
        }
    }
}

/// Hands tasks to a worker at the subject it named. Returns when they are on their way.
///
/// # Errors
/// [`ExchangeError::Refused`] when they are more than the broker takes at once or the subject is not a worker's;
/// `Unavailable` when nothing can be sent.
pub async fn hand(broker: &Broker, tasks_to: &str, tasks: &[Task]) -> Result<(), ExchangeError> {
    const WHAT: &str = "hand tasks to a worker";
    // Workers say where they listen; it must not be a way to speak with the engine's voice.
    let inbox = broker.inbox_named(tasks_to).map_err(|error| ExchangeError::refused(WHAT, error))?;
    let bytes = serde_json::to_vec(tasks).expect("tasks have text keys only");
    if bytes.len() > broker.payload_bytes_max() {
        return Err(ExchangeError::refused(WHAT, "more than the broker takes at once"));
    }
    let sent = broker.client().publish(inbox, bytes.into()).await;
    sent.map_err(|error| ExchangeError::unavailable(WHAT, error))
}

/// Begins to take tasks that were not asked for.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn take(broker: &Broker) -> Result<Handed, ExchangeError> {
    const WHAT: &str = "take tasks directly";
    let subject = broker.client().new_inbox();
    let subscribed = broker.client().subscribe(subject.clone()).await;
    let inbox = subscribed.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
    broker.flush().await?;
    Ok(Handed { subject, inbox })
}

/// Tasks handed to this process; made by [`take`].
pub struct Handed {
    subject: String,
    inbox: Subscriber,
}

impl Handed {
    /// Returns the subject to name in a hello.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Waits for the next tasks; `None` when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Vec<Task>> {
        loop {
            let message = self.inbox.next().await?;
            let payload: &Bytes = &message.payload;
            match serde_json::from_slice(payload) {
                Ok(tasks) => return Some(tasks),
                Err(error) => tracing::warn!(%error, "handed tasks that are none"),
            }
        }
    }
}
