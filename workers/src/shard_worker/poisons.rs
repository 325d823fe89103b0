//! What made the drivers of this process panic: remembered for a while, so that the next driver leaves it alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::ShardId;
use headwater_core::shard::{Owner, Poison};
use tokio::time::Instant;

/// How many are remembered in this process; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 1024;
/// How long one is remembered by drivers that begin. What is forgotten panics once more, and is remembered anew.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// What made the drivers of this process panic. Clones share the memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Poisons {
    /// Every shard's driver writes here, when it panics, and reads when it begins.
    remembered: Arc<Mutex<VecDeque<(Instant, ShardId, Poison)>>>,
}

impl Poisons {
    /// Remembers what a driver panicked of.
    pub fn remember(&self, shard: ShardId, poison: Poison) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() == REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back((Instant::now(), shard, poison));
    }

    /// Tells an owner that has decided nothing what to leave alone. What it quarantines its first bundle says, so that is told
    /// once: whoever releases it is not contradicted.
    pub fn brief<C>(&self, shard: ShardId, owner: &mut Owner<C>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|(since, of, poison)| {
            if since.elapsed() >= REMEMBERED_FOR {
                return false;
            }
            match poison {
                _ if *of != shard => true,
                Poison::Command { aggregate, own: true, said, .. } => {
                    owner.set_aside(aggregate, format!("a command of the shard itself panicked: {said}"));
                    false
                }
                Poison::Command { id, own: false, said, .. } => {
                    owner.refuse(*id, said.clone());
                    true
                }
                // Recovery has met it again, and spared it.
                Poison::Commit { .. } => false,
            }
        });
    }
}
