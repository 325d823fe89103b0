//! What a shard has to do without being asked: what is due, what waits for workers, which runs go on.

use std::collections::BTreeSet;

use super::chains::Chains;
use super::held::Held;
use super::lines::Lines;
use super::turns::Turns;
use super::{AggregateId, Command, Shard};
use crate::run::Run;
use crate::{RunId, Timestamp};

/// What a shard has to do without being asked. All of it follows from its aggregates.
#[derive(Debug, Default)]
pub(super) struct Docket {
    /// When what has timers has something due next.
    due: BTreeSet<(Timestamp, AggregateId)>,
    /// What waits for workers, and whose turn it is.
    pub(super) lines: Lines,
    /// The runs that go on by themselves.
    pub(super) turns: Turns,
    /// Which runs of chains go on.
    pub(super) chains: Chains,
    /// How much memory the large values of runs take.
    pub(super) held: Held,
}

impl Docket {
    /// Keeps up with a run that has changed.
    pub fn follow(&mut self, run: &mut Run) {
        self.lines.follow(run);
        self.turns.follow(run);
    }

    /// Lets a run go; `known` is all there was of it.
    pub fn forget(&mut self, id: RunId, known: Option<Run>) {
        if let Some(mut run) = known {
            self.lines.forget(&mut run);
        }
        self.turns.forget(id);
    }

    /// Keeps up with the timers of an aggregate: what is due next was the one before, and is the other now.
    pub fn book(&mut self, aggregate: &AggregateId, before: Option<Timestamp>, now: Option<Timestamp>) {
        if before != now {
            before.map(|at| self.due.remove(&(at, aggregate.clone())));
            now.map(|at| self.due.insert((at, aggregate.clone())));
        }
    }

    /// Lets go of everything an aggregate has due. What it says of itself need not be what was booked.
    pub fn forget_timers(&mut self, aggregate: &AggregateId) {
        self.due.retain(|(_, of)| of != aggregate);
    }
}

impl Shard {
    /// Returns when something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.docket.due.first().map(|(at, _)| *at)
    }

    /// Returns the timers due by now, as commands to those that have them: the longest overdue first, at most `count`.
    pub fn due(&self, now: Timestamp, count: usize) -> Vec<Command> {
        let due = self.docket.due.iter().take_while(|(at, _)| *at <= now);
        due.take(count).filter_map(|(_, of)| of.timer()).collect()
    }
}
