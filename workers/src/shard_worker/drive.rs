//! What happens next in a shard: one task owns its state and waits for whatever comes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, OptionFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use headwater_core::protocol::{ShardReply, Task, WorkReply};
use headwater_core::run::RunCommand;
use headwater_core::shard::{Command, Effect, Owner, Released, Submission, WorkflowKey};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Json, LeaseToken, RunId, Sequence, ShardId, WorkerId};
use headwater_streams::direct::{self, Hellos};
use headwater_streams::journal::Journal;
use headwater_streams::requests::{self, Requests};
use headwater_streams::{ExchangeError, subject};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::append::{Lost, append};
use super::checkpoint::Tally;
use super::deliver::{Deliverer, Local, Outlets, Ticket};
use super::frames::{Frames, Place};
use super::leases::{Lease, Leases};
use super::rooms::Rooms;
use super::{ShardCounters, ShardSettings, now};
use crate::unique::Unique;

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
    /// A worker whose claim is refused: held, as are the next two, until that is known to be true (`SHD-4`).
    Claim(Place),
    /// A worker that holds what is not its own any more.
    Heartbeat {
        place: Place,
        cancelled: Vec<LeaseToken>,
    },
    /// Who would wait for the end of a run that is not known.
    Watcher(Place),
    /// Who asks whether the shard can append.
    Prober(Place),
    /// The shard itself: a definition to adopt.
    Adoption,
    /// The shard itself: timers, silence.
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
/// How long a question for a run's end is kept: a little longer than those who ask wait before they ask again.
pub(super) const WATCH_WAIT: Duration = Duration::from_secs(12);
/// How many runs one turn fires timers of.
const DUE_BURST: usize = 256;

/// A definition version that a start needs.
pub(super) type Needed = (WorkflowKey, DefinitionVersion);

pub(super) struct Driver {
    pub(super) shard: ShardId,
    pub(super) owner: Owner<Caller>,
    journal: Journal,
    settings: ShardSettings,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) outlets: Outlets,
    pub(super) deliverer: Deliverer,
    pub(super) work: Frames<WorkReply>,
    pub(super) commands: Frames<ShardReply>,
    pub(super) leases: Leases,
    /// The workers that can be handed tasks.
    pub(super) rooms: Rooms,
    /// Tasks to hand over when the answers are out.
    pub(super) handed: Vec<(WorkerId, Task)>,
    /// Who waits for the end of which run.
    pub(super) awaiting: HashMap<RunId, Vec<(Place, Instant)>>,
    /// Starts that wait for their definition.
    pub(super) parked: HashMap<Needed, Vec<(Caller, Submission)>>,
    fetches: FuturesUnordered<BoxFuture<'static, (Needed, Option<Json>)>>,
    appending: OptionFuture<BoxFuture<'static, Result<Sequence, Lost>>>,
    pub(super) append_began: Instant,
    /// When an append last landed.
    pub(super) appended_at: Option<Instant>,
    ids: Unique,
    confirmed: mpsc::UnboundedReceiver<Sequence>,
    local: mpsc::UnboundedReceiver<Local>,
    /// What was outstanding at the take-over, kept back until holders had time to show themselves.
    inherited: Option<(Instant, Vec<Effect>)>,
    tally: Tally,
}

impl Driver {
    pub fn new(
        journal: Journal,
        mut owner: Owner<Caller>,
        settings: ShardSettings,
        counters: Arc<ShardCounters>,
        outlets: Outlets,
        tally: Tally,
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
                // The owner before may have offered these tasks: whoever takes one asks first.
                let claimed = |effect| match effect {
                    Effect::OfferTask(task) => Effect::OfferTask(Task { claim_first: true, ..task }),
                    other => other,
                };
                deliverer.deliver(sequence, effects.into_iter().map(claimed).collect());
            }
        }
        Self {
            shard,
            owner,
            journal,
            leases: Leases::new(settings.lease_ttl),
            rooms: Rooms::new(settings.lease_ttl),
            handed: Vec::new(),
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
            appended_at: None,
            ids: Unique::new(),
            confirmed,
            local,
            inherited,
            tally,
        }
    }

    /// Drives the shard until it is lost or `shutdown` comes; then every caller is told to ask the next owner.
    pub async fn run(mut self, shutdown: CancellationToken) -> Stopped {
        // The empty bundle that opens the epoch fences every owner before, so it goes first.
        self.begin_append();
        let served = async {
            let work = requests::serve(&self.outlets.broker, &subject::work_subject(self.shard)).await?;
            let commands = requests::serve(&self.outlets.broker, &subject::cmd_subject(self.shard)).await?;
            let hellos = direct::hear(&self.outlets.broker).await?;
            Ok((work, commands, hellos))
        };
        let (mut work, mut commands, mut hellos) = match served.await {
            Ok(both) => both,
            Err(error) => return Stopped::Serve(error),
        };
        let stopped = self.turn_until_stopped(&mut work, &mut commands, &mut hellos, &shutdown).await;
        work.stop().await;
        commands.stop().await;
        self.step_down().await;
        stopped
    }

    async fn turn_until_stopped(
        &mut self,
        work: &mut Requests,
        commands: &mut Requests,
        hellos: &mut Hellos,
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
                    self.submit(caller, submission);
                }
                Some(hello) = hellos.next() => self.rooms.hear(hello, self.outlets.map.shards),
                Some(sequence) = self.confirmed.recv() => self.owner.effects_delivered(sequence),
                Some((key, document)) = self.fetches.next() => self.adopt(key, document),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && open => {
                    self.fire_timers();
                }
                _ = sweep.tick() => self.sweep().await,
                () = self.deliverer.broken() => {}
            }
            self.hand_over().await;
            // What is not on its way to the journal when the stop comes is for the next owner to decide.
            if !shutdown.is_cancelled() {
                self.begin_append();
            }
        }
    }

    fn begin_append(&mut self) {
        let id = BundleId::from_uuid(self.ids.next());
        if let Some(next) = self.owner.next_append(id) {
            ShardCounters::add(&self.counters.bundles, 1);
            ShardCounters::add(&self.counters.commits, next.commits as u64);
            ShardCounters::add(&self.counters.bytes, next.bytes.len() as u64);
            self.tally.add(next.bytes.len());
            self.append_began = Instant::now();
            self.appending = Some(append(self.journal.clone(), next).boxed()).into();
        }
    }

    async fn appended(&mut self, sequence: Sequence) {
        self.appending = None.into();
        self.appended_at = Some(Instant::now());
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
            for (place, _) in self.awaiting.remove(&run).unwrap_or_default() {
                self.reply(place, ShardReply::Ended { status, position }).await;
            }
        }
    }

    /// Decides a command, once the definition it needs is here.
    pub(super) fn submit(&mut self, caller: Caller, submission: Submission) {
        if let Command::Run { command: RunCommand::StartRun(start), .. } = &submission.command {
            let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
            if self.owner.shard().definition(&key, start.version).is_none() {
                return self.park((key, start.version), caller, submission);
            }
        }
        self.owner.submit(caller, submission, now(), self.rooms.hands());
    }

    fn park(&mut self, needed: Needed, caller: Caller, submission: Submission) {
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

    fn adopt(&mut self, needed: Needed, document: Option<Json>) {
        let parked = self.parked.remove(&needed).unwrap_or_default();
        if let Some(document) = document {
            let (key, version) = needed;
            let command = Command::AdoptDefinition { key, version, document };
            let submission = Submission { id: self.fresh_id(), command };
            self.owner.submit(Caller::Adoption, submission, now(), &mut []);
        }
        for (caller, submission) in parked {
            self.owner.submit(caller, submission, now(), self.rooms.hands());
        }
    }

    pub(super) fn is_overloaded(&self) -> bool {
        // Who waits for a run's end waits long, and costs next to nothing.
        let watching: usize = self.awaiting.values().map(Vec::len).sum();
        self.work.waiting() + self.commands.waiting() > self.settings.requests_waiting_max + watching
    }

    fn next_due(&self) -> Option<Instant> {
        let due = self.owner.shard().next_due()?;
        Some(Instant::now() + due.since(now()))
    }

    fn fire_timers(&mut self) {
        let now = now();
        for run in self.owner.shard().due_runs(now, DUE_BURST) {
            let command = Command::Run { run, command: RunCommand::FireTimers {} };
            let submission = Submission { id: self.fresh_id(), command };
            self.owner.submit(Caller::Nobody, submission, now, self.rooms.hands());
        }
    }

    /// Finds attempts whose holders fell silent, and offers again what nobody showed up for after a take-over.
    async fn sweep(&mut self) {
        let now = Instant::now();
        self.rooms.forget_silent(now);
        self.let_watchers_ask_again(now).await;
        for lease in self.leases.expired(now) {
            self.rooms.forget(&lease.worker);
            ShardCounters::add(&self.counters.attempts_lost, 1);
            let Lease { run, node, attempt, token: lease, worker, .. } = lease;
            tracing::warn!(%run, %node, %attempt, %worker, "the holder of an attempt fell silent");
            let command = Command::Run { run, command: RunCommand::LoseAttempt { node, attempt, lease } };
            let submission = Submission { id: self.fresh_id(), command };
            self.submit(Caller::Nobody, submission);
        }
        if self.inherited.as_ref().is_some_and(|(at, _)| *at <= now) {
            let (_, before) = self.inherited.take().expect("it was just there");
            let is_held = |task: &Task| self.leases.holder(task.lease).is_some();
            let effects = self.owner.shard().still_outstanding(before, is_held);
            if !effects.is_empty() {
                tracing::info!(shard = %self.shard, effects = effects.len(), "offering again what is outstanding");
                self.deliverer.deliver(Sequence::ZERO, effects);
            }
        }
    }

    fn fresh_id(&mut self) -> CommandId {
        CommandId::from_uuid(self.ids.next())
    }
}
