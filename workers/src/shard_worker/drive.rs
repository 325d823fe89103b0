//! What happens next in a shard: one task owns its desk, and waits for whatever comes first.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, OptionFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use headwater_core::desk::{Desk, DeskSettings, GoesOn, Input, Moment, Needed, Output};
use headwater_core::protocol::{self, Handed, Hello, Malformed, ReadFrame, ShardRequest};
use headwater_core::shard::{Awaited, Compiled, Owner, RefoldOrder, Refolded};
use headwater_core::{Json, LeaseSecret, Sequence, SessionId, ShardId, WorkspaceId};
use headwater_streams::complaints::Complaints;
use headwater_streams::journal::Journal;
use headwater_streams::journals::JetStreamJournals;
use headwater_streams::requests::{self, ReplyTo, Request, Requests};
use headwater_streams::values::ValueStore;
use headwater_streams::work::{self, Frames, HandError, Hellos, Said};
use headwater_streams::{ExchangeError, subject};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::append::{Lost, append};
use super::begin::Beginning;
use super::checkpoint::Tally;
use super::compile::compile;
use super::deliver::{Confirmed, Deliverer, Local, Outlets, Ticket};
use super::library::{Library, find};
use super::refold::refold;
use super::{QuarantineGauge, ShardCounters, ShardSettings, now};

/// Who asked for a command.
pub(super) type Caller = headwater_core::desk::Caller<Ticket>;

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

/// How often what nobody has heard is said again, at least.
const SWEEP_EVERY_MAX: Duration = Duration::from_millis(500);
/// How many frames are taken in before the loop looks for other work.
const BURST: usize = 64;
/// With how many bytes of them a burst is over: reading them takes time too.
const BURST_BYTES: usize = 1 << 20;

pub(super) struct Driver {
    shard: ShardId,
    desk: Desk<ReplyTo, Ticket>,
    /// What the desk has said and nobody has done yet.
    said: Vec<Output<ReplyTo, Ticket>>,
    /// What `Moment::steady` counts from.
    began: Instant,
    journal: Journal,
    sweep_every: Duration,
    counters: Arc<ShardCounters>,
    quarantined: QuarantineGauge,
    outlets: Outlets,
    deliverer: Deliverer,
    finding: FuturesUnordered<BoxFuture<'static, (Needed, Option<Json>)>>,
    compiling: FuturesUnordered<BoxFuture<'static, (Awaited, Vec<Compiled>)>>,
    refolding: FuturesUnordered<BoxFuture<'static, (RefoldOrder, Result<Refolded, String>)>>,
    appending: OptionFuture<BoxFuture<'static, Result<Sequence, Lost>>>,
    append_began: Instant,
    /// What the shard map is to be told with the first bundle.
    begins: Option<Beginning>,
    /// How many requests the desk has refused, as far as they are counted.
    refusals: u64,
    /// That something of a worker could not be read.
    unreadable: Complaints,
    confirmed: mpsc::UnboundedReceiver<Confirmed>,
    local: mpsc::UnboundedReceiver<Local>,
    tally: Tally,
}

impl Driver {
    pub fn new(
        journal: Journal,
        begins: Beginning,
        owner: Owner<Caller>,
        settings: ShardSettings,
        counters: Arc<ShardCounters>,
        outlets: Outlets,
        tally: Tally,
    ) -> Self {
        let shard = journal.shard();
        let (confirm, confirmed) = mpsc::unbounded_channel();
        let (local_sender, local) = mpsc::unbounded_channel();
        let toward = owner.shard().lanes().toward_others().collect();
        let deliverer = Deliverer::new(shard, outlets.clone(), confirm, local_sender, toward);
        let desk_settings = DeskSettings {
            lease_ttl: settings.lease_ttl,
            requests_waiting_max: settings.requests_waiting_max,
            message_bytes_max: outlets.broker.payload_bytes_max(),
            run_limits: settings.run_limits,
        };
        let (began, mut said) = (Instant::now(), Vec::new());
        let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
        let secret = LeaseSecret::new(uuid::Uuid::new_v4().as_u128());
        let desk = Desk::open(owner, &desk_settings, seed, secret, moment(began), &mut said);
        Self {
            shard,
            desk,
            said,
            began,
            journal,
            sweep_every: (settings.lease_ttl / 4).min(SWEEP_EVERY_MAX),
            quarantined: QuarantineGauge { counters: counters.clone(), count: 0 },
            counters,
            outlets,
            deliverer,
            finding: FuturesUnordered::new(),
            compiling: FuturesUnordered::new(),
            refolding: FuturesUnordered::new(),
            appending: None.into(),
            append_began: Instant::now(),
            begins: Some(begins),
            refusals: 0,
            unreadable: Complaints::new(),
            confirmed,
            local,
            tally,
        }
    }

    /// Drives the shard until it is lost or `shutdown` comes; then every caller is told to ask the next owner.
    pub async fn run(mut self, shutdown: CancellationToken) -> Stopped {
        // The empty bundle that opens the epoch fences every owner before, so it goes first.
        self.act().await;
        let served = async {
            let work = work::hear_frames(&self.outlets.broker, self.shard).await?;
            let commands = requests::serve(&self.outlets.broker, &subject::cmd_subject(self.shard)).await?;
            let hellos = work::hear_hellos(&self.outlets.broker).await?;
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
        work: &mut Frames,
        commands: &mut Requests,
        hellos: &mut Hellos,
        shutdown: &CancellationToken,
    ) -> Stopped {
        let mut sweep = tokio::time::interval(self.sweep_every);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let open = !self.desk.owner().is_full();
            let goes_on = self.desk.goes_on();
            let due = self.next_due();
            tokio::select! {
                Some(result) = &mut self.appending => match result {
                    Ok(sequence) => self.appended(sequence),
                    Err(lost) => return Stopped::Lost(lost),
                },
                () = shutdown.cancelled(), if !self.desk.owner().is_appending() => return Stopped::Asked,
                Some(request) = work.next_if(open) => self.take_work(request),
                Some(request) = commands.next_if(open) => self.take_commands(request),
                Some(Local { submission, ticket }) = self.local.recv(), if open => {
                    self.take(Input::Follows { submission, ticket });
                }
                Some((workspace, payload)) = hellos.next() => self.take_hello(workspace, &payload),
                Some((way, sequence)) = self.confirmed.recv() => self.take(Input::Delivered { way, sequence }),
                Some((needed, document)) = self.finding.next() => self.take(Input::Found { needed, document }),
                Some((awaited, compiled)) = self.compiling.next() => self.take(Input::Compiled { awaited, compiled }),
                Some((order, outcome)) = self.refolding.next() => self.take(Input::Refolded { order, outcome }),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && open => {
                    self.take(Input::Due);
                }
                () = std::future::ready(()), if goes_on == GoesOn::Now => self.take(Input::Continue),
                // Pending at first, so that whatever has come goes before.
                () = tokio::task::yield_now(), if goes_on == GoesOn::WhenIdle => self.take(Input::Continue),
                _ = sweep.tick() => self.take(Input::Sweep),
                () = self.deliverer.broken() => {}
            }
            self.take_ready(work, commands).await;
            // What is not on its way to the journal when the stop comes is for the next owner to decide.
            self.desk.turn(shutdown.is_cancelled(), moment(self.began), &mut self.said);
            self.act().await;
        }
    }

    /// Takes the requests that are there already, so that they go into the same bundle, or wait on the desk for a fair turn.
    async fn take_ready(&mut self, work: &mut Frames, commands: &mut Requests) {
        // Whoever reads the connection comes first, where there is more to be expected: it costs a turn of the runtime.
        if self.desk.is_worth_waiting() {
            tokio::task::yield_now().await;
        }
        let (mut taken, mut bytes) = (0, 0);
        while taken < BURST && bytes < BURST_BYTES && !self.desk.owner().is_full() {
            let before = taken;
            if let Some(frame) = work.try_next() {
                (taken, bytes) = (taken + 1, bytes + frame.payload.len());
                self.take_work(frame);
            }
            if let Some(asked) = commands.try_next() {
                (taken, bytes) = (taken + 1, bytes + asked.payload.len());
                self.take_commands(asked);
            }
            if taken == before {
                return;
            }
        }
    }

    fn take(&mut self, input: Input<ReplyTo, Ticket>) {
        self.desk.take(input, moment(self.began), &mut self.said);
    }

    fn take_hello(&mut self, workspace: WorkspaceId, payload: &[u8]) {
        match Hello::read(payload) {
            Ok(hello) => self.take(Input::Hello { workspace, hello }),
            Err(error) => self.complain(&workspace, &error),
        }
    }

    /// Counts what cannot be read.
    fn complain(&mut self, workspace: &WorkspaceId, malformed: &Malformed) {
        ShardCounters::add(&self.counters.malformed, 1);
        if let Some(count) = self.unreadable.due() {
            tracing::warn!(shard = %self.shard, %workspace, %malformed, count, "a worker cannot be understood");
        }
    }

    fn take_work(&mut self, said: Said) {
        let Said { workspace, payload, reply } = said;
        match ReadFrame::read(&payload) {
            Ok(frame) => {
                ShardCounters::add(&self.counters.requests, frame.requests.len() as u64);
                for malformed in frame.requests.iter().filter_map(|request| request.as_ref().err()) {
                    self.complain(&workspace, malformed);
                }
                self.take(Input::Work { workspace, frame, reply });
            }
            Err(malformed) => {
                self.complain(&workspace, &malformed);
                self.take(Input::Unreadable { malformed, reply });
            }
        }
    }

    fn take_commands(&mut self, request: Request) {
        match protocol::read_requests::<ShardRequest>(&request.payload) {
            Ok(requests) => {
                ShardCounters::add(&self.counters.requests, requests.len() as u64);
                self.take(Input::Commands { requests, reply: request.reply });
            }
            Err(error) => {
                static MALFORMED: Complaints = Complaints::new();
                if let Some(count) = MALFORMED.due() {
                    tracing::warn!(shard = %self.shard, %error, count, "a malformed frame");
                }
            }
        }
    }

    fn appended(&mut self, sequence: Sequence) {
        self.appending = None.into();
        let micros = u64::try_from(self.append_began.elapsed().as_micros()).unwrap_or(u64::MAX);
        ShardCounters::add(&self.counters.append_micros, micros);
        self.take(Input::Appended(sequence));
    }

    /// Does what the desk says, in its order.
    async fn act(&mut self) {
        while !self.said.is_empty() {
            for output in std::mem::take(&mut self.said) {
                self.act_on(output).await;
            }
        }
        ShardCounters::add(&self.counters.refusals, self.desk.refusals() - self.refusals);
        self.refusals = self.desk.refusals();
        self.quarantined.set(self.desk.owner().shard().quarantined().len() as u64);
    }

    async fn act_on(&mut self, output: Output<ReplyTo, Ticket>) {
        match output {
            Output::Append(next) => {
                ShardCounters::add(&self.counters.bundles, 1);
                ShardCounters::add(&self.counters.commits, next.commits as u64);
                ShardCounters::add(&self.counters.bytes, next.bytes.len() as u64);
                // Whoever recovers the shard reads the values too.
                self.tally.add(next.bytes.len() + next.values.iter().map(|it| it.value.len_bytes()).sum::<usize>());
                self.append_began = Instant::now();
                let landed = append(self.journal.clone(), ValueStore::new(&self.outlets.broker), next);
                self.appending = Some(match self.begins.take() {
                    // Nothing is answered before the map says that the journal has begun.
                    Some(begins) => begins.with(self.outlets.broker.clone(), self.shard, landed).boxed(),
                    None => landed.boxed(),
                })
                .into();
            }
            Output::Answer { reply, bytes } => answer(reply, bytes).await,
            Output::Hand { workspace, session, handed, .. } => self.hand(workspace, session, handed).await,
            Output::Call { workspace, call } => {
                if let Err(error) = work::call(&self.outlets.broker, &workspace, &call).await {
                    tracing::debug!(%error, "a call for workers is not on its way; it is said again");
                }
            }
            Output::Deliver { sequence, effects } => {
                ShardCounters::add(&self.counters.effects, effects.len() as u64);
                self.deliverer.deliver(sequence, effects);
            }
            Output::Done(ticket) => ticket.done(),
            Output::Find(needed) => {
                let definitions = self.outlets.definitions.clone();
                self.finding.push(async move { (needed.clone(), find(&definitions, &needed).await) }.boxed());
            }
            Output::Compile { awaited, documents } => {
                let library = Library::new(&self.outlets.broker);
                self.compiling.push(async move { (awaited, compile(&library, documents).await) }.boxed());
            }
            Output::Refold(order) => {
                tracing::info!(shard = %self.shard, aggregate = %order.aggregate, by = ?order.by, "folding a history anew");
                let (journals, map) = (JetStreamJournals::new(&self.outlets.broker), self.outlets.map.clone());
                let (shard, values) = (self.shard, ValueStore::new(&self.outlets.broker));
                let compiler = Library::new(&self.outlets.broker).compiler();
                let refold =
                    async move { (order.clone(), refold(&journals, &values, shard, order, map, &compiler).await) };
                self.refolding.push(refold.boxed());
            }
            Output::FellSilent { run, node, attempt, worker } => {
                ShardCounters::add(&self.counters.attempts_lost, 1);
                static SILENT: Complaints = Complaints::new();
                if let Some(count) = SILENT.due() {
                    tracing::warn!(%run, %node, %attempt, %worker, count, "the holder of an attempt fell silent");
                }
            }
            Output::Unadoptable(error) => {
                static UNADOPTABLE: Complaints = Complaints::new();
                if let Some(count) = UNADOPTABLE.due() {
                    tracing::error!(%error, count, "a stored definition does not compile");
                }
            }
        }
    }

    async fn hand(&mut self, workspace: WorkspaceId, session: SessionId, handed: Handed) {
        match work::hand(&self.outlets.broker, &workspace, session, &handed).await {
            Ok(()) => {}
            Err(HandError::Unavailable(error)) => {
                tracing::debug!(%error, "a hand-over is not on its way; it is said again");
            }
            Err(HandError::TooLarge { bytes }) => self.take(Input::TooLarge { tasks: handed.tasks, bytes }),
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let due = self.desk.owner().shard().next_due()?;
        Some(Instant::now() + due.since(now()))
    }

    /// Tells every caller to ask the next owner: it knows what became of their commands.
    async fn step_down(self) {
        let mut said = Vec::new();
        self.desk.step_down(&mut said);
        for output in said {
            if let Output::Answer { reply, bytes } = output {
                answer(reply, bytes).await;
            }
        }
    }
}

async fn answer(reply: ReplyTo, bytes: Vec<u8>) {
    if let Err(error) = reply.send(bytes.into()).await {
        tracing::debug!(%error, "an answer could not be sent; whoever asked will ask again");
    }
}

/// The time by both clocks.
fn moment(began: Instant) -> Moment {
    Moment { wall: now(), steady: began.elapsed() }
}
