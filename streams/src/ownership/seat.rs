//! One process's part in the ownership of shards: carries out what the rules say, and tells them what came of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use headwater_core::ownership::{Heard, Peer, Seat, Step};
use headwater_core::{MemberId, ShardId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::leases::{self, Known, Lease};
use super::members::{Member, View};
use super::{Handover, OwnershipChange, OwnershipConfig, OwnershipError};
use crate::acked::PublishFailure;
use crate::bucket::{Bucket, BucketWatch, Expected, Slot};
use crate::duty::{self, Duty};
use crate::topology::Passing;
use crate::{Broker, ExchangeError, topology};

/// Signs of life within one time to live.
const HEARTBEATS_PER_TTL: u32 = 4;
/// How long one look at a table waits.
const WATCH_WAIT: Duration = Duration::from_millis(500);
/// How many batches of changes wait to be heard.
const NEWS_MAX: usize = 64;

/// One process's part in the ownership of shards.
pub struct Ownership {
    config: OwnershipConfig,
    me: Lease,
    seat: Seat,
    listeners: JoinSet<()>,
    members: Bucket,
    leases: Bucket,
    news: mpsc::Receiver<News>,
    /// Tables whose contents as they stood at the start have not been heard yet.
    unread: u8,
    view: View,
    /// Who the rules were last told to live.
    told: Vec<Peer>,
    /// Questions to the table of leases, and drivers that are to come to rest.
    pending: JoinSet<Vec<Heard>>,
    /// Drivers that take too long to come to rest.
    late: (mpsc::Sender<Heard>, mpsc::Receiver<Heard>),
    unfit: BTreeMap<ShardId, Instant>,
    reports: (mpsc::Sender<ShardId>, mpsc::Receiver<ShardId>),
    /// When the broker last took a sign of life of ours.
    alive_at: Instant,
    leaving: bool,
    changes: mpsc::Sender<OwnershipChange>,
    /// Resolves when a table was made anew: what is known here stood in another one.
    remade: oneshot::Receiver<()>,
}

/// Tells the ownership of a process that it cannot drive a shard. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Unfit(mpsc::Sender<ShardId>);

impl Unfit {
    /// Leaves the shard to another process for a while, if there is another. Never waits.
    pub fn report(&self, shard: ShardId) {
        // One that does not fit is reported again after the next failure.
        let _ = self.0.try_send(shard);
    }
}

#[derive(Clone, Copy)]
enum Table {
    Members,
    Leases,
}

/// What a table says.
struct News {
    table: Table,
    slots: Vec<Slot>,
    /// With these, everything that stood there at the start was said.
    completes: bool,
}

/// Follows one table for as long as somebody wants to hear of it.
async fn listen(mut watch: BucketWatch, table: Table, tell: mpsc::Sender<News>) {
    let mut complete = false;
    loop {
        // Out of reach: nothing to say, and the heartbeat notices it too.
        let slots = watch.next(WATCH_WAIT).await.unwrap_or_default();
        let completes = !complete && watch.is_caught_up();
        complete |= completes;
        if tell.send(News { table, slots, completes }).await.is_err() {
            return;
        }
    }
}

/// Makes the tables anew wherever they are missing, and tells once that one is not the one it was.
async fn keep_tables(broker: Broker, known: Passing, every: Duration, tell: oneshot::Sender<()>) {
    loop {
        tokio::time::sleep(every).await;
        match Passing::keep(&broker).await {
            Ok(found) if found != known => break,
            Ok(_) => {}
            // It says nothing of the tables, and the heartbeat notices too.
            Err(error) => tracing::debug!(%error, "whether the tables of members and leases are there is not known"),
        }
    }
    // Nobody who does not listen any more needs to know.
    let _ = tell.send(());
}

impl Ownership {
    /// Joins the members and returns the channel on which changes will come. Call [`Self::run`] to begin.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn join(
        broker: &Broker,
        config: OwnershipConfig,
    ) -> Result<(Self, mpsc::Receiver<OwnershipChange>), ExchangeError> {
        let capacity = usize::from(config.shards) * 2 + 16;
        let (changes, receiver) = mpsc::channel(capacity);
        let me = Lease { member: config.member.clone(), incarnation: uuid::Uuid::new_v4().simple().to_string() };
        let members = Bucket::new(broker, topology::MEMBERS);
        let leases = Bucket::new(broker, topology::LEASES);
        let (tell, news) = mpsc::channel(NEWS_MAX);
        let known = Passing::keep(broker).await?;
        let (tell_remade, remade) = oneshot::channel();
        let mut listeners = JoinSet::new();
        let every = config.ttl / HEARTBEATS_PER_TTL;
        listeners.spawn(keep_tables(broker.clone(), known, every, tell_remade));
        listeners.spawn(listen(members.watch(">"), Table::Members, tell.clone()));
        listeners.spawn(listen(leases.watch(">"), Table::Leases, tell));
        let mut ownership = Self {
            seat: Seat::new(me.clone().into(), config.shards),
            me,
            config,
            listeners,
            members,
            leases,
            news,
            unread: 2,
            view: View::default(),
            told: Vec::new(),
            pending: JoinSet::new(),
            late: mpsc::channel(capacity),
            unfit: BTreeMap::new(),
            reports: mpsc::channel(capacity),
            alive_at: Instant::now(),
            leaving: false,
            changes,
            remade,
        };
        ownership.heartbeat().await.map_err(|failure| failure.exchange("join the members"))?;
        Ok((ownership, receiver))
    }

    /// Returns what tells it of shards that this process cannot drive.
    pub fn unfit(&self) -> Unfit {
        Unfit(self.reports.0.clone())
    }

    /// Looks after the ownership until `shutdown` resolves; then gives everything up and leaves.
    ///
    /// # Errors
    /// [`OwnershipError::ReceiverStalled`] when changes are not taken; what was held runs out by itself.
    /// [`OwnershipError::TablesRemade`]: let everything go that was acquired, and join again.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) -> Result<(), OwnershipError> {
        let mut tick = tokio::time::interval(self.config.ttl / HEARTBEATS_PER_TTL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = tick.tick() => self.beat().await?,
                event = self.event() => self.take_in(event).await?,
            }
        }
        self.leave().await
    }

    /// Waits for whatever comes next, but the clock.
    async fn event(&mut self) -> Event {
        loop {
            tokio::select! {
                Some(done) = self.pending.join_next() => return Event::Heard(unpanicked(done)),
                Some(overdue) = self.late.1.recv() => return Event::Heard(vec![overdue]),
                Some(news) = self.news.recv() => return Event::News(news),
                Some(shard) = self.reports.1.recv() => return Event::Unfit(shard),
                Ok(()) = &mut self.remade => return Event::Remade,
                Some(ended) = self.listeners.join_next() => unpanicked(ended),
            }
        }
    }

    async fn take_in(&mut self, event: Event) -> Result<(), OwnershipError> {
        match event {
            Event::Heard(heard) => {
                for heard in heard {
                    self.hear(heard).await?;
                }
                Ok(())
            }
            Event::News(news) => self.learn(news).await,
            Event::Remade => Err(OwnershipError::TablesRemade),
            Event::Unfit(shard) => {
                tracing::warn!(%shard, "this process cannot drive the shard, and leaves it to another for a while");
                self.unfit.insert(shard, Instant::now() + self.config.unfit_for);
                self.beat().await
            }
        }
    }

    async fn learn(&mut self, News { table, slots, completes }: News) -> Result<(), OwnershipError> {
        let now = Instant::now();
        for slot in &slots {
            match table {
                Table::Members => self.view.learn(slot, now),
                Table::Leases => {
                    if let Some((shard, Known { revision, lease })) = leases::read(slot) {
                        self.hear(Heard::Lease { shard, revision, holder: lease.map(Into::into) }).await?;
                    }
                }
            }
        }
        self.tell_who_lives().await?;
        if completes {
            self.unread -= 1;
            if self.unread == 0 {
                self.hear(Heard::Informed).await?;
            }
        }
        Ok(())
    }

    async fn tell_who_lives(&mut self) -> Result<(), OwnershipError> {
        let peers = self.view.peers();
        if peers == self.told {
            return Ok(());
        }
        self.told.clone_from(&peers);
        self.hear(Heard::Members(peers)).await
    }

    async fn beat(&mut self) -> Result<(), OwnershipError> {
        self.unfit.retain(|_, until| Instant::now() < *until);
        if let Err(failure) = self.heartbeat().await {
            tracing::warn!(error = %failure, "no sign of life given");
        }
        let silent = self.alive_at.elapsed() >= self.config.ttl;
        self.hear(if silent { Heard::Silent } else { Heard::Alive }).await?;
        self.view.bury(Instant::now());
        self.tell_who_lives().await?;
        self.hear(Heard::Tick).await
    }

    async fn heartbeat(&mut self) -> Result<(), PublishFailure> {
        let ttl_ms = u64::try_from(self.config.ttl.as_millis()).unwrap_or(u64::MAX);
        let unfit = self.unfit.keys().copied().collect();
        let member = Member { incarnation: self.me.incarnation.clone(), leaving: self.leaving, ttl_ms, unfit };
        let bytes = serde_json::to_vec(&member).expect("a member has text keys only");
        let put = self.members.put(self.config.member.as_str(), bytes.into(), Expected::Anything);
        match tokio::time::timeout(self.config.ttl / HEARTBEATS_PER_TTL, put).await {
            Ok(put) => put?,
            Err(elapsed) => return Err(PublishFailure::Indeterminate(elapsed.into())),
        };
        self.alive_at = Instant::now();
        Ok(())
    }

    /// Tells the rules, and does what they say.
    async fn hear(&mut self, heard: Heard) -> Result<(), OwnershipError> {
        for step in self.seat.hear(heard) {
            match step {
                Step::Take { shard, expected } => {
                    let (leases, value) = (self.leases.clone(), self.me.encode());
                    self.ask(shard, async move {
                        leases.put(&shard.to_string(), value, Expected::Revision(expected)).await
                    });
                }
                Step::Release { shard, expected } => {
                    let leases = self.leases.clone();
                    self.ask(
                        shard,
                        async move { leases.remove(&shard.to_string(), Expected::Revision(expected)).await },
                    );
                }
                Step::Drive { shard, tenure } => self.announce(OwnershipChange::Acquired { shard, tenure }).await?,
                Step::Stop { shard, tenure, reason } => {
                    let (handover, mut at_rest) = oneshot::channel::<()>();
                    let (patience, late) = (self.config.handover_max, self.late.0.clone());
                    self.pending.spawn(async move {
                        if tokio::time::timeout(patience, &mut at_rest).await.is_err() {
                            // Nobody who does not listen any more needs to know.
                            let _ = late.send(Heard::Overdue { shard, tenure }).await;
                            let _ = at_rest.await;
                        }
                        vec![Heard::Rested { shard, tenure }]
                    });
                    let handover = Handover(Some(handover));
                    self.announce(OwnershipChange::Lost { shard, tenure, reason, handover }).await?;
                }
            }
        }
        Ok(())
    }

    /// Changes the table of leases beside everything else: the broker may take its time.
    fn ask(&mut self, shard: ShardId, change: impl Future<Output = Result<u64, PublishFailure>> + Send + 'static) {
        self.pending.spawn(async move {
            let heard = match duty::attempt(Duty::Ownership, change).await {
                Ok(Ok(revision)) => Heard::Landed { shard, revision },
                // Somebody else was first, or the answer was lost: the table will say which.
                Ok(Err(failure)) => {
                    tracing::debug!(%shard, error = %failure, "a lease is not changed, as far as is known");
                    Heard::Unclear { shard }
                }
                Err(duty::Panicked(_)) => Heard::Unclear { shard },
            };
            vec![heard]
        });
    }

    async fn announce(&mut self, change: OwnershipChange) -> Result<(), OwnershipError> {
        let sent = self.changes.send_timeout(change, self.config.ttl / 2).await;
        sent.map_err(|_| OwnershipError::ReceiverStalled)
    }

    async fn leave(mut self) -> Result<(), OwnershipError> {
        // Said first, so that the others assign our shards to themselves while we still hold the leases.
        self.leaving = true;
        let told = self.heartbeat().await;
        self.hear(Heard::Leave).await?;
        let mut tick = tokio::time::interval(self.config.ttl / HEARTBEATS_PER_TTL);
        let deadline = tokio::time::sleep(self.config.handover_max + self.config.ttl);
        let mut deadline = std::pin::pin!(deadline);
        while !self.seat.is_empty() {
            tokio::select! {
                () = &mut deadline => break,
                event = self.event() => self.take_in(event).await?,
                _ = tick.tick() => self.beat().await?,
            }
        }
        let gone = self.members.remove(self.config.member.as_str(), Expected::Anything).await;
        if let Err(failure) = told.and(gone.map(drop)) {
            tracing::debug!(error = %failure, "left without a word; the others will notice");
        }
        Ok(())
    }

    /// Returns who we are.
    pub fn member(&self) -> &MemberId {
        &self.config.member
    }
}

enum Event {
    Heard(Vec<Heard>),
    News(News),
    Unfit(ShardId),
    Remade,
}

/// Panics with what a task panicked with: without it the ownership would not hear of something for ever.
fn unpanicked<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    match ended {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(match error.try_into_panic() {
            Ok(panic) => panic,
            Err(error) => Box::new(error.to_string()),
        }),
    }
}
