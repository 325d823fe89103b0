//! The loop: one event at a time, then everything that can be sent.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::FusedFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use headwater_core::protocol::{Call, Handed, PROTOCOL, WorkFrame, WorkRequest};
use headwater_core::run::{Report, ReportOutcome};
use headwater_core::{CommandId, LeaseToken, QueueName, ShardId};
use headwater_streams::cancel::{self, CancelNotice, CancelNotices};
use headwater_streams::work::{self, Attention, Heard};
use headwater_streams::{Broker, ExchangeError};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::attempts::{Attempts, Due, Stage};
use super::frame::{self, Answered, UnderWay};
use super::lending::Lending;
use super::outbox::{Entry, Outbox};
use super::{Settings, now, report};
use crate::sdk::{HandlerError, Handlers, Outcome};
use crate::unique::Unique;

/// A heartbeat that is so much overdue says that this process stood still.
const STALLED_AFTER: Duration = Duration::from_secs(1);
/// How long the last reports may take when the worker stops.
const FAREWELL: Duration = Duration::from_secs(5);
const ENDED_AT_ONCE: usize = 256;
/// How many events are taken in before something is sent.
const BURST: usize = 64;

pub(super) type Ended = (LeaseToken, Result<Outcome, HandlerError>);

/// A worker at work.
pub(crate) struct TaskWorker {
    pub(super) settings: Settings,
    pub(super) broker: Broker,
    pub(super) queues: Vec<QueueName>,
    handlers: Handlers,
    pub(super) attempts: Attempts,
    pub(super) outboxes: HashMap<ShardId, Outbox>,
    frames: UnderWay,
    pub(super) lending: Lending,
    attention: Attention,
    /// What came before the answer that may have been sent earlier.
    pub(super) early: HashMap<ShardId, Vec<Handed>>,
    ended: mpsc::Receiver<Ended>,
    end: mpsc::Sender<Ended>,
    notices: CancelNotices,
    heartbeat: Interval,
    heartbeat_at: Instant,
    ids: Unique,
    pub(super) stopping: bool,
}

enum Event {
    Stop,
    Ended(Vec<Ended>),
    Answered(Answered),
    Heard(Heard),
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
            lending: Lending::new(settings.slots),
            attention: work::attend(&broker, &settings.workspace, settings.session).await?,
            notices: cancel::subscribe(&broker, &settings.workspace).await?,
            settings,
            broker,
            queues,
            handlers,
            attempts: Attempts::default(),
            outboxes: HashMap::new(),
            early: HashMap::new(),
            frames: frame::under_way(),
            ended,
            end,
            heartbeat,
            heartbeat_at: Instant::now(),
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
            self.take_ready(shutdown.as_mut()).await;
        }
        self.introduce().await;
        self.rest_until(Instant::now() + self.settings.stop_grace).await;
        self.hand_back();
        self.rest_until(Instant::now() + FAREWELL).await;
        for lease in self.attempts.leases() {
            tracing::error!(%lease, "the worker ends without an answer to this attempt's report");
        }
        if let Err(error) = self.broker.flush().await {
            tracing::debug!(%error, "the last acknowledgements may be lost");
        }
    }

    async fn rest_until(&mut self, deadline: Instant) {
        let mut deadline = std::pin::pin!(tokio::time::sleep_until(deadline).fuse());
        // What is under way beside reports is a sign of life, and not missed.
        while !self.attempts.is_empty() {
            self.send();
            match self.event(deadline.as_mut()).await {
                Event::Stop => return,
                event => self.take(event).await,
            }
        }
    }

    /// Takes what is there already, so that it goes into the same frames.
    async fn take_ready(&mut self, mut stop: Pin<&mut impl FusedFuture<Output = ()>>) {
        // Whoever reads the connection comes first, where there is more to be expected: it costs a turn of the runtime.
        if self.attempts.are_several() {
            tokio::task::yield_now().await;
        }
        for _ in 0..BURST {
            let Some(event) = self.event(stop.as_mut()).now_or_never() else { return };
            self.take(event).await;
        }
    }

    /// Waits for what happens next. Loses nothing when dropped.
    async fn event(&mut self, mut stop: Pin<&mut impl FusedFuture<Output = ()>>) -> Event {
        let frames_at = self.outboxes.values().filter_map(Outbox::due_at);
        let due_at = frames_at.chain(self.attempts.due_at()).chain(self.lending.due_at()).min();
        let due = async {
            match due_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut ended = Vec::new();
        // Messages before answers: a shard sends both on one connection, and what an answer says of messages makes those that
        // come after it old.
        tokio::select! {
            biased;
            () = &mut stop, if !stop.is_terminated() => Event::Stop,
            _ = self.heartbeat.tick() => Event::Heartbeat,
            () = due => Event::Due,
            Some(heard) = self.attention.next() => Event::Heard(heard),
            Some(answered) = self.frames.next() => Event::Answered(answered),
            _ = self.ended.recv_many(&mut ended, ENDED_AT_ONCE) => Event::Ended(ended),
            Some(notice) = self.notices.next() => Event::Notice(notice),
        }
    }

    async fn take(&mut self, event: Event) {
        if let Event::Heard(_) = event {
            self.lending.begin();
        }
        match event {
            Event::Stop => self.stopping = true,
            Event::Ended(ended) => {
                for (lease, result) in ended {
                    self.end_of(lease, result);
                }
            }
            Event::Answered(answered) => {
                let shard = answered.shard;
                self.answered(answered);
                self.take_early(shard);
            }
            Event::Heard(Heard::Handed(handed)) => self.take_handed(handed),
            Event::Heard(Heard::Call(Call { shard, epoch, queues })) => {
                if queues.iter().any(|queue| self.queues.contains(queue)) {
                    self.lending.lender.called(shard, epoch);
                }
            }
            Event::Due => {
                let now = Instant::now();
                while let Some((lease, due)) = self.attempts.take_due(now) {
                    self.due(lease, due);
                }
            }
            Event::Heartbeat => {
                self.heartbeat_at = Instant::now();
                self.introduce().await;
                self.lending.lender.doubt();
                self.say_held(None);
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
            self.ask_first(lease);
        }
    }

    /// Lends what is free, and puts into frames what waits.
    fn send(&mut self) {
        self.lend();
        let instant = Instant::now();
        for (shard, outbox) in &mut self.outboxes {
            let Some(entries) = outbox.next_frame(instant) else { continue };
            let frame = WorkFrame {
                protocol: PROTOCOL,
                worker: self.settings.worker.clone(),
                session: self.settings.session,
                queues: self.queues.clone(),
                credit: self.lending.lender.credit(*shard),
                requests: Vec::new(),
            };
            let (frame, give_up_at) = frame::split(entries, frame);
            let (broker, workspace) = (self.broker.clone(), self.settings.workspace.clone());
            self.frames.push(frame::offer(broker, workspace, *shard, frame, give_up_at).boxed());
        }
    }

    /// Whether this process has stood still for so long that shards may have given up on what it holds.
    pub(super) fn stood_still(&self) -> bool {
        self.heartbeat_at.elapsed() > self.settings.heartbeat + STALLED_AFTER
    }

    /// Notes that a task of a shard holds no slot any more.
    pub(super) fn free(&mut self, lease: LeaseToken, shard: ShardId) {
        self.attempts.leave(lease);
        self.lending.free(shard);
    }

    pub(super) fn say(&mut self, shard: ShardId, request: WorkRequest) {
        let give_up_at = Instant::now() + self.settings.report_patience;
        self.outboxes.entry(shard).or_insert_with(Outbox::new).push(Entry { request, give_up_at });
    }

    pub(super) fn say_held(&mut self, only: Option<&[LeaseToken]>) {
        // Where an older one has not even been sent, a newer one would say the same.
        let outboxes = &self.outboxes;
        let said = |shard: ShardId| outboxes.get(&shard).is_some_and(Outbox::has_heartbeat);
        for (shard, held) in self.attempts.held(only, said) {
            self.say(shard, WorkRequest::Heartbeat { held });
        }
    }

    /// Runs the handler: to its end, if it gets there without waiting.
    pub(super) fn begin(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.stage = Stage::Ended;
        let time = now();
        attempt.started_at = time;
        let context = attempt.context.clone();
        context.heartbeat();
        let Some(handle) = self.handlers.of(context.task()).cloned() else {
            return self.end_of(lease, Err(HandlerError::new("handler_missing", "this worker has no such handler")));
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

    /// Reports an end, unless nobody wants to know any more.
    fn end_of(&mut self, lease: LeaseToken, result: Result<Outcome, HandlerError>) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.stage = Stage::Ended;
        let shard = attempt.context.run().shard();
        if attempt.answered {
            self.remove(lease);
        } else if attempt.reported {
            self.free(lease, shard);
        } else {
            self.report(lease, report::outcome(result));
            self.free(lease, shard);
        }
    }

    /// Forgets an attempt.
    pub(super) fn remove(&mut self, lease: LeaseToken) {
        if let Some(attempt) = self.attempts.remove(lease) {
            self.lending.lender.let_go(attempt.context.run().shard());
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

    /// Gives a task back that was not begun.
    pub(super) fn give_back(&mut self, lease: LeaseToken) {
        let id = CommandId::from_uuid(self.ids.next());
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.reported = true;
        let task = attempt.context.task();
        let (run, node, attempt) = (task.run, task.node.clone(), task.attempt);
        self.say(run.shard(), WorkRequest::Return { id, run, node, attempt, lease });
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
                let shard = attempt.context.run().shard();
                if attempt.answered {
                    self.remove(lease);
                } else {
                    self.free(lease, shard);
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
