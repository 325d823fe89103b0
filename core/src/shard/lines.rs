//! Which runs wait for workers of which queue, and whose turn it is.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Owner, Shard};
use crate::run::{Move, Run};
use crate::{Attempt, NodeAddress, QueueName, RunId, WorkspaceId};

/// A queue of a workspace.
pub type QueueKey = (WorkspaceId, QueueName);

/// The lines of all queues. What waits is part of the runs; the order of turns is not folded, and a new owner
/// begins it anew.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: FxHashMap<QueueKey, Line>,
    /// The queues that something has begun to wait for since [`Shard::take_stirred`].
    stirred: FxHashSet<QueueKey>,
}

#[derive(Debug, Default)]
struct Line {
    /// Runs that have, or lately had, attempts waiting.
    runs: VecDeque<RunId>,
    standing: FxHashSet<RunId>,
    waiting: usize,
}

impl Line {
    fn join(&mut self, run: RunId) {
        if self.standing.insert(run) {
            self.runs.push_back(run);
        }
    }
}

/// Attempts to grant, by run.
pub type Turn = Vec<(RunId, Vec<(NodeAddress, Attempt)>)>;

impl Lines {
    /// Keeps up with what has changed in a run.
    pub fn follow(&mut self, run: &mut Run) {
        for (queue, change) in run.take_moves() {
            let key = (run.workspace().clone(), queue);
            match change {
                Move::Joins => {
                    let line = self.lines.entry(key.clone()).or_default();
                    line.join(run.id());
                    line.waiting += 1;
                    self.stirred.insert(key);
                }
                Move::Leaves => self.leave(&key),
            }
        }
    }

    /// Lets a run go with everything that waits in it.
    pub fn forget(&mut self, run: &mut Run) {
        self.follow(run);
        for queue in run.queues_waited_for() {
            self.leave(&(run.workspace().clone(), queue.clone()));
        }
    }

    fn leave(&mut self, key: &QueueKey) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.waiting = line.waiting.saturating_sub(1);
        if line.waiting == 0 {
            self.lines.remove(key);
        }
    }

    /// Returns how many attempts wait for a queue.
    pub fn waiting(&self, workspace: &WorkspaceId, queue: &QueueName) -> usize {
        if self.lines.is_empty() {
            return 0;
        }
        self.lines.get(&(workspace.clone(), queue.clone())).map_or(0, |line| line.waiting)
    }
}

impl Shard {
    /// Returns how many attempts wait for workers of a queue.
    pub fn waiting_for(&self, workspace: &WorkspaceId, queue: &QueueName) -> usize {
        self.docket.lines.waiting(workspace, queue)
    }

    /// Returns the queues that something waits for.
    pub fn queues_waited_for(&self) -> impl Iterator<Item = &QueueKey> {
        self.docket.lines.lines.keys()
    }

    /// Returns how many attempts of a queue workers hold. Costs a look at every active run.
    pub fn held_of(&self, workspace: &WorkspaceId, queue: &QueueName) -> usize {
        let runs = self.shelves.runs.values().filter(|run| run.workspace() == workspace);
        runs.map(|run| run.held().filter(|held| run.queue_of(&held.node) == Some(queue)).count()).sum()
    }

    /// Takes the queues that something has begun to wait for since the last time, in order.
    pub fn take_stirred(&mut self) -> Vec<QueueKey> {
        let mut stirred: Vec<_> = self.docket.lines.stirred.drain().collect();
        stirred.sort_unstable();
        stirred
    }

    /// Returns whose turn it is, at most `count` attempts: each run in line once, as many of its attempts as leave something
    /// for the others. Grant them before asking again.
    pub fn next_turn(&mut self, key: &QueueKey, count: usize) -> Turn {
        let Some(line) = self.docket.lines.lines.get_mut(key) else { return Turn::new() };
        let (mut turn, mut left) = (Turn::new(), count);
        let share = count.div_ceil(line.runs.len().max(1)).max(1);
        for _ in 0..line.runs.len() {
            if left == 0 {
                break;
            }
            let Some(id) = line.runs.pop_front() else { break };
            let waiting =
                self.shelves.runs.get(&id).map(|run| run.waiting_for(&key.1, share.min(left))).unwrap_or_default();
            if waiting.is_empty() {
                line.standing.remove(&id);
                continue;
            }
            line.runs.push_back(id);
            left -= waiting.len();
            turn.push((id, waiting));
        }
        turn
    }
}

impl<C> Owner<C> {
    /// Returns whose turn it is to be granted attempts: see [`Shard::next_turn`].
    pub fn next_turn(&mut self, queue: &QueueKey, count: usize) -> Turn {
        self.shard.next_turn(queue, count)
    }

    /// Takes the queues that something has begun to wait for: see [`Shard::take_stirred`].
    pub fn take_stirred(&mut self) -> Vec<QueueKey> {
        self.shard.take_stirred()
    }
}
