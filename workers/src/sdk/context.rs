//! What a handler knows of its attempt, and how it talks back while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::expr::ConsumedAsset;
use headwater_core::protocol::Task;
use headwater_core::{Attempt, Json, NodeAddress, RunId, Slug, Timestamp, WorkspaceId};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

/// One attempt, as its handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    task: Task,
    cancelled: AtomicBool,
    /// Woken once, when `cancelled` is set.
    cancellation: Notify,
    /// What goes with the next heartbeat. Locked to set or take it, never across an await.
    progress: Mutex<Option<Json>>,
    made_at: Instant,
    /// When the handler last gave a sign of life, in microseconds since `made_at`.
    alive_at: AtomicU64,
}

impl Context {
    /// Makes the context of an attempt; the worker does so for its handlers, others to try a handler without an engine.
    pub fn new(task: Task) -> Self {
        Self(Arc::new(Inner {
            task,
            cancelled: AtomicBool::new(false),
            cancellation: Notify::new(),
            progress: Mutex::new(None),
            made_at: Instant::now(),
            alive_at: AtomicU64::new(0),
        }))
    }

    pub(crate) fn task(&self) -> &Task {
        &self.0.task
    }

    /// Tells the handler to stop, as the worker does when nobody wants the result any more.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        self.0.cancellation.notify_waiters();
    }

    /// Returns when the handler last gave a sign of life.
    pub(crate) fn alive_at(&self) -> Instant {
        self.0.made_at + Duration::from_micros(self.0.alive_at.load(Ordering::Relaxed))
    }

    /// Returns how long the handler may give none, if that is bounded.
    pub(crate) fn silence_max(&self) -> Option<Duration> {
        self.0.task.heartbeat_timeout_ms.map(Duration::from_millis)
    }

    pub(crate) fn take_progress(&self) -> Option<Json> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns the run.
    pub fn run(&self) -> RunId {
        self.0.task.run
    }

    /// Returns the workspace of the run.
    pub fn workspace(&self) -> &WorkspaceId {
        &self.0.task.workspace
    }

    /// Returns the workflow of the run.
    pub fn workflow(&self) -> &Slug {
        &self.0.task.workflow
    }

    /// Returns the node.
    pub fn node(&self) -> &NodeAddress {
        &self.0.task.node
    }

    /// Returns which try this is, from 1.
    pub fn attempt(&self) -> Attempt {
        self.0.task.attempt
    }

    /// Returns the input as JSON text, unparsed.
    pub fn input(&self) -> &Json {
        &self.0.task.input
    }

    /// Returns a key that is the same for every attempt of this node in this run, and different for every other.
    pub fn idempotency_key(&self) -> String {
        self.0.task.idempotency_key()
    }

    /// Returns when the attempt times out, if it does.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.0.task.deadline
    }

    /// Returns the versions of assets that were chosen for this node.
    pub fn assets(&self) -> &[ConsumedAsset] {
        &self.0.task.assets
    }

    /// Returns the payload of a consumed asset.
    pub fn payload(&self, asset: &str) -> Option<&Json> {
        self.assets().iter().find(|consumed| consumed.asset.as_str() == asset).map(|consumed| &consumed.payload)
    }

    /// Gives a sign of life: the work goes on. A node with a `heartbeatTimeout` needs one that often. Costs next to
    /// nothing, so a loop may call it every time around.
    pub fn heartbeat(&self) {
        let micros = u64::try_from(self.0.made_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.alive_at.store(micros, Ordering::Relaxed);
    }

    /// Says how far the work is; the newest word goes with the next heartbeat of the worker. A sign of life as
    /// [`Self::heartbeat`] is.
    pub fn progress(&self, progress: &impl Serialize) {
        self.heartbeat();
        *self.0.progress.lock().unwrap_or_else(PoisonError::into_inner) = Json::try_of(progress).ok();
    }

    /// Writes a line to the worker's log, with run, node and attempt.
    pub fn log(&self, line: impl AsRef<str>) {
        let Task { run, node, attempt, .. } = &self.0.task;
        tracing::info!(target: "headwater::handler", %run, %node, %attempt, "{}", line.as_ref());
    }

    /// Returns whether nobody wants the result any more: the run was cancelled, the attempt timed out, or it was silent
    /// for too long.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Waits until nobody wants the result any more. After a grace the handler is dropped where it waits.
    pub async fn cancelled(&self) {
        let notified = self.0.cancellation.notified();
        // Registered before the look, so that a cancellation in between is not missed.
        let mut notified = std::pin::pin!(notified);
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }
}
