//! Which workers there are and what they lend: tasks that wait are handed to them, and called for where there is no room. In
//! memory only: workers say it again with every frame and every heartbeat.

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Asker, Desk, Moment, Output};
use crate::credit::{Credit, Hand, Hands, Room, Standing, Term};
use crate::protocol::{Call, Handed, Hello};
use crate::run::{Grant, RunCommand};
use crate::shard::{Command, QueueKey};
use crate::{QueueName, SessionId, WorkerId, WorkspaceId};

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

    /// Hands nothing more to a session that fell silent or leaves.
    pub fn forget(&mut self, session: SessionId) {
        self.seen.remove(&session);
        self.hands.part(session);
    }

    /// Forgets whoever has not been heard for a lease's time.
    fn forget_silent(&mut self, now: Duration) {
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

    fn refresh(&mut self, hand: SessionId) {
        let Some(hand) = self.hands.get(hand) else { return };
        if hand.room.free() > 0 {
            let keys = hand.queues.iter().map(|queue| (hand.workspace.clone(), queue.clone()));
            self.refreshed.extend(keys);
        }
    }
}

impl<R, T> Desk<R, T> {
    /// Learns of a worker; whoever is new is told how it stands, so that it can lend something.
    pub(super) fn take_hello(
        &mut self,
        workspace: &WorkspaceId,
        hello: Hello,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        let Hello { protocol: _, worker, session, queues, leaving } = hello;
        if leaving {
            return self.rooms.forget(session);
        }
        let is_new = self.rooms.hands.get(session).is_none();
        if !self.rooms.hands.meet(&worker, session, workspace, &queues, self.owner.epoch()) {
            return;
        }
        self.rooms.seen.insert(session, at.steady);
        if is_new && self.is_open {
            self.greet_one(session, out);
        }
    }

    /// Tells everybody known how this shard stands with them.
    pub(super) fn greet(&mut self, out: &mut Vec<Output<R, T>>) {
        let mut known: Vec<_> = self.rooms.seen.keys().copied().collect();
        known.sort_unstable();
        known.into_iter().for_each(|session| self.greet_one(session, out));
    }

    fn greet_one(&self, session: SessionId, out: &mut Vec<Output<R, T>>) {
        let Some(hand) = self.rooms.hands.get(session) else { return };
        let (workspace, worker) = (hand.workspace.clone(), hand.worker.clone());
        let handed = Handed { shard: self.owner.shard().id(), standing: self.standing(session), tasks: Vec::new() };
        out.push(Output::Hand { workspace, worker, session, handed });
    }

    /// Learns what a worker lends. Says no where there are too many.
    pub(super) fn take_credit(
        &mut self,
        worker: &WorkerId,
        session: SessionId,
        workspace: &WorkspaceId,
        queues: &[QueueName],
        credit: Credit,
        at: Moment,
    ) -> bool {
        if !self.rooms.hands.meet(worker, session, workspace, queues, self.owner.epoch()) {
            return false;
        }
        self.rooms.seen.insert(session, at.steady);
        if let Some(room) = self.rooms.hands.room(session) {
            room.hear(credit);
        }
        self.rooms.refresh(session);
        true
    }

    /// Returns how this shard stands with a worker.
    pub(super) fn standing(&self, session: SessionId) -> Standing {
        let Some(Hand { workspace, queues, room, .. }) = self.rooms.hands.get(session) else {
            return Room::new(Term::unmet(self.owner.epoch())).standing(false);
        };
        let shard = self.owner.shard();
        let waiting = queues.iter().any(|queue| shard.waiting_for(workspace, queue) > 0);
        room.standing(waiting)
    }

    /// Grants what waits to whoever has room, each run in its turn, and calls for workers where none has.
    pub(super) fn grant(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        let mut stirred = self.owner.take_stirred();
        stirred.extend(self.rooms.refreshed.drain());
        stirred.sort_unstable();
        stirred.dedup();
        let mut unserved = Vec::new();
        for key in stirred {
            self.grant_queue(&key, at);
            if self.owner.shard().waiting_for(&key.0, &key.1) > 0 {
                unserved.push(key);
            }
        }
        self.call(unserved, at, out);
    }

    fn grant_queue(&mut self, key: &QueueKey, at: Moment) {
        loop {
            let room = self.rooms.hands.free(&key.0, &key.1);
            if room == 0 || self.owner.is_full() {
                if room > 0 {
                    // The rest when the bundle is on its way.
                    self.rooms.refreshed.insert(key.clone());
                }
                return;
            }
            let turn = self.owner.next_turn(key, room);
            if turn.is_empty() {
                return;
            }
            for (run, waiting) in turn {
                let mut grants = Vec::with_capacity(waiting.len());
                for (node, attempt) in waiting {
                    let Some(hand) = self.rooms.hands.take(&key.0, &key.1) else { break };
                    grants.push(Grant { node, attempt, worker: hand.worker.clone(), session: hand.session });
                }
                self.decide(Asker::Nobody, Command::Run { run, command: RunCommand::GrantAttempts { grants } }, at);
            }
        }
    }

    /// Calls for workers of these queues, where any are known; at once when it begins, then every second.
    fn call(&mut self, queues: Vec<QueueKey>, at: Moment, out: &mut Vec<Output<R, T>>) {
        let mut by_workspace: BTreeMap<WorkspaceId, Vec<QueueName>> = BTreeMap::new();
        for key in queues.into_iter().filter(|_| self.is_open) {
            let is_due = self.rooms.called.get(&key).is_none_or(|last| at.steady.saturating_sub(*last) >= CALL_EVERY);
            if is_due && self.rooms.hands.is_served(&key.0, &key.1) {
                self.rooms.called.insert(key.clone(), at.steady);
                let named = by_workspace.entry(key.0).or_default();
                if named.len() < CALL_QUEUES_MAX {
                    named.push(key.1);
                }
            }
        }
        let (shard, epoch) = (self.owner.shard().id(), self.owner.epoch());
        for (workspace, queues) in by_workspace {
            out.push(Output::Call { workspace, call: Call { shard, epoch, queues } });
        }
    }

    /// Forgets workers that fell silent, and calls again for what still waits.
    pub(super) fn sweep_rooms(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.rooms.forget_silent(at.steady);
        let shard = self.owner.shard();
        let mut waited_for: Vec<_> = shard.queues_waited_for().cloned().collect();
        waited_for.sort_unstable();
        self.rooms.called.retain(|key, _| shard.waiting_for(&key.0, &key.1) > 0);
        self.call(waited_for, at, out);
    }
}
