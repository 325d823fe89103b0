//! Who holds which attempt, who has not spoken of it yet, and who fell silent. Which attempts are granted is folded; when
//! their holders last spoke is known in memory only, so a new owner gives everybody a full lease. Times are the
//! steady clock's.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::desk::{Moment, Output};
use crate::run::{Run, RunCommand};
use crate::shard::Command;
use crate::{Attempt, LeaseToken, NodeAddress, RunId, SessionId, WorkerId};

/// After how long a hand-over that nobody spoke of is repeated.
const REPEAT_AFTER: Duration = Duration::from_secs(1);
/// Within which time a worker is quick with a task, its ways included.
const QUICK: Duration = Duration::from_millis(100);

/// An attempt that some worker holds.
#[derive(Debug, Clone)]
pub(in crate::desk) struct Lease {
    pub run: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub token: LeaseToken,
    pub worker: WorkerId,
    /// Absent where an older release granted it.
    pub session: Option<SessionId>,
    /// When its holder was given it, or this owner took it over.
    pub given: Duration,
    /// When its holder last spoke of it, or was given it.
    pub seen: Duration,
    /// When it was last handed over; absent once its holder has spoken of it.
    pub unheard_since: Option<Duration>,
}

impl Lease {
    /// What it means that its holder has been silent for too long, and what is said of it.
    pub fn lost<R, T>(self) -> (Command, Output<R, T>) {
        let Self { run, node, attempt, token, worker, .. } = self;
        let command = RunCommand::LoseAttempt { node: node.clone(), attempt, lease: token };
        (Command::Run { run, command }, Output::FellSilent { run, node, attempt, worker })
    }
}

/// All attempts that workers of this shard hold.
#[derive(Debug)]
pub(super) struct Leases {
    ttl: Duration,
    by_token: FxHashMap<LeaseToken, Lease>,
}

impl Leases {
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, by_token: FxHashMap::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.by_token.is_empty()
    }

    pub fn hold(&mut self, lease: Lease) {
        self.by_token.insert(lease.token, lease);
    }

    /// Gives whoever holds attempts of a run a full lease to show itself; it is told again what it may not have heard.
    pub fn hold_all(&mut self, run: &Run, at: Moment) {
        for held in run.held() {
            self.hold(Lease {
                run: run.id(),
                node: held.node,
                attempt: held.attempt,
                token: held.lease,
                worker: held.worker,
                session: held.session,
                given: at.steady,
                seen: at.steady,
                unheard_since: Some(at.steady),
            });
        }
    }

    pub fn get_mut(&mut self, token: LeaseToken) -> Option<&mut Lease> {
        self.by_token.get_mut(&token)
    }

    /// Returns whether its holder was given it just now.
    pub fn is_fresh(&self, token: LeaseToken, now: Duration) -> bool {
        self.by_token.get(&token).is_some_and(|lease| now.saturating_sub(lease.given) <= QUICK)
    }

    pub fn release(&mut self, token: LeaseToken) -> Option<Lease> {
        self.by_token.remove(&token)
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

    /// Returns the leases whose holders have not spoken of them for a while, and notes that they are told again.
    pub fn unheard(&mut self, now: Duration) -> Vec<Lease> {
        let is_due = |since: Duration| now.saturating_sub(since) >= REPEAT_AFTER;
        let due = self.by_token.values_mut().filter(|lease| lease.unheard_since.is_some_and(is_due));
        let mut due: Vec<_> = due
            .map(|lease| {
                lease.unheard_since = Some(now);
                lease.clone()
            })
            .collect();
        due.sort_unstable_by_key(|lease| lease.token);
        due
    }
}
