//! How much one decision may do and make, and how what does not fit is left for the next.

use super::weight::Weight;
use super::{RunEvent, RunFailure};
use crate::VALUE_BYTES_MAX;
use crate::expr::{DECISION_WORK_MAX, Work};

/// How many bytes of facts one decision may make. With the ends of 2,000 nodes beside them and a bundle that is nearly
/// full before them, they fit one message of the broker (8 MiB).
pub const DECISION_BYTES_MAX: usize = 3 << 20;
/// How many bytes of large values one decision may have stored: its facts name them.
pub const DECISION_STORED_MAX: usize = 32 << 20;
/// What a fact costs whoever waits meanwhile, in units of work, and how many of its bytes are a unit more: to be folded,
/// written and reacted to.
const FACT_WORK: u64 = 100;
const FACT_BYTES_PER_UNIT: u64 = 16;

/// What one decision of a run may take. Nothing fails for want of it but what needs more than a whole decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Units of work that everything evaluated in it may do together ([`crate::expr::Work`]).
    pub work: u64,
    /// Bytes of facts it may make.
    pub bytes: usize,
    /// Bytes of large values it may have stored.
    pub stored: usize,
    /// Bytes of large values that its run may hold besides those that it does.
    pub held: usize,
    /// Units of work for what follows at once from a command that somebody else waits for; the rest has a turn of its own.
    pub work_at_once: u64,
    /// What the whole run may take.
    pub run: RunLimits,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            work: DECISION_WORK_MAX,
            bytes: DECISION_BYTES_MAX,
            stored: DECISION_STORED_MAX,
            held: usize::MAX,
            work_at_once: DECISION_WORK_MAX / 32,
            run: RunLimits::DEFAULT,
        }
    }
}

/// How long a run may go on. Only decisions ask; whoever folds takes what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// How many turns its loops may have in all.
    pub turns: u32,
    /// How many branches it may open in all: items, turns and tries.
    pub branches: u32,
}

impl RunLimits {
    /// What nobody has set otherwise.
    pub const DEFAULT: Self = Self { turns: 10_000, branches: 200_000 };
}

/// Says that a step does not fit what is left of a decision. Nothing of it was taken down: it is begun anew in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later;

/// Where a decision stands between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing is spent, and nothing is held back: what does not fit now never does.
    Fresh,
    /// Some is spent, or the rest is not for it.
    Begun,
}

/// One decision's turn: what it may do, and what it has done of that.
#[derive(Debug)]
pub(super) struct Turn {
    budget: Budget,
    /// What everything evaluated in it may still do. A step that it does not suffice for waits for the next decision; one
    /// that a whole decision does not suffice for fails its node (`decision_limit`).
    work: Work,
    facts: u64,
    /// Of the facts, about.
    weight: Weight,
    standing: Standing,
    /// Whether others wait for their turn, so that little of the agenda is done now.
    is_narrow: bool,
}

impl Turn {
    pub fn of(budget: Budget) -> Self {
        let work = Work::of(budget.work);
        Self { budget, work, facts: 0, weight: Weight::default(), standing: Standing::Fresh, is_narrow: false }
    }

    /// What the whole run may take.
    pub fn of_run(&self) -> RunLimits {
        self.budget.run
    }

    /// What is evaluated draws on this.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Notes a fact; whether one of any size fits, [`Self::check_room`] has said before.
    pub fn take_down(&mut self, event: &RunEvent) {
        self.facts += 1;
        let Weight { bytes, stored } = event.weight();
        self.weight.bytes += bytes;
        self.weight.stored += stored;
    }

    /// Says whether another step may begin, and begins it.
    pub fn may_begin(&mut self) -> bool {
        let is_fresh = !self.is_narrow && self.facts == 0 && self.work.spent() == 0;
        self.standing = if is_fresh { Standing::Fresh } else { Standing::Begun };
        self.work.begin();
        let Weight { bytes, stored } = self.weight;
        is_fresh || !(self.work.is_half_spent() || bytes > self.budget.bytes / 2 || stored > self.budget.stored / 2)
    }

    /// Leaves little for what follows, where somebody waits for the answer and others for their turn.
    pub fn narrow(&mut self) {
        self.is_narrow = true;
        self.work.narrow(self.budget.work_at_once);
    }

    /// Holds a step back that ran out of work, unless it had all there is.
    pub fn check_work(&self) -> Result<(), Later> {
        if self.standing == Standing::Begun && self.work.has_run_out() { Err(Later) } else { Ok(()) }
    }

    /// Says whether a fact of such a weight fits; holds its step back where it does not fit only now. No value is larger than
    /// any may be, and none is made that there is no memory for.
    pub fn check_room(&self, weight: Weight) -> Result<bool, Later> {
        if self.may_hold(weight.stored) { self.check_room_at_end(weight) } else { Ok(false) }
    }

    /// The same for the end of a run: nothing of it is held any longer.
    pub fn check_room_at_end(&self, Weight { bytes, stored }: Weight) -> Result<bool, Later> {
        if stored > VALUE_BYTES_MAX {
            return Ok(false);
        }
        let fits = self.weight.bytes + bytes <= self.budget.bytes && self.weight.stored + stored <= self.budget.stored;
        match (fits, self.standing) {
            (true, Standing::Fresh | Standing::Begun) => Ok(true),
            (false, Standing::Fresh) => Ok(false),
            (false, Standing::Begun) => Err(Later),
        }
    }

    /// Says whether there is memory for so many bytes of large values more. Where there is none, the next decision has no more.
    pub fn may_hold(&self, stored: usize) -> bool {
        stored == 0 || self.weight.stored + stored <= self.budget.held
    }

    /// Says how a node fails that makes a value which there is no memory for; `None`: something else is in the way.
    pub fn lacks_memory_for(&self, Weight { stored, .. }: Weight) -> Option<RunFailure> {
        let message = "the active runs of the workspace hold as many large values as a shard keeps for it";
        let lacks = stored <= VALUE_BYTES_MAX && !self.may_hold(stored);
        lacks.then(|| RunFailure::new("too_many_values", message))
    }

    /// Says whether facts of so many bytes would leave nothing for what else has to go with them.
    pub fn is_crowded_by(&self, bytes: usize) -> bool {
        bytes > 0 && self.weight.bytes + bytes > self.budget.bytes / 2
    }

    /// Returns how many bytes of facts a whole decision may make. What travels to workers and other shards is no larger.
    pub fn bytes_max(&self) -> usize {
        self.budget.bytes
    }

    /// Returns how many bytes one value may have that is stored.
    pub fn value_bytes_max(&self) -> usize {
        VALUE_BYTES_MAX.min(self.budget.stored)
    }

    /// Returns how much it did, in units of work: what was evaluated, and what its facts cost.
    pub fn spent(&self) -> u64 {
        self.work.spent()
            + FACT_WORK * self.facts
            + (self.weight.bytes + self.weight.stored) as u64 / FACT_BYTES_PER_UNIT
    }
}
