//! What happens next in a shard: one task owns its state and waits for whatever comes first.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _, OptionFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use headwater_core::protocol::{ShardReply, ShardRequest, WorkFrame, WorkReply, WorkRequest};
use headwater_core::run::{Handover, RunCommand, RunRejection, task_of};
use headwater_core::shard::{Answer, Command, Effect, Outcome, Owner, Rejection, Released, Submission, WorkflowKey};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Json, RunId, Sequence, ShardId, WorkerId};
use headwater_streams::journal::Journal;
use headwater_streams::requests::{self, ReplyTo, Request, Requests};
use headwater_streams::{ExchangeError, subject};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::append::{Lost, append};
use super::deliver::{Deliverer, Local, Outlets, Ticket, consequence};
use super::frames::{Complete, Frames, Place};
use super::leases::{Lease, Leases};
use super::{ShardCounters, ShardSettings, now};

/// Who asked for a command, and so who hears of its outcome.
pub(super) enum Caller {
    Work {
        place: Place,
        worker: WorkerId,
    },
    Shard(Place),
    Effect {
        ticket: Ticket,
        submission: Box<Submission>,
    },
    /// The shard itself: timers, silence, definitions.
    Nobody,
}

/// Why a shard worker stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("asked to stop")]
    Asked,
    #[error("the shard is lost")]
    Lost(#[source] Lost),
    #[error("requests cannot be served")]
    Serve(#[source] ExchangeError),
}

/// How many requests are taken in before the loop looks for other work.
const BURST: usize = 64;
/// How many runs one turn fires timers of.
const DUE_BURST: usize = 256;

pub(super) struct Driver {
    shard: ShardId,
    owner: Owner<Caller>,
    journal: Journal,
    settings: ShardSettings,
    counters: Arc<ShardCounters>,
    outlets: Outlets,
    deliverer: Deliverer,
    work: Frames<WorkReply>,
    commands: Frames<ShardReply>,
    leases: Leases,
    /// Who waits for the end of which run.
    awaiting: HashMap<RunId, Vec<Place>>,
    /// Starts that wait for their definition.
    parked: HashMap<(WorkflowKey, DefinitionVersion), Vec<(Caller, Submission)>>,
    fetches: FuturesUnordered<BoxFuture<'static, ((WorkflowKey, DefinitionVersion), Option<Json>)>>,
    appending: OptionFuture<BoxFuture<'static, Result<Sequence, Lost>>>,
    append_began: Instant,
    confirmed: mpsc::UnboundedReceiver<Sequence>,
    local: mpsc::UnboundedReceiver<Local>,
    /// What was outstanding at the take-over, kept back until holders had time to show themselves.
    inherited: Option<(Instant, Vec<Effect>)>,
}

impl Driver {
    pub fn new(
        journal: Journal,
        mut owner: Owner<Caller>,
        settings: ShardSettings,
        counters: Arc<ShardCounters>,
        outlets: Outlets,
    ) -> Self {
        let shard = journal.shard();
        let (confirm, confirmed) = mpsc::unbounded_channel();
        let (local_sender, local) = mpsc::unbounded_channel();
        let mut deliverer = Deliverer::new(shard, outlets.clone(), confirm, local_sender);
        let mut inherited = None;
        for (sequence, effects) in owner.inherit() {
            if sequence == Sequence::ZERO {
                inherited = Some((Instant::now() + settings.lease_ttl, effects));
            } else {
                deliverer.deliver(sequence, effects);
            }
        }
        Self {
            shard,
            owner,
            journal,
            leases: Leases::new(settings.lease_ttl),
            settings,
            counters,
            outlets,
            deliverer,
            work: Frames::new(),
            commands: Frames::new(),
            awaiting: HashMap::new(),
            parked: HashMap::new(),
            fetches: FuturesUnordered::new(),
            appending: None.into(),
            append_began: Instant::now(),
            confirmed,
            local,
            inherited,
        }
    }

    /// Drives the shard until it is lost or `shutdown` comes; then every caller is told to ask the next owner.
    pub async fn run(mut self, shutdown: CancellationToken) -> Stopped {
        // The empty bundle that opens the epoch fences every owner before, so it goes first.
        self.begin_append();
        let served = async {
            let work = requests::serve(&self.outlets.broker, &subject::work_subject(self.shard)).await?;
            let commands = requests::serve(&self.outlets.broker, &subject::cmd_subject(self.shard)).await?;
            Ok((work, commands))
        };
        let (mut work, mut commands) = match served.await {
            Ok(both) => both,
            Err(error) => return Stopped::Serve(error),
        };
        let stopped = self.turn_until_stopped(&mut work, &mut commands, &shutdown).await;
        work.stop().await;
        commands.stop().await;
        self.step_down().await;
        stopped
    }

    async fn turn_until_stopped(
        &mut self,
        work: &mut Requests,
        commands: &mut Requests,
        shutdown: &CancellationToken,
    ) -> Stopped {
        let mut sweep = tokio::time::interval(self.settings.lease_ttl / 4);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let open = !self.owner.is_full();
            let due = self.next_due();
            tokio::select! {
                Some(result) = &mut self.appending => match result {
                    Ok(sequence) => self.appended(sequence).await,
                    Err(lost) => return Stopped::Lost(lost),
                },
                () = shutdown.cancelled(), if !self.owner.is_appending() => return Stopped::Asked,
                Some(request) = work.next(), if open => {
                    self.take_work(request).await;
                    for _ in 0..BURST {
                        let Some(request) = work.try_next().filter(|_| !self.owner.is_full()) else { break };
                        self.take_work(request).await;
                    }
                }
                Some(request) = commands.next(), if open => {
                    self.take_commands(request).await;
                    for _ in 0..BURST {
                        let Some(request) = commands.try_next().filter(|_| !self.owner.is_full()) else { break };
                        self.take_commands(request).await;
                    }
                }
                Some(local) = self.local.recv(), if open => {
                    let Local { submission, ticket } = local;
                    let caller = Caller::Effect { ticket, submission: Box::new(submission.clone()) };
                    self.submit(caller, submission, None).await;
                }
                Some(sequence) = self.confirmed.recv() => self.owner.effects_delivered(sequence),
                Some((key, document)) = self.fetches.next() => self.adopt(key, document).await,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && open => {
                    self.fire_timers().await;
                }
                _ = sweep.tick() => self.sweep().await,
            }
            // What is not on its way to the journal when the stop comes is for the next owner to decide.
            if !shutdown.is_cancelled() {
                self.begin_append();
            }
        }
    }

    fn begin_append(&mut self) {
        let id = BundleId::from_uuid(uuid::Uuid::new_v4());
        if let Some(next) = self.owner.next_append(id) {
            ShardCounters::add(&self.counters.bundles, 1);
            ShardCounters::add(&self.counters.commits, next.commits as u64);
            ShardCounters::add(&self.counters.bytes, next.bytes.len() as u64);
            self.append_began = Instant::now();
            self.appending = Some(append(self.journal.clone(), next).boxed()).into();
        }
    }

    async fn appended(&mut self, sequence: Sequence) {
        self.appending = None.into();
        let micros = u64::try_from(self.append_began.elapsed().as_micros()).unwrap_or(u64::MAX);
        ShardCounters::add(&self.counters.append_micros, micros);
        let Released { answers, effects, ended, sequence } = self.owner.appended(sequence);
        if let Some(sequence) = sequence {
            ShardCounters::add(&self.counters.effects, effects.len() as u64);
            self.deliverer.deliver(sequence, effects);
        }
        for answer in answers {
            self.answer(answer).await;
        }
        for (run, status, position) in ended {
            for place in self.awaiting.remove(&run).unwrap_or_default() {
                self.reply(place, ShardReply::Ended { status, position }).await;
            }
        }
    }

    /// Decides a command, once the definition it needs is here.
    async fn submit(&mut self, caller: Caller, submission: Submission, handover: Option<&mut Handover>) {
        if let Command::Run { command: RunCommand::StartRun(start), .. } = &submission.command {
            let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
            if self.owner.shard().definition(&key, start.version).is_none() {
                return self.park((key, start.version), caller, submission);
            }
        }
        if let Some(answer) = self.owner.submit(caller, submission, now(), handover) {
            self.answer(answer).await;
        }
    }

    fn park(&mut self, needed: (WorkflowKey, DefinitionVersion), caller: Caller, submission: Submission) {
        let waiting = self.parked.entry(needed.clone()).or_default();
        waiting.push((caller, submission));
        if waiting.len() == 1 {
            let definitions = self.outlets.definitions.clone();
            let fetch = async move {
                let found = definitions.get(&needed.0, needed.1).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, workflow = %needed.0.workflow, "a definition cannot be read");
                    None
                });
                (needed, found)
            };
            self.fetches.push(fetch.boxed());
        }
    }

    async fn adopt(&mut self, needed: (WorkflowKey, DefinitionVersion), document: Option<Json>) {
        let parked = self.parked.remove(&needed).unwrap_or_default();
        if let Some(document) = document {
            let (key, version) = needed;
            let command = Command::AdoptDefinition { key, version, document };
            let submission = Submission { id: fresh_id(), command };
            if let Some(Answer { outcome: Err(error), .. }) = self.owner.submit(Caller::Nobody, submission, now(), None)
            {
                tracing::error!(%error, "a stored definition does not compile");
            }
        }
        for (caller, submission) in parked {
            if let Some(answer) = self.owner.submit(caller, submission, now(), None) {
                self.answer(answer).await;
            }
        }
    }

    async fn take_commands(&mut self, request: Request) {
        let requests: Vec<ShardRequest> = match serde_json::from_slice(&request.payload) {
            Ok(requests) => requests,
            Err(error) => return tracing::warn!(shard = %self.shard, %error, "a frame that is none"),
        };
        ShardCounters::add(&self.counters.requests, requests.len() as u64);
        let Some(frame) = open(&mut self.commands, request.reply, requests.len()) else { return };
        let overloaded = self.is_overloaded();
        for (index, request) in requests.into_iter().enumerate() {
            let place = Place { frame, index };
            match request {
                _ if overloaded => self.refuse_command(place, Rejection::Overloaded).await,
                ShardRequest::Submit(submission) => self.submit(Caller::Shard(place), *submission, None).await,
                ShardRequest::AwaitRun { run } => self.await_run(place, run).await,
            }
        }
    }

    async fn await_run(&mut self, place: Place, run: RunId) {
        if self.owner.shard().run(run).is_some() {
            return self.awaiting.entry(run).or_default().push(place);
        }
        match self.owner.ended_run(run) {
            // It ended in a bundle that is not durable yet; its release answers.
            Some((_, None)) => self.awaiting.entry(run).or_default().push(place),
            Some((status, Some(position))) => self.reply(place, ShardReply::Ended { status, position }).await,
            None => self.refuse_command(place, Rejection::Run(RunRejection::RunNotFound)).await,
        }
    }

    async fn take_work(&mut self, request: Request) {
        let frame: WorkFrame = match serde_json::from_slice(&request.payload) {
            Ok(frame) => frame,
            Err(error) => return tracing::warn!(shard = %self.shard, %error, "a worker's frame that is none"),
        };
        let WorkFrame { worker, workspace, queues, free_slots, requests } = frame;
        ShardCounters::add(&self.counters.requests, requests.len() as u64);
        let Some(frame) = open(&mut self.work, request.reply, requests.len()) else { return };
        let overloaded = self.is_overloaded();
        let mut handover = Handover { worker: worker.clone(), workspace, queues, slots: free_slots };
        for (index, request) in requests.into_iter().enumerate() {
            let place = Place { frame, index };
            match request {
                _ if overloaded => {
                    self.reply_work(place, WorkReply::Refused { rejection: Rejection::Overloaded }).await;
                }
                WorkRequest::Report { id, run, report } => {
                    self.leases.release(report.lease);
                    // Each report frees the slot its attempt had.
                    handover.slots += 1;
                    let command = Command::Run { run, command: RunCommand::ReportAttempt(report) };
                    let caller = Caller::Work { place, worker: worker.clone() };
                    self.submit(caller, Submission { id, command }, Some(&mut handover)).await;
                }
                WorkRequest::Started { run, node, attempt, lease, started_at } => {
                    let token = lease;
                    self.hold(Lease {
                        run,
                        node: node.clone(),
                        attempt,
                        token,
                        worker: worker.clone(),
                        seen: Instant::now(),
                    });
                    let id = CommandId::derived(&[b"started", run.as_uuid().as_bytes(), &lease.bits().to_be_bytes()]);
                    let worker = worker.clone();
                    let caller = Caller::Work { place, worker: worker.clone() };
                    let command = RunCommand::StartAttempt { node, attempt, lease, worker, started_at };
                    self.submit(caller, Submission { id, command: Command::Run { run, command } }, None).await;
                }
                WorkRequest::Claim { run, node, attempt, lease } => {
                    let held = Lease { run, node, attempt, token: lease, worker: worker.clone(), seen: Instant::now() };
                    let reply = self.claim(held);
                    self.reply_work(place, reply).await;
                }
                WorkRequest::Heartbeat { held } => {
                    let mut cancelled = Vec::new();
                    for held in held {
                        let token = held.lease;
                        let (run, node, attempt) = (held.run, held.node, held.attempt);
                        let lease = Lease { run, node, attempt, token, worker: worker.clone(), seen: Instant::now() };
                        if !self.hold(lease) {
                            cancelled.push(token);
                        }
                    }
                    self.reply_work(place, WorkReply::Alive { cancelled }).await;
                }
            }
        }
    }

    /// Notes who holds an attempt; says no when the attempt is not current (any more).
    fn hold(&mut self, lease: Lease) -> bool {
        let run = self.owner.shard().run(lease.run);
        let current = run.and_then(|run| run.current_lease(&lease.node)) == Some((lease.attempt, lease.token));
        if current {
            self.leases.hold(lease);
        }
        current
    }

    /// Grants an attempt to the first who asks; the holder itself may ask again.
    fn claim(&mut self, lease: Lease) -> WorkReply {
        let task = self.owner.shard().run(lease.run).and_then(|run| task_of(run, &lease.node));
        let free = self.leases.holder(lease.token).is_none_or(|holder| *holder == lease.worker);
        match task.filter(|_| free && self.hold(lease)) {
            Some(task) => WorkReply::Granted { task },
            None => WorkReply::Refused { rejection: Rejection::Run(RunRejection::StaleAttempt) },
        }
    }

    fn is_overloaded(&self) -> bool {
        self.work.waiting() + self.commands.waiting() > self.settings.requests_waiting_max + self.awaiting.len()
    }

    async fn answer(&mut self, answer: Answer<Caller>) {
        let Answer { caller, outcome } = answer;
        match caller {
            Caller::Work { place, worker } => {
                let reply = match outcome {
                    Ok(Outcome { tasks, .. }) => {
                        for task in &tasks {
                            let (run, node, worker) = (task.run, task.node.clone(), worker.clone());
                            let (attempt, token, seen) = (task.attempt, task.lease, Instant::now());
                            self.leases.hold(Lease { run, node, attempt, token, worker, seen });
                        }
                        WorkReply::Accepted { next: tasks }
                    }
                    Err(rejection) => {
                        ShardCounters::add(&self.counters.refusals, 1);
                        WorkReply::Refused { rejection }
                    }
                };
                self.reply_work(place, reply).await;
            }
            Caller::Shard(place) => match outcome {
                Ok(Outcome { position, granted, .. }) => {
                    self.reply(place, ShardReply::Done { position, granted }).await;
                }
                Err(rejection) => self.refuse_command(place, rejection).await,
            },
            Caller::Effect { ticket, submission } => {
                match outcome.err().and_then(|rejection| consequence(&submission, &rejection)) {
                    Some(submission) => {
                        let caller = Caller::Effect { ticket, submission: Box::new(submission.clone()) };
                        Box::pin(self.submit(caller, submission, None)).await;
                    }
                    None => ticket.done(),
                }
            }
            Caller::Nobody => {}
        }
    }

    async fn refuse_command(&mut self, place: Place, rejection: Rejection) {
        ShardCounters::add(&self.counters.refusals, 1);
        self.reply(place, ShardReply::Refused { rejection }).await;
    }

    async fn reply(&mut self, place: Place, reply: ShardReply) {
        if let Some(complete) = self.commands.answer(place, reply) {
            complete.send().await;
        }
    }

    async fn reply_work(&mut self, place: Place, reply: WorkReply) {
        if let Some(complete) = self.work.answer(place, reply) {
            self.send_work(complete).await;
        }
    }

    async fn send_work(&mut self, complete: Complete<WorkReply>) {
        for task in complete.send(self.outlets.broker.payload_bytes_max()).await {
            // Too much for one answer: the queue carries it, and whoever takes it asks first.
            self.leases.release(task.lease);
            let task = headwater_core::protocol::Task { claim_first: true, ..task };
            self.deliverer.deliver(Sequence::ZERO, vec![Effect::OfferTask(task)]);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let due = self.owner.shard().next_due()?;
        Some(Instant::now() + due.since(now()))
    }

    async fn fire_timers(&mut self) {
        let now = now();
        for run in self.owner.shard().due_runs(now, DUE_BURST) {
            let command = Command::Run { run, command: RunCommand::FireTimers {} };
            let submission = Submission { id: fresh_id(), command };
            if let Some(answer) = self.owner.submit(Caller::Nobody, submission, now, None) {
                self.answer(answer).await;
            }
        }
    }

    /// Finds attempts whose holders fell silent, and offers again what nobody showed up for after a take-over.
    async fn sweep(&mut self) {
        let now = Instant::now();
        for lease in self.leases.expired(now) {
            ShardCounters::add(&self.counters.attempts_lost, 1);
            let Lease { run, node, attempt, token: lease, worker, .. } = lease;
            tracing::warn!(%run, %node, %attempt, %worker, "the holder of an attempt fell silent");
            let command = Command::Run { run, command: RunCommand::LoseAttempt { node, attempt, lease } };
            self.submit(Caller::Nobody, Submission { id: fresh_id(), command }, None).await;
        }
        if self.inherited.as_ref().is_some_and(|(at, _)| *at <= now) {
            let (_, effects) = self.inherited.take().expect("it was just there");
            let effects: Vec<_> = effects.into_iter().filter(|effect| !self.is_held(effect)).collect();
            if !effects.is_empty() {
                tracing::info!(shard = %self.shard, effects = effects.len(), "offering again what is outstanding");
                self.deliverer.deliver(Sequence::ZERO, effects);
            }
        }
    }

    /// Returns whether a task needs no second offer: somebody holds it, or it is not current any more.
    fn is_held(&self, effect: &Effect) -> bool {
        match effect {
            Effect::OfferTask(task) => {
                let run = self.owner.shard().run(task.run);
                let current = run.and_then(|run| run.current_lease(&task.node)) == Some((task.attempt, task.lease));
                !current || self.leases.holder(task.lease).is_some()
            }
            Effect::CancelTasks { .. }
            | Effect::Submit(_)
            | Effect::PublishAsset(_)
            | Effect::PublishDefinition { .. } => false,
        }
    }

    /// Tells every caller to ask the next owner: it knows what became of their commands.
    async fn step_down(self) {
        let Self { owner, mut work, mut commands, awaiting, parked, outlets, .. } = self;
        let callers = owner.abandon().into_iter().chain(parked.into_values().flatten().map(|(caller, _)| caller));
        for caller in callers {
            match caller {
                Caller::Work { place, .. } => {
                    if let Some(complete) = work.answer(place, WorkReply::Refused { rejection: Rejection::NotOwner }) {
                        complete.send(outlets.broker.payload_bytes_max()).await;
                    }
                }
                Caller::Shard(place) => {
                    let refused = ShardReply::Refused { rejection: Rejection::NotOwner };
                    if let Some(complete) = commands.answer(place, refused) {
                        complete.send().await;
                    }
                }
                // Not confirmed, so the next owner sends the effect again.
                Caller::Effect { .. } | Caller::Nobody => {}
            }
        }
        for place in awaiting.into_values().flatten() {
            if let Some(complete) = commands.answer(place, ShardReply::Refused { rejection: Rejection::NotOwner }) {
                complete.send().await;
            }
        }
    }
}

/// Opens a frame; one without requests is not answered.
fn open<R>(frames: &mut Frames<R>, reply: ReplyTo, count: usize) -> Option<u64> {
    (count > 0).then(|| frames.open(reply, count))
}

fn fresh_id() -> CommandId {
    CommandId::from_uuid(uuid::Uuid::new_v4())
}
