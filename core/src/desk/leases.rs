//! Who holds which attempt, and who fell silent. Kept in memory only: a new owner gives everybody a full lease. Times are
//! the steady clock's.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::{Attempt, LeaseToken, NodeId, RunId, WorkerId};

/// An attempt that some worker holds.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub run: RunId,
    pub node: NodeId,
    pub attempt: Attempt,
    pub token: LeaseToken,
    pub worker: WorkerId,
    pub seen: Duration,
}

/// All attempts that workers of this shard are known to hold.
#[derive(Debug)]
pub(super) struct Leases {
    ttl: Duration,
    by_token: FxHashMap<LeaseToken, Lease>,
}

impl Leases {
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, by_token: FxHashMap::default() }
    }

    pub fn hold(&mut self, lease: Lease) {
        self.by_token.insert(lease.token, lease);
    }

    pub fn release(&mut self, token: LeaseToken) {
        self.by_token.remove(&token);
    }

    pub fn holder(&self, token: LeaseToken) -> Option<&WorkerId> {
        self.by_token.get(&token).map(|lease| &lease.worker)
    }

    /// Takes out the leases whose holders have been silent for too long.
    pub fn expired(&mut self, now: Duration) -> Vec<Lease> {
        let ttl = self.ttl;
        let silent = |lease: &Lease| now.saturating_sub(lease.seen) > ttl;
        let mut tokens: Vec<_> =
            self.by_token.values().filter(|lease| silent(lease)).map(|lease| lease.token).collect();
        // In an order that does not depend on a table's.
        tokens.sort_unstable();
        tokens.into_iter().filter_map(|token| self.by_token.remove(&token)).collect()
    }
}
