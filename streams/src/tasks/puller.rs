//! Takes tasks from one queue, no more than there is room for.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    /// Pull requests the broker still works on, oldest first: number and tasks still owed.
    open: VecDeque<(u64, usize)>,
    pulls: u64,
    /// When the broker last said anything.
    heard_at: Instant,
    /// How often the connection was made, and when it was last made again, in nanoseconds since 1970.
    connects: u64,
    reconnected_at_nanos: u64,
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
    /// Whether it was handed out before, or may have been: then its first holder may still be at it. A broker that
    /// was restarted can have forgotten what it handed out, so what is older than the connection counts as well.
    pub redelivered: bool,
    pub receipt: Receipt,
}

/// Answers the broker for one delivery. Answers are sent, not confirmed: a lost one means another delivery.
#[derive(Debug, Clone)]
pub struct Receipt {
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
        let (open, pulls, heard_at) = (VecDeque::new(), 0, Instant::now());
        let (connects, reconnected_at_nanos) = (broker.connects(), 0);
        let broker = broker.clone();
        Ok(Self { broker, inbox, inbox_prefix, next_subject, open, pulls, heard_at, connects, reconnected_at_nanos })
    }

    /// Returns up to `free_slots` tasks as soon as there is one, or none after `wait`.
    ///
    /// Dropping the future loses nothing; what arrives meanwhile is returned by the next call, up to its own
    /// `free_slots`, the rest later. So a caller whose slots fill up between calls keeps some tasks waiting here for a
    /// while: at most as many as it last asked for.
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
            if self.heard_at.elapsed() >= SILENCE_MAX {
                self.open.clear();
            }
            let owed: usize = self.open.iter().map(|(_, owed)| owed).sum();
            if owed * 2 < free_slots {
                self.pull(free_slots - owed).await?;
            }
            let pulled_at = Instant::now();
            match tokio::time::timeout_at(deadline.min(self.heard_at + SILENCE_MAX), self.inbox.next()).await {
                Ok(Some(message)) => {
                    deliveries.extend(self.receive(message));
                    // Refused at once: nobody has made the queue yet. Asking again at once would be a busy loop.
                    if self.open.is_empty() && deliveries.is_empty() && pulled_at.elapsed() < REFUSED_PAUSE {
                        tokio::time::sleep_until(deadline.min(pulled_at + REFUSED_PAUSE)).await;
                    }
                }
                Ok(None) => return Err(ExchangeError::unavailable("take tasks", "the connection is closed")),
                Err(_) => {}
            }
        }
    }

    /// Takes nothing more, and gives back what has arrived and was not fetched.
    pub async fn close(mut self) {
        if let Err(error) = self.inbox.unsubscribe().await {
            tracing::debug!(%error, "the connection is closed already");
        }
        while let Some(Some(message)) = self.inbox.next().now_or_never() {
            if let Some(delivery) = self.receive(message) {
                delivery.receipt.retry_later(Duration::ZERO).await;
            }
        }
    }

    /// Asks for tasks. The broker sends them as they come, until it has sent as many or the request expires.
    async fn pull(&mut self, tasks: usize) -> Result<(), ExchangeError> {
        const WHAT: &str = "ask for tasks";
        self.pulls += 1;
        let request = format!(
            r#"{{"batch":{tasks},"expires":{},"idle_heartbeat":{}}}"#,
            PULL_EXPIRES.as_nanos(),
            HEARTBEAT.as_nanos()
        );
        let reply = format!("{}.{}", self.inbox_prefix, self.pulls);
        let sent = self.broker.client().publish_with_reply(self.next_subject.clone(), reply, request.into()).await;
        sent.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        if self.open.is_empty() {
            self.heard_at = Instant::now();
        }
        self.open.push_back((self.pulls, tasks));
        Ok(())
    }

    fn reconnected_at(&mut self) -> u64 {
        let connects = self.broker.connects();
        if connects != self.connects {
            self.connects = connects;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.reconnected_at_nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        }
        self.reconnected_at_nanos
    }

    fn receive(&mut self, message: Message) -> Option<Delivery> {
        self.heard_at = Instant::now();
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::IDLE_HEARTBEAT) => return None,
            Some(_) => {
                let number = message.subject.rsplit('.').next().and_then(|n| n.parse::<u64>().ok());
                self.open.retain(|(open, _)| Some(*open) != number);
                return None;
            }
        }
        if let Some((_, owed)) = self.open.front_mut() {
            *owed -= 1;
            if *owed == 0 {
                self.open.pop_front();
            }
        }
        let reply = message.reply?;
        let place = Place::parse(&reply).filter(|_| reply.split('.').any(|token| token == TASKS))?;
        let source = message.payload;
        let task = serde_json::from_slice(&source).map_err(|error| MalformedTask { bytes: source, source: error });
        let receipt = Receipt { broker: self.broker.clone(), subject: reply };
        let redelivered = place.times_delivered > 1 || place.stored_at_nanos < self.reconnected_at();
        Some(Delivery { task, redelivered, receipt })
    }
}

impl Receipt {
    /// Says that it is done with: the broker removes it.
    pub async fn ack(&self) {
        self.answer(Bytes::from_static(b"+ACK")).await;
    }

    /// Says that it is still worked on: the queue's wait begins anew.
    pub async fn progress(&self) {
        self.answer(Bytes::from_static(b"+WPI")).await;
    }

    /// Gives it back, to be handed out again after `delay`.
    pub async fn retry_later(&self, delay: Duration) {
        let answer = if delay.is_zero() {
            Bytes::from_static(b"-NAK")
        } else {
            format!(r#"-NAK {{"delay":{}}}"#, delay.as_nanos()).into()
        };
        self.answer(answer).await;
    }

    /// Says that it must never be handed out again, though it was not done.
    pub async fn discard(&self) {
        self.answer(Bytes::from_static(b"+TERM")).await;
    }

    async fn answer(&self, word: Bytes) {
        // Never waited for: who cannot be told hands it out again.
        if !self.broker.is_connected() {
            return;
        }
        if let Err(error) = self.broker.client().publish(self.subject.clone(), word).await {
            tracing::debug!(%error, "a delivery is left to time out");
        }
    }
}
