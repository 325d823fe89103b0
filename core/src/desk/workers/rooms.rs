//! Which workers there are and what they lend, and when more are called for. In memory only: workers say it again with every
//! frame and every heartbeat.

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::credit::Hands;
use crate::desk::Moment;
use crate::shard::QueueKey;
use crate::{Epoch, QueueName, SessionId, WorkerId, WorkspaceId};

/// How often a shard calls for workers while it has tasks waiting and no room.
const CALL_EVERY: Duration = Duration::from_secs(1);
/// How many queues one call names.
const CALL_QUEUES_MAX: usize = 256;

/// The workers that have introduced themselves or report here.
#[derive(Debug)]
pub(super) struct Rooms {
    ttl: Duration,
    pub hands: Hands,
    seen: FxHashMap<SessionId, Duration>,
    /// The queues that have got room since tasks were last handed out.
    refreshed: FxHashSet<QueueKey>,
    /// When each queue was last called for.
    called: BTreeMap<QueueKey, Duration>,
}

impl Rooms {
    pub fn new(ttl: Duration, hands: Hands) -> Self {
        Self { ttl, hands, seen: FxHashMap::default(), refreshed: FxHashSet::default(), called: BTreeMap::new() }
    }

    /// Learns of a worker, or that it is still there. Says no where there are too many.
    pub fn meet(
        &mut self,
        worker: &WorkerId,
        session: SessionId,
        workspace: &WorkspaceId,
        queues: &[QueueName],
        epoch: Epoch,
        at: Moment,
    ) -> bool {
        let is_met = self.hands.meet(worker, session, workspace, queues, epoch);
        if is_met {
            self.seen.insert(session, at.steady);
        }
        is_met
    }

    /// Returns everybody known, in order.
    pub fn sessions(&self) -> Vec<SessionId> {
        let mut known: Vec<_> = self.seen.keys().copied().collect();
        known.sort_unstable();
        known
    }

    /// Hands nothing more to a session that fell silent or leaves.
    pub fn forget(&mut self, session: SessionId) {
        self.seen.remove(&session);
        self.hands.part(session);
    }

    /// Forgets whoever has not been heard for a lease's time.
    pub fn forget_silent(&mut self, now: Duration) {
        let ttl = self.ttl;
        let mut silent: Vec<_> = self
            .seen
            .iter()
            .filter(|(_, seen)| now.saturating_sub(**seen) > ttl)
            .map(|(session, _)| *session)
            .collect();
        silent.sort_unstable();
        silent.into_iter().for_each(|session| self.forget(session));
    }

    /// Notes which queues have got room, now that a worker has said what it lends.
    pub fn refresh(&mut self, hand: SessionId) {
        let Some(hand) = self.hands.get(hand) else { return };
        if hand.room.free() > 0 {
            let keys = hand.queues.iter().map(|queue| (hand.workspace.clone(), queue.clone()));
            self.refreshed.extend(keys);
        }
    }

    /// Notes that a queue has room that was not used.
    pub fn put_off(&mut self, key: &QueueKey) {
        self.refreshed.insert(key.clone());
    }

    pub fn take_refreshed(&mut self) -> impl Iterator<Item = QueueKey> {
        self.refreshed.drain()
    }

    /// Returns which of these queues are to be called for, and notes that they are: of more than a call names, those that were
    /// called for longest ago.
    pub fn due_calls(&mut self, queues: Vec<QueueKey>, at: Moment) -> BTreeMap<WorkspaceId, Vec<QueueName>> {
        let last = |key: &QueueKey| self.called.get(key).copied();
        let is_due = |last: Option<Duration>| last.is_none_or(|last| at.steady.saturating_sub(last) >= CALL_EVERY);
        let waits = |key: &QueueKey| is_due(last(key)) && self.hands.is_served(&key.0, &key.1);
        let mut due: Vec<_> = queues.into_iter().filter(waits).map(|key| (last(&key), key)).collect();
        due.sort_unstable();
        let mut by_workspace: BTreeMap<WorkspaceId, Vec<QueueName>> = BTreeMap::new();
        for (_, key) in due {
            let named = by_workspace.entry(key.0.clone()).or_default();
            if named.len() < CALL_QUEUES_MAX {
                named.push(key.1.clone());
                self.called.insert(key, at.steady);
            }
        }
        by_workspace
    }

    /// Forgets that queues were called for.
    pub fn forget_calls(&mut self, is_over: impl Fn(&QueueKey) -> bool) {
        self.called.retain(|key, _| !is_over(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LeaseSecret, Timestamp};

    #[test]
    fn every_queue_is_called_for_in_its_turn_however_many_wait() {
        let mut rooms = Rooms::new(Duration::from_secs(60), Hands::new(LeaseSecret::new(1)));
        let workspace: WorkspaceId = "acme".parse().unwrap();
        let at = |steady| Moment { wall: Timestamp::default(), steady };
        let mut waiting = Vec::new();
        for session in 0..13 {
            let queues: Vec<QueueName> = (0..64).map(|queue| format!("q{session}-{queue}").parse().unwrap()).collect();
            let session = SessionId::from_bits(session);
            assert!(rooms.meet(&"w".parse().unwrap(), session, &workspace, &queues, Epoch::FIRST, at(Duration::ZERO)));
            waiting.extend(queues.into_iter().map(|queue| (workspace.clone(), queue)));
        }
        let mut uncalled: Vec<_> = waiting.iter().map(|(_, queue)| queue.clone()).collect();
        // Whoever was called for is due again before the last has been.
        for sweep in 1..=4 {
            let called = rooms.due_calls(waiting.clone(), at(CALL_EVERY * sweep));
            assert!(called[&workspace].len() <= CALL_QUEUES_MAX);
            uncalled.retain(|queue| !called[&workspace].contains(queue));
        }
        assert!(uncalled.is_empty(), "{uncalled:?}");
    }
}
