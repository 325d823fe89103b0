//! The workers of a shard, as its owner knows them: what they lend, what they hold, what is on its way to them.
//!
//! | file | question |
//! |---|---|
//! | `rooms` | which workers there are, and when more are called for |
//! | `leases` | who holds which attempt, who must be told again, and who fell silent |
//! | `handing` | how tasks reach the workers they were granted to |
//! | `hearing` | what workers say of attempts, and what it means |

mod handing;
mod hearing;
mod leases;
mod rooms;

use std::collections::BTreeMap;

pub(super) use hearing::{Heard, Speaker};
pub(super) use leases::Lease;

use leases::Leases;
use rooms::Rooms;

use super::{DeskSettings, Moment, Output};
use crate::credit::{Hand, Hands, Room, Standing, Term};
use crate::protocol::{Call, Handed, Hello, ReadFrame, Task};
use crate::run::{Grant, Run};
use crate::shard::{Owner, QueueKey, Shard};
use crate::{Attempt, Epoch, LeaseSecret, NodeAddress, SessionId, ShardId, WorkspaceId};

/// All workers that have introduced themselves or report here. Whoever was granted an attempt holds it, until it is spoken of
/// as over or its holder falls silent.
#[derive(Debug)]
pub(super) struct Workers {
    shard: ShardId,
    epoch: Epoch,
    rooms: Rooms,
    leases: Leases,
    /// Tasks to hand over when the answers are out.
    handed: BTreeMap<SessionId, Vec<Task>>,
    message_bytes_max: usize,
    /// Whether the bundle that opens the epoch is durable: until then the epoch may never be, so nobody hears of it.
    is_open: bool,
}

impl Workers {
    /// Those of an owner that has just folded its journal. Whoever was granted an attempt has one lease time to show itself,
    /// and is told again what it may not have heard.
    pub fn of<C>(owner: &Owner<C>, settings: &DeskSettings, secret: LeaseSecret, at: Moment) -> Self {
        let mut leases = Leases::new(settings.lease_ttl);
        owner.shard().active().for_each(|run| leases.hold_all(run, at));
        Self {
            shard: owner.shard().id(),
            epoch: owner.epoch(),
            rooms: Rooms::new(settings.lease_ttl, Hands::new(secret)),
            leases,
            handed: BTreeMap::new(),
            message_bytes_max: settings.message_bytes_max,
            is_open: false,
        }
    }

    /// Those that can take what becomes ready.
    pub fn hands(&mut self) -> &mut Hands {
        &mut self.rooms.hands
    }

    /// Returns whether any of them holds an attempt, and so may be about to report.
    pub fn hold_any(&self) -> bool {
        !self.leases.is_empty()
    }

    /// Learns of a worker; whoever is new is told how it stands, so that it can lend something.
    pub fn take_hello<R, T>(
        &mut self,
        shard: &Shard,
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
        if self.rooms.meet(&worker, session, workspace, &queues, self.epoch, at) && is_new && self.is_open {
            self.greet_one(shard, session, out);
        }
    }

    /// Learns what the worker that sends a frame lends. Says no where there are too many.
    pub fn take_credit(&mut self, workspace: &WorkspaceId, frame: &ReadFrame, at: Moment) -> bool {
        let ReadFrame { worker, session, queues, credit, requests: _ } = frame;
        if !self.rooms.meet(worker, *session, workspace, queues, self.epoch, at) {
            return false;
        }
        if let Some(room) = self.rooms.hands.room(*session) {
            room.hear(*credit);
        }
        self.rooms.refresh(*session);
        true
    }

    /// Tells everybody known how this shard stands with them, now that its epoch is open.
    pub fn open<R, T>(&mut self, shard: &Shard, out: &mut Vec<Output<R, T>>) {
        self.is_open = true;
        self.rooms.sessions().into_iter().for_each(|session| self.greet_one(shard, session, out));
    }

    fn greet_one<R, T>(&self, shard: &Shard, session: SessionId, out: &mut Vec<Output<R, T>>) {
        let Some(hand) = self.rooms.hands.get(session) else { return };
        let (workspace, worker) = (hand.workspace.clone(), hand.worker.clone());
        let handed = Handed { shard: self.shard, standing: self.standing(shard, session), tasks: Vec::new() };
        out.push(Output::Hand { workspace, worker, session, handed });
    }

    /// Returns how this shard stands with a worker.
    fn standing(&self, shard: &Shard, session: SessionId) -> Standing {
        let Some(Hand { workspace, queues, room, .. }) = self.rooms.hands.get(session) else {
            return Room::new(Term::unmet(self.epoch)).standing(false);
        };
        let waiting = queues.iter().any(|queue| shard.waiting_for(workspace, queue) > 0);
        room.standing(waiting)
    }

    /// Takes the queues that have got room since tasks were last handed out.
    pub fn take_refreshed(&mut self) -> impl Iterator<Item = QueueKey> {
        self.rooms.take_refreshed()
    }

    /// Returns how many tasks of a queue they take.
    pub fn free(&self, key: &QueueKey) -> usize {
        self.rooms.hands.free(&key.0, &key.1)
    }

    /// Leaves the room for a queue for when tasks are handed out next.
    pub fn put_off(&mut self, key: &QueueKey) {
        self.rooms.put_off(key);
    }

    /// Finds a worker for each of these attempts, as far as there is room.
    pub fn share_out(&mut self, key: &QueueKey, waiting: Vec<(NodeAddress, Attempt)>) -> Vec<Grant> {
        let mut grants = Vec::with_capacity(waiting.len());
        for (node, attempt) in waiting {
            let Some(hand) = self.rooms.hands.take(&key.0, &key.1) else { break };
            grants.push(Grant { node, attempt, worker: hand.worker.clone(), session: hand.session });
        }
        grants
    }

    /// Calls for workers of these queues, where any are known; at once when it begins, then every second.
    pub fn call<R, T>(&mut self, queues: Vec<QueueKey>, at: Moment, out: &mut Vec<Output<R, T>>) {
        if !self.is_open {
            return;
        }
        for (workspace, queues) in self.rooms.due_calls(queues, at) {
            let call = Call { shard: self.shard, epoch: self.epoch, queues };
            out.push(Output::Call { workspace, call });
        }
    }

    /// Forgets workers that fell silent, and calls again for what still waits.
    pub fn sweep<R, T>(&mut self, shard: &Shard, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.rooms.forget_silent(at.steady);
        let mut waited_for: Vec<_> = shard.queues_waited_for().cloned().collect();
        waited_for.sort_unstable();
        self.rooms.forget_calls(|(workspace, queue)| shard.waiting_for(workspace, queue) == 0);
        self.call(waited_for, at, out);
    }

    /// Takes out what is lost because its holder has been silent for too long.
    pub fn take_silent(&mut self, at: Moment) -> Vec<Lease> {
        self.leases.expired(at.steady)
    }

    /// Gives whoever holds attempts of a run a full lease to show itself, as after a take-over.
    pub fn hold_all(&mut self, run: &Run, at: Moment) {
        self.leases.hold_all(run, at);
    }

    /// Notes that the worker of a lease has spoken of it, or is not expected to any more.
    pub fn spoken_of(&mut self, lease: &Lease) {
        if lease.unheard_since.is_some()
            && let Some(room) = lease.session.and_then(|session| self.rooms.hands.room(session))
        {
            room.heard();
        }
    }
}
