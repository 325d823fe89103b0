//! Puts a worker together.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::definition::BuiltIn;
use headwater_core::definition::queue_of_job;
use headwater_core::{JobSlug, QueueName, SessionId, WorkerId, WorkspaceId};
use headwater_streams::{Broker, BrokerConfig, ConnectError, ExchangeError};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Context, Handle, HandlerError, Handlers, Outcome};
use crate::task_worker::{Settings, TaskWorker};

/// A worker, ready to run.
pub struct Worker {
    link: Link,
    settings: Settings,
    queues: Vec<QueueName>,
    handlers: Handlers,
}

enum Link {
    Config(Box<BrokerConfig>),
    Broker(Broker),
}

/// Says what a worker lacks.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the worker has no {0}")]
    Missing(&'static str),
    #[error("{what} must be between {from} and {to}")]
    OutOfRange { what: &'static str, from: String, to: String },
}

/// Says why a worker ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// Collects what a worker is made of.
pub struct WorkerBuilder {
    workspace: Option<WorkspaceId>,
    link: Option<Link>,
    id: Option<WorkerId>,
    queues: BTreeSet<QueueName>,
    handlers: Handlers,
    slots: usize,
    heartbeat: Duration,
    cancel_grace: Duration,
    stop_grace: Duration,
    report_patience: Duration,
}

impl Worker {
    /// Begins a worker.
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder {
            workspace: None,
            link: None,
            id: None,
            queues: BTreeSet::new(),
            handlers: Handlers::default(),
            slots: 64,
            heartbeat: Duration::from_secs(5),
            cancel_grace: Duration::from_secs(10),
            stop_grace: Duration::from_secs(30),
            report_patience: Duration::from_secs(600),
        }
    }

    /// Takes and does work until `shutdown` resolves; then finishes what runs, within a grace, and returns.
    ///
    /// # Errors
    /// [`WorkerError`] when the broker cannot be reached at the start. Later it is waited for.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), WorkerError> {
        let broker = match self.link {
            Link::Broker(broker) => broker,
            Link::Config(config) => Broker::connect(&config).await?,
        };
        let worker = TaskWorker::start(broker, self.settings, self.queues, self.handlers).await?;
        // The loop and the connection wake each other for every task. As tasks of the runtime they mostly stay on one
        // thread; the future a program blocks on has a thread of its own.
        let stop = CancellationToken::new();
        // A set ends its tasks when it is dropped, as this future would.
        let mut working = JoinSet::new();
        working.spawn(worker.run(stop.clone().cancelled_owned()));
        let ended = tokio::select! {
            ended = working.join_next() => ended,
            () = shutdown => {
                stop.cancel();
                working.join_next().await
            }
        };
        match ended {
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(_) | None => Ok(()),
        }
    }
}

impl WorkerBuilder {
    /// Says whose work it does.
    #[must_use]
    pub fn workspace(mut self, workspace: WorkspaceId) -> Self {
        self.workspace = Some(workspace);
        self
    }

    /// Says where the broker is.
    #[must_use]
    pub fn broker(mut self, config: BrokerConfig) -> Self {
        self.link = Some(Link::Config(Box::new(config)));
        self
    }

    /// Uses a connection that is there.
    #[must_use]
    pub fn connection(mut self, broker: Broker) -> Self {
        self.link = Some(Link::Broker(broker));
        self
    }

    /// Names the worker; otherwise it gets a name nobody else has. Two workers of one name must not run at once.
    #[must_use]
    pub fn id(mut self, id: WorkerId) -> Self {
        self.id = Some(id);
        self
    }

    /// Adds the handler of a job, and takes tasks from the job's own queue.
    #[must_use]
    pub fn handler<I, O, F, Fut>(self, job: JobSlug, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Into<Outcome>,
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, HandlerError>> + Send + 'static,
    {
        let queue = queue_of_job(&job);
        self.handler_on(queue, job, handler)
    }

    /// Adds the handler of a job whose tasks wait in a queue that the definitions name.
    #[must_use]
    pub fn handler_on<I, O, F, Fut>(mut self, queue: QueueName, job: JobSlug, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Into<Outcome>,
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, HandlerError>> + Send + 'static,
    {
        self.queues.insert(queue);
        self.handlers.jobs.insert(job, Arc::new(Handle::new(handler)));
        self
    }

    pub(crate) fn built_in(mut self, queue: QueueName, action: BuiltIn, handle: Handle) -> Self {
        self.queues.insert(queue);
        self.handlers.built_in.insert(action, Arc::new(handle));
        self
    }

    /// Says how many attempts it holds at once, 1–100,000. Default 64.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// Says how often it gives a sign of life for what it holds, 200 ms to 60 s. Default 5 s; no more than a third of the
    /// engine's lease, or of the queues' wait. The `heartbeatTimeout` of a node is about its handler, not about this.
    #[must_use]
    pub fn heartbeat_every(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// Says how long a handler that was told to stop may take before it is dropped. Default 10 s.
    #[must_use]
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.cancel_grace = grace;
        self
    }

    /// Says how long handlers may go on once the worker is told to stop. Default 30 s.
    #[must_use]
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// Says how long a report is offered to a shard that does not answer. Default 10 min.
    #[must_use]
    pub fn report_patience(mut self, patience: Duration) -> Self {
        self.report_patience = patience;
        self
    }

    /// Makes the worker.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(self) -> Result<Worker, BuildError> {
        let workspace = self.workspace.ok_or(BuildError::Missing("workspace"))?;
        let link = self.link.ok_or(BuildError::Missing("broker"))?;
        if self.queues.is_empty() {
            return Err(BuildError::Missing("handler"));
        }
        let range = |what, from: &str, to: &str| BuildError::OutOfRange { what, from: from.into(), to: to.into() };
        if !(1..=100_000).contains(&self.slots) {
            return Err(range("slots", "1", "100,000"));
        }
        if !(Duration::from_millis(200)..=Duration::from_secs(60)).contains(&self.heartbeat) {
            return Err(range("the time between heartbeats", "200 ms", "60 s"));
        }
        let worker = self.id.unwrap_or_else(|| {
            let name = format!("worker-{}", uuid::Uuid::new_v4().simple());
            name.parse().expect("letters, digits and a dash make a worker id")
        });
        let settings = Settings {
            worker,
            workspace,
            session: SessionId::from_bits(uuid::Uuid::new_v4().as_u64_pair().0),
            slots: self.slots,
            heartbeat: self.heartbeat,
            cancel_grace: self.cancel_grace,
            stop_grace: self.stop_grace,
            report_patience: self.report_patience,
        };
        Ok(Worker { link, settings, queues: self.queues.into_iter().collect(), handlers: self.handlers })
    }
}
