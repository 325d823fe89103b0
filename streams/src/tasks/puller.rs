//! Takes tasks from one queue, no more than there is room for.

use std::time::Duration;

use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use headwater_core::protocol::Task;
use headwater_core::{QueueName, WorkspaceId};
use tokio::time::Instant;

use crate::subject::{TASKS, queue_consumer};
use crate::tail::Place;
use crate::{Broker, ExchangeError};

/// How long one pull request stays with the broker. Short, so that a lost one costs little.
const PULL_EXPIRES: Duration = Duration::from_secs(5);
const HEARTBEAT: Duration = Duration::from_secs(1);
const SILENCE_MAX: Duration = Duration::from_millis(2500);
/// How long to wait before asking again for a queue that nobody has made yet, or that has all it may hand out.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Takes tasks from one queue. Needs no right beyond pulling from it.
pub struct TaskPuller {
    broker: Broker,
    inbox: Subscriber,
    inbox_prefix: String,
    next_subject: Subject,
    /// The number of the pull request the broker still works on, and when it was last heard of.
    open: Option<(u64, Instant)>,
    pulls: u64,
}

/// Says that what was on the queue is not a task.
#[derive(Debug, thiserror::Error)]
#[error("the queue holds something that is not a task")]
pub struct MalformedTask {
    /// What it is instead.
    pub bytes: Bytes,
    source: serde_json::Error,
}

/// A task as the broker handed it out. Dropped without an answer, it is handed out again after the queue's wait.
#[derive(Debug)]
pub struct Delivery {
    pub task: Result<Task, MalformedTask>,
    /// Whether it was handed out before: then its first holder may still be at it.
    pub redelivered: bool,
    receipt: Receipt,
}

/// Answers the broker for one delivery. Answers are sent, not confirmed: a lost one means another delivery.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    broker: Broker,
    subject: Subject,
}

impl TaskPuller {
    /// Begins to take tasks from a queue. The queue need not exist yet: until it does, there are none.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn open(broker: &Broker, workspace: &WorkspaceId, queue: &QueueName) -> Result<Self, ExchangeError> {
        let client = broker.client();
        let inbox_prefix = client.new_inbox();
        let inbox = client.subscribe(format!("{inbox_prefix}.*")).await;
        let inbox = inbox.map_err(|error| ExchangeError::unavailable("take tasks", error))?;
        let consumer = queue_consumer(workspace, queue);
        let next_subject = format!("$JS.API.CONSUMER.MSG.NEXT.{TASKS}.{consumer}").into();
        Ok(Self { broker: broker.clone(), inbox, inbox_prefix, next_subject, open: None, pulls: 0 })
    }

    /// Returns up to `free_slots` tasks as soon as there is one, or none after `wait`.
    ///
    /// Dropping the future loses nothing; what arrives meanwhile is returned by the next call, up to its own
    /// `free_slots`, the rest later.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn fetch(&mut self, free_slots: usize, wait: Duration) -> Result<Vec<Delivery>, ExchangeError> {
        let deadline = Instant::now() + wait;
        let mut deliveries = Vec::new();
        if free_slots == 0 {
            tokio::time::sleep_until(deadline).await;
            return Ok(deliveries);
        }
        loop {
            while deliveries.len() < free_slots
                && let Some(Some(message)) = self.inbox.next().now_or_never()
            {
                deliveries.extend(self.receive(message));
            }
            if !deliveries.is_empty() || Instant::now() >= deadline {
                return Ok(deliveries);
            }
            let heard_at = match self.open {
                Some((_, heard_at)) if heard_at.elapsed() < SILENCE_MAX => heard_at,
                Some(_) | None => self.pull(free_slots).await?,
            };
            let until = deadline.min(heard_at + SILENCE_MAX);
            match tokio::time::timeout_at(until, self.inbox.next()).await {
                Ok(Some(message)) => {
                    let refused = matches!(message.status, Some(status) if status != StatusCode::OK);
                    deliveries.extend(self.receive(message));
                    if refused && self.open.is_none() && heard_at.elapsed() < REFUSED_PAUSE {
                        tokio::time::sleep_until(deadline.min(heard_at + REFUSED_PAUSE)).await;
                    }
                }
                Ok(None) => return Err(ExchangeError::unavailable("take tasks", "the connection is closed")),
                Err(_) => {}
            }
        }
    }

    /// Asks for tasks. With `no_wait` and `expires` together the broker answers with what it has, and waits for the
    /// first one when it has none; either way the request is then done, so none is handed out beyond the free slots.
    async fn pull(&mut self, free_slots: usize) -> Result<Instant, ExchangeError> {
        const WHAT: &str = "ask for tasks";
        self.pulls += 1;
        let request = format!(
            r#"{{"batch":{free_slots},"no_wait":true,"expires":{},"idle_heartbeat":{}}}"#,
            PULL_EXPIRES.as_nanos(),
            HEARTBEAT.as_nanos()
        );
        let reply = format!("{}.{}", self.inbox_prefix, self.pulls);
        let sent = self.broker.client().publish_with_reply(self.next_subject.clone(), reply, request.into()).await;
        sent.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        let now = Instant::now();
        self.open = Some((self.pulls, now));
        Ok(now)
    }

    fn receive(&mut self, message: Message) -> Option<Delivery> {
        if let Some((_, heard_at)) = self.open.as_mut() {
            *heard_at = Instant::now();
        }
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::IDLE_HEARTBEAT) => return None,
            Some(_) => {
                let number = message.subject.rsplit('.').next().and_then(|n| n.parse::<u64>().ok());
                self.open = self.open.filter(|(open, _)| Some(*open) != number);
                return None;
            }
        }
        let reply = message.reply?;
        let place = Place::parse(&reply)?;
        let source = message.payload;
        let task = serde_json::from_slice(&source).map_err(|error| MalformedTask { bytes: source, source: error });
        let receipt = Receipt { broker: self.broker.clone(), subject: reply };
        Some(Delivery { task, redelivered: place.times_delivered > 1, receipt })
    }
}

impl Delivery {
    /// Says that it is done with: the broker removes it.
    pub async fn ack(&self) {
        self.receipt.answer(Bytes::from_static(b"+ACK")).await;
    }

    /// Says that it is still worked on: the queue's wait begins anew.
    pub async fn progress(&self) {
        self.receipt.answer(Bytes::from_static(b"+WPI")).await;
    }

    /// Gives it back, to be handed out again after `delay`.
    pub async fn retry_later(&self, delay: Duration) {
        let answer = if delay.is_zero() {
            Bytes::from_static(b"-NAK")
        } else {
            format!(r#"-NAK {{"delay":{}}}"#, delay.as_nanos()).into()
        };
        self.receipt.answer(answer).await;
    }

    /// Says that it must never be handed out again, though it was not done.
    pub async fn discard(&self) {
        self.receipt.answer(Bytes::from_static(b"+TERM")).await;
    }
}

impl Receipt {
    async fn answer(&self, word: Bytes) {
        if let Err(error) = self.broker.client().publish(self.subject.clone(), word).await {
            tracing::debug!(%error, "a delivery is left to time out");
        }
    }
}
