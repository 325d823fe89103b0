//! What a worker says of itself, so that shards know whom to hand tasks to, and what it lends them.

use std::time::Duration;

use headwater_core::ShardId;
use headwater_core::credit::Lender;
use headwater_core::protocol::{Hello, PROTOCOL};
use headwater_streams::work;
use tokio::time::Instant;

use super::drive::TaskWorker;
use super::outbox::Outbox;

/// How long to wait for other shards when the first is heard, so that what is lent first is not all lent to one that is quick.
const ACQUAINTANCE: Duration = Duration::from_millis(20);
/// How long the same shards come first where more wait than slots can be lent to at once.
const TURN: Duration = Duration::from_millis(25);

/// What a worker lends of its slots, and when.
pub(super) struct Lending {
    pub(super) lender: Lender,
    began: Instant,
    /// When it begins, once a shard was heard.
    begins_at: Option<Instant>,
    /// The shards whose tasks have left a slot since something was last lent.
    freed: Vec<ShardId>,
}

impl Lending {
    pub fn new(slots: usize) -> Self {
        Self { lender: Lender::new(slots as u64), began: Instant::now(), begins_at: None, freed: Vec::new() }
    }

    /// Notes that a shard was heard.
    pub fn begin(&mut self) {
        self.begins_at.get_or_insert_with(|| Instant::now() + ACQUAINTANCE);
    }

    /// Returns when it begins, if that is to come.
    pub fn due_at(&self) -> Option<Instant> {
        self.begins_at.filter(|at| *at > Instant::now())
    }

    /// Notes that a task of a shard has left its slot.
    pub fn free(&mut self, shard: ShardId) {
        self.freed.push(shard);
    }

    /// Shares out so many free slots; returns the shards to tell.
    fn share(&mut self, free: usize) -> Vec<ShardId> {
        if self.begins_at.is_none_or(|at| at > Instant::now()) {
            return Vec::new();
        }
        let turn = self.began.elapsed().as_millis() / TURN.as_millis();
        let told = self.lender.share(free as u64, &self.freed, turn as u64);
        self.freed.clear();
        told
    }

    /// Lends nothing more; returns the shards to tell.
    fn close(&mut self) -> Vec<ShardId> {
        self.freed.clear();
        self.lender.close()
    }
}

impl TaskWorker {
    /// Shares out the slots that are free, and has the shards told.
    pub(super) fn lend(&mut self) {
        let told = if self.stopping {
            self.lending.close()
        } else {
            self.lending.share(self.settings.slots.saturating_sub(self.attempts.wanting()))
        };
        for shard in told {
            self.outboxes.entry(shard).or_insert_with(Outbox::new).tell();
        }
    }

    /// Tells every shard that this worker is there, or that it takes nothing more. Who misses it hears the next.
    pub(super) async fn introduce(&mut self) {
        let hello = Hello {
            protocol: PROTOCOL,
            worker: self.settings.worker.clone(),
            session: self.settings.session,
            queues: self.queues.clone(),
            leaving: self.stopping,
        };
        if let Err(error) = work::introduce(&self.broker, &self.settings.workspace, &hello).await {
            tracing::debug!(%error, "the shards did not hear of this worker");
        }
    }
}
