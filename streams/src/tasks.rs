//! What waits to be done: one stream, one durable consumer for each queue of each workspace.

mod puller;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::{StreamExt as _, stream};
use headwater_core::protocol::Task;
use headwater_core::{QueueName, WorkspaceId};

pub use puller::{Delivery, MalformedTask, Receipt, TaskPuller};

use crate::acked::{self, PublishFailure};
use crate::subject::{self, queue_consumer, task_subject};
use crate::{Broker, Cause, Disposition, ExchangeError};

/// How many publishes of one [`TaskQueue::publish_all`] are under way at once.
const PUBLISHES_AT_ONCE: usize = 512;

/// How a queue hands out its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How many tasks of the queue may be held by workers at once, over all workers.
    pub in_flight_max: u32,
    /// How long a worker may be silent about a task before it is handed out again.
    pub ack_wait: Duration,
    /// How often a task is handed out before it stays behind. `None`: for ever; the shard decides when it is enough.
    pub deliveries_max: Option<u32>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { in_flight_max: 10_000, ack_wait: Duration::from_secs(30), deliveries_max: None }
    }
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Tasks no worker has.
    pub waiting: u64,
    /// Tasks workers have and have not acknowledged.
    pub in_flight: u64,
}

/// Says why a task is not on its queue.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// Nothing this large can be queued.
    #[error("the task has {bytes} bytes, the broker takes {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    /// It is not there.
    #[error("the broker did not queue the task")]
    Unavailable(#[source] Cause),
    /// It may be there. Offer it again: a second copy is recognised by its message id, or by the shard.
    #[error("the broker did not say whether it queued the task")]
    Indeterminate(#[source] Cause),
}

impl OfferError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::TooLarge { .. } => Disposition::Rejection,
            Self::Unavailable(_) => Disposition::Unavailable,
            Self::Indeterminate(_) => Disposition::Indeterminate,
        }
    }
}

/// Offers tasks and looks after their queues. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskQueue {
    broker: Broker,
    settings: QueueSettings,
    /// The queues this process has made sure of. Locked for a look-up, never across an await.
    ensured: Arc<Mutex<HashSet<(WorkspaceId, QueueName)>>>,
}

impl TaskQueue {
    /// Makes a handle that gives queues it finds missing these settings.
    pub fn new(broker: &Broker, settings: QueueSettings) -> Self {
        Self { broker: broker.clone(), settings, ensured: Arc::default() }
    }

    /// Puts a task on its queue and returns once it is stored. Makes the queue if this process has not used it yet.
    ///
    /// # Errors
    /// See [`OfferError`]; offering again is harmless.
    pub async fn publish(&self, task: &Task) -> Result<(), OfferError> {
        self.ensure_queue_of(task).await?;
        let bytes = serde_json::to_vec(task).expect("a task has text keys only");
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message_id(task).as_str());
        let subject = task_subject(&task.workspace, &task.queue).to_wire();
        let wait = self.broker.request_timeout();
        match acked::publish(&self.broker, subject, Some(headers), bytes.into(), wait).await {
            Ok(_) => Ok(()),
            Err(PublishFailure::TooLarge { bytes, bytes_max }) => Err(OfferError::TooLarge { bytes, bytes_max }),
            Err(PublishFailure::Unavailable(cause) | PublishFailure::WrongSequence(cause)) => {
                Err(OfferError::Unavailable(cause))
            }
            Err(PublishFailure::Indeterminate(cause)) => Err(OfferError::Indeterminate(cause)),
        }
    }

    /// Puts many tasks on their queues, hundreds under way at once, and returns how each ended, in order.
    pub async fn publish_all(&self, tasks: Vec<Task>) -> Vec<Result<(), OfferError>> {
        for task in &tasks {
            // Once for each queue and before the rush; a failure shows again at every task it concerns.
            if let Err(error) = self.ensure_queue_of(task).await {
                tracing::warn!(%error, queue = %task.queue, "a queue could not be made");
            }
        }
        let publishes = stream::iter(tasks).map(|task| async move { self.publish(&task).await });
        publishes.buffered(PUBLISHES_AT_ONCE).collect().await
    }

    async fn ensure_queue_of(&self, task: &Task) -> Result<(), OfferError> {
        let key = (task.workspace.clone(), task.queue.clone());
        if self.ensured.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Ok(());
        }
        let ensured = self.ensure_queue(&task.workspace, &task.queue, self.settings).await;
        ensured.map_err(|error| OfferError::Unavailable(error.into()))
    }

    /// Makes sure that a queue exists and has these settings. Idempotent; an existing queue takes the new settings.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn ensure_queue(
        &self,
        workspace: &WorkspaceId,
        queue: &QueueName,
        settings: QueueSettings,
    ) -> Result<(), ExchangeError> {
        let name = queue_consumer(workspace, queue);
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: task_subject(workspace, queue).to_string(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: settings.ack_wait,
            max_ack_pending: i64::from(settings.in_flight_max),
            max_deliver: settings.deliveries_max.map_or(-1, i64::from),
            ..pull::Config::default()
        };
        let created = self.broker.jetstream().create_consumer_on_stream(config, subject::TASKS).await;
        created.map_err(|error| ExchangeError::unavailable("make a queue", error))?;
        let key = (workspace.clone(), queue.clone());
        self.ensured.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        Ok(())
    }

    /// Returns how full a queue is; empty where there is none.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn depth(&self, workspace: &WorkspaceId, queue: &QueueName) -> Result<QueueDepth, ExchangeError> {
        const WHAT: &str = "measure a queue";
        let stream = self.broker.jetstream().get_stream_no_info(subject::TASKS).await;
        let stream = stream.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        match stream.consumer_info(queue_consumer(workspace, queue)).await {
            Ok(info) => {
                let in_flight = u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX);
                Ok(QueueDepth { waiting: info.num_pending, in_flight })
            }
            Err(error) => match error.kind() {
                async_nats::jetstream::context::ConsumerInfoErrorKind::NotFound => Ok(QueueDepth::default()),
                _ => Err(ExchangeError::unavailable(WHAT, error)),
            },
        }
    }
}

/// The id by which the broker recognises a second copy within [`crate::topology::Topology::TASK_DUPLICATE_WINDOW`].
///
/// A copy that is to be claimed first has another id: the first copy may be consumed already without effect.
fn message_id(task: &Task) -> String {
    let again = if task.claim_first { "/again" } else { "" };
    format!("{}/{}/{}{again}", task.run, task.node, task.attempt)
}
