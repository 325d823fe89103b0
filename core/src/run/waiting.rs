//! Which attempts of a run wait for a worker, and for which queue.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::Run;
use super::state::Place;
use crate::{Attempt, LeaseToken, NodeAddress, QueueName, Revision, SessionId, WorkerId};

/// What waits, by queue, in the order it was scheduled; and what has changed since the shard last looked.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    by_queue: FxHashMap<QueueName, BTreeSet<(Revision, Place)>>,
    moves: Vec<(QueueName, Move)>,
}

/// One attempt begins to wait, or does not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Joins,
    Leaves,
}

impl Waiting {
    /// Lets everything leave.
    pub fn clear(&mut self) {
        for (queue, places) in self.by_queue.drain() {
            self.moves.extend(places.iter().map(|_| (queue.clone(), Move::Leaves)));
        }
    }

    pub fn join(&mut self, queue: &QueueName, place: (Revision, Place)) {
        if self.by_queue.entry(queue.clone()).or_default().insert(place) {
            self.moves.push((queue.clone(), Move::Joins));
        }
    }

    pub fn leave(&mut self, queue: &QueueName, place: (Revision, Place)) {
        let Some(places) = self.by_queue.get_mut(queue) else { return };
        if places.remove(&place) {
            self.moves.push((queue.clone(), Move::Leaves));
        }
        if places.is_empty() {
            self.by_queue.remove(queue);
        }
    }
}

/// Equality of what waits; whether the shard has looked is no part of it.
impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.by_queue == other.by_queue
    }
}

/// An attempt that a worker was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldAttempt {
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub lease: LeaseToken,
    pub worker: WorkerId,
    /// Absent where an older release granted it.
    pub session: Option<SessionId>,
}

impl Run {
    /// Returns the attempts that wait for a queue, the longest waiting first, at most `count`.
    pub fn waiting_for(&self, queue: &QueueName, count: usize) -> Vec<(NodeAddress, Attempt)> {
        let places = self.waiting.by_queue.get(queue).into_iter().flatten().take(count);
        places.filter_map(|(_, place)| Some((self.address(*place), self.current(*place)?.attempt))).collect()
    }

    /// Returns how many attempts wait, by queue.
    pub(crate) fn waiting_counts(&self) -> impl Iterator<Item = (&QueueName, usize)> {
        self.waiting.by_queue.iter().map(|(queue, places)| (queue, places.len()))
    }

    /// Takes what has changed since the last time.
    pub(crate) fn take_moves(&mut self) -> Vec<(QueueName, Move)> {
        std::mem::take(&mut self.waiting.moves)
    }

    /// Returns the queue of a node.
    pub fn queue_of(&self, node: &NodeAddress) -> Option<&QueueName> {
        self.find(node).map(|place| &self.definition().node(place.node).queue)
    }

    /// Returns the attempts that workers were granted and have not ended.
    pub fn held(&self) -> impl Iterator<Item = HeldAttempt> {
        let nodes = self.places().filter(|(place, state)| state.phase.current().is_some() && self.goes_on(*place));
        nodes.filter_map(|(place, state)| {
            let current = state.phase.current()?;
            current.holder().map(|(worker, session)| HeldAttempt {
                node: self.address(place),
                attempt: current.attempt,
                lease: current.lease,
                worker: worker.clone(),
                session,
            })
        })
    }
}
