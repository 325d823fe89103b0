//! One process's part in the ownership of shards.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use headwater_core::{MemberId, ShardId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::assignment::assign;
use super::leases::{self, Known, Lease};
use super::members::{Member, View};
use super::{Handover, LossReason, OwnershipChange, OwnershipConfig, OwnershipError};
use crate::acked::PublishFailure;
use crate::bucket::{Bucket, BucketWatch, Expected, Slot};
use crate::{Broker, ExchangeError, topology};

/// Signs of life within one time to live.
const HEARTBEATS_PER_TTL: u32 = 4;
/// How long one look at a table waits.
const WATCH_WAIT: Duration = Duration::from_millis(500);
/// How many batches of changes wait to be heard.
const HEARD_MAX: usize = 64;

/// One process's part in the ownership of shards.
pub struct Ownership {
    config: OwnershipConfig,
    me: Lease,
    /// Aborted with this.
    _listeners: JoinSet<()>,
    members: Bucket,
    leases: Bucket,
    heard: mpsc::Receiver<Heard>,
    /// Tables whose contents as they stood at the start have not been heard yet.
    unread: u8,
    view: View,
    known: HashMap<ShardId, Known>,
    held: HashMap<ShardId, Held>,
    /// Shards that are given up; each task ends when its shard has come to rest.
    resting: JoinSet<ShardId>,
    /// When the broker last took a sign of life of ours.
    alive_at: Instant,
    changes: mpsc::Sender<OwnershipChange>,
}

#[derive(Clone, Copy)]
enum Table {
    Members,
    Leases,
}

/// What a table says.
struct Heard {
    table: Table,
    slots: Vec<Slot>,
    /// With these, everything that stood there at the start was said.
    completes: bool,
}

/// Follows one table for as long as somebody wants to hear of it.
async fn listen(mut watch: BucketWatch, table: Table, hear: mpsc::Sender<Heard>) {
    let mut complete = false;
    loop {
        // Out of reach: nothing to say, and the heartbeat notices it too.
        let slots = watch.next(WATCH_WAIT).await.unwrap_or_default();
        let completes = !complete && watch.is_caught_up();
        complete |= completes;
        if hear.send(Heard { table, slots, completes }).await.is_err() {
            return;
        }
    }
}

/// A lease that is ours.
struct Held {
    revision: u64,
    /// Announced as lost, not yet at rest.
    giving_up: bool,
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
        let (changes, receiver) = mpsc::channel(usize::from(config.shards) * 2 + 16);
        let incarnation = uuid::Uuid::new_v4().simple().to_string();
        let members = Bucket::new(broker, topology::MEMBERS);
        let leases = Bucket::new(broker, topology::LEASES);
        let (hear, heard) = mpsc::channel(HEARD_MAX);
        let mut listeners = JoinSet::new();
        listeners.spawn(listen(members.watch(">"), Table::Members, hear.clone()));
        listeners.spawn(listen(leases.watch(">"), Table::Leases, hear));
        let mut ownership = Self {
            _listeners: listeners,
            me: Lease { member: config.member.clone(), incarnation },
            heard,
            unread: 2,
            config,
            members,
            leases,
            view: View::default(),
            known: HashMap::new(),
            held: HashMap::new(),
            resting: JoinSet::new(),
            alive_at: Instant::now(),
            changes,
        };
        ownership.heartbeat(false).await.map_err(|failure| failure.exchange("join the members"))?;
        Ok((ownership, receiver))
    }

    /// Looks after the ownership until `shutdown` resolves; then gives everything up and leaves.
    ///
    /// # Errors
    /// [`OwnershipError::ReceiverStalled`] when changes are not taken; what was held runs out by itself.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) -> Result<(), OwnershipError> {
        let mut tick = tokio::time::interval(self.config.ttl / HEARTBEATS_PER_TTL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = tick.tick() => self.beat().await?,
                Some(Ok(shard)) = self.resting.join_next(), if !self.resting.is_empty() => self.release(shard).await,
                Some(heard) = self.heard.recv() => self.hear(heard).await?,
            }
            // A view with members missing would name us for their shards.
            if self.unread == 0 {
                self.reconcile().await?;
            }
        }
        self.leave().await
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), OwnershipError> {
        let now = Instant::now();
        for slot in &heard.slots {
            match heard.table {
                Table::Members => self.view.learn(slot, now),
                Table::Leases => {
                    if let Some((shard, known)) = leases::read(slot) {
                        self.learn(shard, known).await?;
                    }
                }
            }
        }
        if heard.completes {
            self.unread -= 1;
        }
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), OwnershipError> {
        if let Err(failure) = self.heartbeat(false).await {
            tracing::warn!(error = %failure, "no sign of life given");
        }
        self.view.bury(Instant::now());
        if self.alive_at.elapsed() >= self.config.ttl {
            let held: Vec<ShardId> = self.held.keys().copied().collect();
            for shard in held {
                self.give_up(shard, LossReason::Isolated).await?;
                self.held.remove(&shard);
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, leaving: bool) -> Result<(), PublishFailure> {
        let ttl_ms = u64::try_from(self.config.ttl.as_millis()).unwrap_or(u64::MAX);
        let member = Member { incarnation: self.me.incarnation.clone(), leaving, ttl_ms };
        let bytes = serde_json::to_vec(&member).expect("a member has text keys only");
        let put = self.members.put(self.config.member.as_str(), bytes.into(), Expected::Anything);
        match tokio::time::timeout(self.config.ttl / HEARTBEATS_PER_TTL, put).await {
            Ok(put) => put?,
            Err(elapsed) => return Err(PublishFailure::Indeterminate(elapsed.into())),
        };
        self.alive_at = Instant::now();
        Ok(())
    }

    /// Takes note of what the table says of one lease.
    async fn learn(&mut self, shard: ShardId, known: Known) -> Result<(), OwnershipError> {
        if self.known.get(&shard).is_some_and(|older| older.revision > known.revision) {
            return Ok(());
        }
        let taken = self.held.get(&shard).is_some_and(|held| {
            held.revision < known.revision && known.lease.as_ref().is_some_and(|lease| *lease != self.me)
        });
        self.known.insert(shard, known);
        if taken {
            self.give_up(shard, LossReason::Taken).await?;
            self.held.remove(&shard);
        }
        Ok(())
    }

    async fn reconcile(&mut self) -> Result<(), OwnershipError> {
        let candidates = self.view.candidates();
        let mine = candidates.iter().position(|id| **id == self.config.member);
        let assigned = assign(&candidates, self.config.shards);
        if self.alive_at.elapsed() >= self.config.ttl {
            return Ok(());
        }
        for (number, owner) in (0..).zip(assigned) {
            let Ok(shard) = ShardId::new(number) else { continue };
            match (owner.is_some() && owner == mine, self.held.get(&shard)) {
                (true, None) if self.is_free(shard) => self.acquire(shard).await?,
                (false, Some(Held { giving_up: false, .. })) => self.give_up(shard, LossReason::Moved).await?,
                (true, None | Some(_)) | (false, None | Some(_)) => {}
            }
        }
        Ok(())
    }

    /// Whether nobody who lives holds the lease, or we do without knowing.
    fn is_free(&self, shard: ShardId) -> bool {
        let Some(Known { lease: Some(lease), .. }) = self.known.get(&shard) else { return true };
        *lease == self.me || lease.member == self.me.member || !self.view.lives(&lease.member, &lease.incarnation)
    }

    async fn acquire(&mut self, shard: ShardId) -> Result<(), OwnershipError> {
        let expected = self.known.get(&shard).map_or(0, |known| known.revision);
        match self.leases.put(&shard.to_string(), self.me.encode(), Expected::Revision(expected)).await {
            Ok(revision) => {
                self.known.insert(shard, Known { revision, lease: Some(self.me.clone()) });
                self.held.insert(shard, Held { revision, giving_up: false });
                self.announce(OwnershipChange::Acquired { shard, token: revision }).await
            }
            // Somebody else was first, or the answer was lost: the table will say which.
            Err(failure) => {
                tracing::debug!(%shard, error = %failure, "lease not taken");
                Ok(())
            }
        }
    }

    /// Announces a loss; the lease is released when the shard has come to rest, or after the time for that.
    async fn give_up(&mut self, shard: ShardId, reason: LossReason) -> Result<(), OwnershipError> {
        let Some(held) = self.held.get_mut(&shard) else { return Ok(()) };
        if held.giving_up {
            return Ok(());
        }
        held.giving_up = true;
        let (handover, at_rest) = oneshot::channel();
        let patience = self.config.handover_max;
        self.resting.spawn(async move {
            // Dropped or not in time: either way it is over.
            let _ = tokio::time::timeout(patience, at_rest).await;
            shard
        });
        self.announce(OwnershipChange::Lost { shard, reason, handover: Handover(Some(handover)) }).await
    }

    async fn release(&mut self, shard: ShardId) {
        // Taken or isolated: there is nothing of ours to release.
        let Some(held) = self.held.remove(&shard) else { return };
        match self.leases.remove(&shard.to_string(), Expected::Revision(held.revision)).await {
            Ok(revision) => drop(self.known.insert(shard, Known { revision, lease: None })),
            Err(failure) => tracing::debug!(%shard, error = %failure, "lease left to run out"),
        }
    }

    async fn announce(&mut self, change: OwnershipChange) -> Result<(), OwnershipError> {
        let sent = self.changes.send_timeout(change, self.config.ttl / 2).await;
        sent.map_err(|_| OwnershipError::ReceiverStalled)
    }

    async fn leave(mut self) -> Result<(), OwnershipError> {
        // Said first, so that the others assign our shards to themselves while we still hold the leases.
        let told = self.heartbeat(true).await;
        let held: Vec<ShardId> = self.held.keys().copied().collect();
        for shard in held {
            self.give_up(shard, LossReason::Stopping).await?;
        }
        let mut tick = tokio::time::interval(self.config.ttl / HEARTBEATS_PER_TTL);
        while !self.resting.is_empty() {
            tokio::select! {
                Some(Ok(shard)) = self.resting.join_next() => self.release(shard).await,
                _ = tick.tick() => drop(self.heartbeat(true).await),
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
