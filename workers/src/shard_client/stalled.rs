//! Which shards are known to have an append that does not land: what would wait for them in vain is not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_core::ShardId;

use super::{ClientError, ShardClient};

/// How long a command waits for its answer until its shard is asked whether it can append.
const ASK_AFTER: Duration = Duration::from_secs(2);
/// How often a shard that cannot is asked again.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a broker may store nothing of what this process publishes. Elections are over sooner.
pub const STORES_NOTHING_MIN: Duration = Duration::from_secs(5);

/// For how long each shard has been trying to append, in milliseconds, by shard; zero: as far as is known it can.
#[derive(Debug, Clone)]
pub(super) struct Stalls(Arc<[AtomicU64]>);

impl Stalls {
    pub fn new(shards: u16) -> Self {
        Self((0..shards).map(|_| AtomicU64::new(0)).collect())
    }

    fn at(&self, shard: ShardId) -> Option<&AtomicU64> {
        self.0.get(usize::from(shard.number()))
    }
}

impl ShardClient {
    /// Refuses what is meant for a shard that is known to store nothing now. It was not sent, so it did not happen.
    pub(super) fn refuse_stalled(&self, shard: ShardId) -> Result<(), ClientError> {
        // Where it stores nothing for anybody, the shard has lost its owner too.
        if let Some(nothing_for) = self.broker.stores_nothing_for().filter(|span| *span >= STORES_NOTHING_MIN) {
            let millis = u64::try_from(nothing_for.as_millis()).unwrap_or(u64::MAX);
            return Err(ClientError::Stalled { shard, millis });
        }
        match self.stalls.at(shard).map_or(0, |stall| stall.load(Ordering::Relaxed)) {
            0 => Ok(()),
            millis => Err(ClientError::Stalled { shard, millis }),
        }
    }

    /// Asks the shard of a command that waits long whether it can append. What comes after is refused until it can; the
    /// command itself may be on its way, and waits on.
    pub(super) async fn look_for_stall(&self, shard: ShardId) -> ! {
        loop {
            tokio::time::sleep(ASK_AFTER).await;
            let Some(millis) = self.stall_of(shard).await else { continue };
            let Some(stall) = self.stalls.at(shard) else { continue };
            if stall.swap(millis, Ordering::Relaxed) == 0 {
                tokio::spawn(self.clone().watch_stall(shard));
            }
        }
    }

    /// Asks a shard again and again until it can append, or nobody says that it cannot.
    async fn watch_stall(self, shard: ShardId) {
        let Some(stall) = self.stalls.at(shard) else { return };
        while let Some(millis) = self.stall_of(shard).await {
            stall.store(millis, Ordering::Relaxed);
            tokio::time::sleep(ASK_EVERY).await;
        }
        stall.store(0, Ordering::Relaxed);
    }

    async fn stall_of(&self, shard: ShardId) -> Option<u64> {
        match self.told_epoch(shard, false, ASK_EVERY).await {
            Ok((_, stalled)) => stalled,
            Err(_) => None,
        }
    }
}
