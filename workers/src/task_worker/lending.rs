//! What a worker says of itself, so that shards know whom to hand tasks to, and what it lends them.

use std::time::Duration;

use headwater_core::protocol::{Hello, PROTOCOL};
use headwater_streams::work;
use tokio::time::Instant;

use super::drive::TaskWorker;
use super::outbox::Outbox;

/// How long to wait for other shards when the first is heard, so that what is lent first is not all lent to one that is quick.
const ACQUAINTANCE: Duration = Duration::from_millis(20);
/// How long the same shards come first where more wait than slots can be lent to at once.
const TURN: Duration = Duration::from_millis(25);

impl TaskWorker {
    /// Notes that a shard was heard.
    pub(super) fn begin_to_lend(&mut self) {
        self.lends_at.get_or_insert_with(|| Instant::now() + ACQUAINTANCE);
    }

    /// Shares out the slots that are free, and has the shards told.
    pub(super) fn lend(&mut self) {
        let told = if self.stopping {
            self.lender.close()
        } else if self.lends_at.is_none_or(|at| at > Instant::now()) {
            return;
        } else {
            let free = self.settings.slots.saturating_sub(self.attempts.wanting());
            let turn = self.began.elapsed().as_millis() / TURN.as_millis();
            self.lender.share(free as u64, &self.freed, turn as u64)
        };
        self.freed.clear();
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
