//! The loop: one event at a time, then everything that can be sent.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::FusedFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use headwater_core::protocol::{Task, WorkFrame, WorkRequest};
use headwater_core::run::{Report, ReportOutcome};
use headwater_core::{CommandId, LeaseToken, QueueName, ShardId};
use headwater_streams::cancel::{self, CancelNotice, CancelNotices};
use headwater_streams::direct::{self, Handed};
use headwater_streams::tasks::{Delivery, Receipt};
use headwater_streams::{Broker, ExchangeError};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::attempts::{Attempts, Due, Stage};
use super::frame::{self, Answered, UnderWay};
use super::intake::Intake;
use super::outbox::{Entry, Outbox};
use super::{Settings, now, report};
use crate::sdk::{Context, HandlerError, Handlers, Outcome};
use crate::unique::Unique;

/// How soon a task nobody here can run is offered to others.
const FOREIGN_PAUSE: Duration = Duration::from_secs(1);
/// How long the last reports may take when the worker stops.
const FAREWELL: Duration = Duration::from_secs(5);
const ENDED_AT_ONCE: usize = 256;

pub(super) type Ended = (LeaseToken, Result<Outcome, HandlerError>);

/// A worker at work.
pub(crate) struct TaskWorker {
    pub(super) settings: Settings,
    pub(super) broker: Broker,
    pub(super) queues: Vec<QueueName>,
    pub(super) handlers: Handlers,
    pub(super) attempts: Attempts,
    pub(super) outboxes: HashMap<ShardId, Outbox>,
    frames: UnderWay,
    pub(super) intake: Intake,
    pub(super) handed: Handed,
    ended: mpsc::Receiver<Ended>,
    end: mpsc::Sender<Ended>,
    notices: CancelNotices,
    heartbeat: Interval,
    ids: Unique,
    pub(super) stopping: bool,
}

enum Event {
    Stop,
    Ended(Vec<Ended>),
    Answered(Answered),
    Delivered(Vec<Delivery>),
    Handed(Vec<Task>),
    Due,
    Heartbeat,
    Notice(CancelNotice),
}

impl TaskWorker {
    /// Begins to listen.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub(crate) async fn start(
        broker: Broker,
        settings: Settings,
        queues: Vec<QueueName>,
        handlers: Handlers,
    ) -> Result<Self, ExchangeError> {
        let (end, ended) = mpsc::channel(ENDED_AT_ONCE);
        let mut heartbeat = tokio::time::interval(settings.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            intake: Intake::open(&broker, &settings.workspace, &queues).await?,
            handed: direct::take(&broker).await?,
            notices: cancel::subscribe(&broker, &settings.workspace).await?,
            settings,
            broker,
            queues,
            handlers,
            attempts: Attempts::default(),
            outboxes: HashMap::new(),
            frames: frame::under_way(),
            ended,
            end,
            heartbeat,
            ids: Unique::new(),
            stopping: false,
        })
    }

    /// Works until `shutdown` resolves, then comes to rest.
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        while !self.stopping {
            self.send();
            let event = self.event(shutdown.as_mut()).await;
            self.take(event).await;
        }
        self.introduce(0).await;
        self.intake.close().await;
        self.settle_until(Instant::now() + self.settings.stop_grace).await;
        self.hand_back().await;
        self.settle_until(Instant::now() + FAREWELL).await;
        for lease in self.attempts.leases() {
            tracing::error!(%lease, "the worker ends without an answer to this attempt's report");
        }
        if let Err(error) = self.broker.flush().await {
            tracing::debug!(%error, "the last acknowledgements may be lost");
        }
    }

    async fn settle_until(&mut self, deadline: Instant) {
        let mut deadline = std::pin::pin!(tokio::time::sleep_until(deadline).fuse());
        // What is under way beside reports and claims is a sign of life, and not missed.
        while !self.attempts.is_empty() {
            self.send();
            match self.event(deadline.as_mut()).await {
                Event::Stop => return,
                event => self.take(event).await,
            }
        }
    }

    /// Waits for what happens next. Loses nothing when dropped.
    async fn event(&mut self, mut stop: Pin<&mut impl FusedFuture<Output = ()>>) -> Event {
        let due_at = self.outboxes.values().filter_map(Outbox::due_at).chain(self.attempts.due_at()).min();
        let due = async {
            match due_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut ended = Vec::new();
        tokio::select! {
            () = &mut stop, if !stop.is_terminated() => Event::Stop,
            Some(answered) = self.frames.next() => Event::Answered(answered),
            _ = self.ended.recv_many(&mut ended, ENDED_AT_ONCE) => Event::Ended(ended),
            _ = self.heartbeat.tick() => Event::Heartbeat,
            Some(notice) = self.notices.next() => Event::Notice(notice),
            Some(tasks) = self.handed.next() => Event::Handed(tasks),
            () = due => Event::Due,
            deliveries = self.intake.next() => Event::Delivered(deliveries),
        }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Stop => self.stopping = true,
            Event::Ended(ended) => {
                for (lease, result) in ended {
                    self.end_of(lease, result);
                }
            }
            Event::Answered(answered) => self.answered(answered).await,
            Event::Delivered(deliveries) => {
                for delivery in deliveries {
                    self.delivered(delivery).await;
                }
            }
            Event::Handed(tasks) => {
                for task in tasks {
                    self.accept(task, None).await;
                }
            }
            Event::Due => {
                let now = Instant::now();
                while let Some((lease, due)) = self.attempts.take_due(now) {
                    self.due(lease, due);
                }
            }
            Event::Heartbeat => {
                let unasked = self.unasked();
                self.introduce(unasked).await;
                self.say_held(None);
                let before = now();
                for receipt in self.attempts.receipts(before) {
                    receipt.progress().await;
                }
            }
            // Only a hint: which attempt is meant, the shard says in its answer.
            Event::Notice(CancelNotice { run, node }) => {
                let meant = self.attempts.of(run, &node);
                if !meant.is_empty() {
                    self.say_held(Some(&meant));
                }
            }
        }
        while self.attempts.busy() < self.settings.slots
            && let Some(lease) = self.attempts.next_waiting()
        {
            self.begin(lease).await;
        }
    }

    /// Puts into frames what waits, and asks for tasks with what is free.
    fn send(&mut self) {
        let free = self.settings.slots.saturating_sub(self.attempts.len());
        if !self.stopping {
            self.intake.ask(free);
        }
        let instant = Instant::now();
        let talking = self.outboxes.len().max(1);
        for (shard, outbox) in &mut self.outboxes {
            let Some(entries) = outbox.next_frame(instant) else { continue };
            let queues = if self.stopping { Vec::new() } else { self.queues.clone() };
            let unasked = if self.stopping { 0 } else { free.saturating_sub(self.intake.asked()) / talking };
            let frame = WorkFrame {
                worker: self.settings.worker.clone(),
                workspace: self.settings.workspace.clone(),
                queues,
                free_slots: u32::try_from(unasked).unwrap_or(u32::MAX),
                requests: Vec::new(),
            };
            let (frame, give_up_at) = frame::split(entries, frame);
            self.frames.push(frame::offer(self.broker.clone(), *shard, frame, give_up_at).boxed());
        }
    }

    pub(super) fn say(&mut self, shard: ShardId, request: WorkRequest) {
        let give_up_at = Instant::now() + self.settings.report_patience;
        self.outboxes.entry(shard).or_insert_with(Outbox::new).push(Entry { request, give_up_at });
    }

    fn say_held(&mut self, only: Option<&[LeaseToken]>) {
        // Where an older one has not even been sent, a newer one would say the same.
        let outboxes = &self.outboxes;
        let said = |shard: ShardId| outboxes.get(&shard).is_some_and(Outbox::has_heartbeat);
        for (shard, held) in self.attempts.held(only, said) {
            self.say(shard, WorkRequest::Heartbeat { held });
        }
    }

    async fn delivered(&mut self, delivery: Delivery) {
        let Delivery { task, redelivered, receipt } = delivery;
        let task = match task {
            Ok(task) => task,
            Err(error) => {
                tracing::error!(%error, "discarded");
                return receipt.discard().await;
            }
        };
        // Delivered again while it is held here: there is nothing to do but to remember whom to tell (`WRK-3`).
        if let Some(attempt) = self.attempts.get_mut(task.lease) {
            if attempt.answered {
                receipt.ack().await;
            } else {
                attempt.receipt = Some(receipt);
            }
            return;
        }
        if redelivered || task.claim_first {
            self.claim(task, Some(receipt));
        } else {
            self.accept(task, Some(receipt)).await;
        }
    }

    pub(super) fn claim(&mut self, task: Task, receipt: Option<Receipt>) {
        let (shard, node) = (task.run.shard(), task.node.clone());
        let request = WorkRequest::Claim { run: task.run, node, attempt: task.attempt, lease: task.lease };
        self.attempts.insert(Context::new(task), receipt, Stage::Claiming);
        self.say(shard, request);
    }

    /// Takes a task that is ours to run: now, or when a slot is free.
    pub(super) async fn accept(&mut self, task: Task, receipt: Option<Receipt>) {
        if let Some(attempt) = self.attempts.get_mut(task.lease) {
            attempt.receipt = receipt.or(attempt.receipt.take());
            return;
        }
        if self.attempts.busy() < self.settings.slots {
            let lease = self.attempts.insert(Context::new(task), receipt, Stage::Ended);
            self.begin(lease).await;
        } else {
            self.attempts.insert(Context::new(task), receipt, Stage::Waiting);
        }
    }

    /// Runs the handler: to its end, if it gets there without waiting.
    async fn begin(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.stage = Stage::Ended;
        let time = now();
        attempt.started_at = time;
        let context = attempt.context.clone();
        context.heartbeat();
        let Some(handle) = self.handlers.of(context.task()).cloned() else {
            return self.decline(lease).await;
        };
        let left = context.deadline().map(|deadline| deadline.since(time));
        if left == Some(Duration::ZERO) {
            return self.end_of(lease, Err(timed_out()));
        }
        let mut attempted = handle.call(context);
        let heavy = handle.is_heavy();
        if !heavy && let Some(result) = handle.first_poll(&mut attempted) {
            return self.end_of(lease, result);
        }
        let end = self.end.clone();
        let running = tokio::spawn(async move {
            let ready = if heavy { handle.first_poll(&mut attempted) } else { None };
            let result = match ready {
                Some(result) => result,
                None => attempted.await,
            };
            // Nobody listens any more only when the worker is gone.
            let _ = end.send((lease, result)).await;
        });
        self.attempts.running(lease, running.abort_handle(), left.map(|left| Instant::now() + left));
    }

    /// Passes on what no handler here can run.
    async fn decline(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        match attempt.receipt.take() {
            Some(receipt) => {
                receipt.retry_later(FOREIGN_PAUSE).await;
                self.attempts.remove(lease);
            }
            None => self.end_of(lease, Err(HandlerError::new("handler_missing", "this worker has no such handler"))),
        }
    }

    /// Reports an end, unless nobody wants to know any more.
    fn end_of(&mut self, lease: LeaseToken, result: Result<Outcome, HandlerError>) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.stage = Stage::Ended;
        if attempt.answered {
            self.attempts.remove(lease);
        } else if !attempt.reported {
            self.report(lease, report::outcome(result));
        }
    }

    pub(super) fn report(&mut self, lease: LeaseToken, outcome: ReportOutcome) {
        let id = CommandId::from_uuid(self.ids.next());
        let worker = self.settings.worker.clone();
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.reported = true;
        let (task, started_at) = (attempt.context.task(), attempt.started_at);
        let (run, node) = (task.run, task.node.clone());
        let report = Report { node, attempt: task.attempt, lease, worker, started_at, outcome };
        self.say(run.shard(), WorkRequest::Report { id, run, report });
    }

    fn due(&mut self, lease: LeaseToken, due: Due) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        match due {
            Due::Started => {
                let (task, started_at) = (attempt.context.task(), attempt.started_at);
                let (run, node, attempt) = (task.run, task.node.clone(), task.attempt);
                self.say(run.shard(), WorkRequest::Started { run, node, attempt, lease, started_at });
            }
            Due::Deadline => self.cut_short(lease, timed_out()),
            Due::Silent(max) => {
                let message = format!("the handler gave no sign of life for {max:?}");
                self.cut_short(lease, HandlerError::new("heartbeat_timeout", message));
            }
            Due::Drop => {
                if let Stage::Running(abort) = &attempt.stage {
                    abort.abort();
                }
                attempt.stage = Stage::Ended;
                if attempt.answered {
                    self.attempts.remove(lease);
                }
            }
        }
    }

    /// Tells a handler to stop, and the shard why its attempt has failed.
    fn cut_short(&mut self, lease: LeaseToken, error: HandlerError) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.context.cancel();
        self.attempts.drop_at(lease, Instant::now() + self.settings.cancel_grace);
        self.report(lease, report::outcome(Err(error)));
    }
}

fn timed_out() -> HandlerError {
    HandlerError::new("timeout", "the attempt did not end in time")
}
