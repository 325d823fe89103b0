//! The workers that can be handed tasks, and who comes next.

use rustc_hash::FxHashMap;

use super::{Room, Term};
use crate::{Epoch, LeaseSecret, QueueName, SessionId, WorkerId, WorkspaceId};

/// A worker in one session, and its room.
#[derive(Debug, Clone, PartialEq)]
pub struct Hand {
    pub worker: WorkerId,
    pub session: SessionId,
    pub workspace: WorkspaceId,
    pub queues: Vec<QueueName>,
    pub room: Room,
}

impl Hand {
    fn serves(&self, workspace: &WorkspaceId, queue: &QueueName) -> bool {
        self.workspace == *workspace && self.queues.contains(queue)
    }
}

/// Every worker a shard knows, and the secret that its leases are made from.
#[derive(Debug, Default)]
pub struct Hands {
    pub secret: LeaseSecret,
    hands: Vec<Hand>,
    by_session: FxHashMap<SessionId, usize>,
    /// How many sessions were met, the same one again among them.
    met: u64,
    /// Comes first: what becomes ready by its report stays with it.
    preferred: Option<usize>,
    /// Where the search begins otherwise, so that idle workers share what comes.
    next: usize,
}

impl Hands {
    /// Makes an empty set.
    pub fn new(secret: LeaseSecret) -> Self {
        Self { secret, ..Self::default() }
    }

    /// Returns a worker by its session.
    pub fn get(&self, session: SessionId) -> Option<&Hand> {
        self.by_session.get(&session).map(|place| &self.hands[*place])
    }

    /// Returns a worker's room by its session.
    pub fn room(&mut self, session: SessionId) -> Option<&mut Room> {
        self.by_session.get(&session).map(|place| &mut self.hands[*place].room)
    }

    /// Adds a worker, or learns which queues it serves now.
    pub fn meet(
        &mut self,
        worker: &WorkerId,
        session: SessionId,
        workspace: &WorkspaceId,
        queues: &[QueueName],
        epoch: Epoch,
    ) {
        match self.by_session.get(&session) {
            Some(place) => {
                let hand = &mut self.hands[*place];
                if hand.queues != queues {
                    hand.queues = queues.to_vec();
                }
            }
            None => {
                self.met += 1;
                self.by_session.insert(session, self.hands.len());
                self.hands.push(Hand {
                    worker: worker.clone(),
                    session,
                    workspace: workspace.clone(),
                    queues: queues.to_vec(),
                    room: Room::new(Term { epoch, meeting: self.met }),
                });
            }
        }
    }

    /// Removes a worker.
    pub fn part(&mut self, session: SessionId) {
        let Some(place) = self.by_session.remove(&session) else { return };
        self.hands.swap_remove(place);
        if let Some(moved) = self.hands.get(place) {
            self.by_session.insert(moved.session, place);
        }
        self.preferred = None;
    }

    /// Lets a worker come first until the next is named.
    pub fn prefer(&mut self, session: Option<SessionId>) {
        self.preferred = session.and_then(|session| self.by_session.get(&session).copied());
    }

    /// Returns the worker that comes first.
    pub fn preferred(&self) -> Option<SessionId> {
        self.preferred.map(|place| self.hands[place].session)
    }

    /// Takes one task's room from a worker that serves the queue, and returns that worker.
    pub fn take(&mut self, workspace: &WorkspaceId, queue: &QueueName) -> Option<&Hand> {
        let has_room = |hand: &Hand| hand.room.free() > 0 && hand.serves(workspace, queue);
        let preferred = self.preferred.filter(|place| has_room(&self.hands[*place]));
        let place = preferred.or_else(|| {
            let count = self.hands.len();
            let places = (0..count).map(|step| (self.next + step) % count);
            let found = places.into_iter().find(|place| has_room(&self.hands[*place]))?;
            self.next = (found + 1) % count;
            Some(found)
        })?;
        self.hands[place].room.hand(1);
        Some(&self.hands[place])
    }

    /// Returns how many tasks of a queue can be handed over now.
    pub fn free(&self, workspace: &WorkspaceId, queue: &QueueName) -> usize {
        let serving = self.hands.iter().filter(|hand| hand.serves(workspace, queue));
        serving.map(|hand| hand.room.free() as usize).sum()
    }

    /// Returns whether any worker serves a queue, with room or without.
    pub fn is_served(&self, workspace: &WorkspaceId, queue: &QueueName) -> bool {
        self.hands.iter().any(|hand| hand.serves(workspace, queue))
    }
}
