//! How much is decided in one go, and whether what comes or a run that goes on by itself is next.

use crate::shard::{Owner, Shard};

/// Which part of what one decision may do is decided in one go before others are looked at.
const BURST_PART: u64 = 8;
/// How many inputs go before a run that goes on by itself, and no more.
pub const PASSED_OVER_MAX: u32 = 4;
/// What any request costs, in units of work: some two microseconds.
const REQUEST_WORK: u64 = 100;

/// When [`super::Input::Continue`] should come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// Nobody has more to do, or the bundle that fills is full.
    Not,
    /// When nothing else has come.
    WhenIdle,
    /// Next: enough has gone before.
    Now,
}

/// What was done, in units of work, and who had to wait meanwhile.
#[derive(Debug)]
pub(super) struct Pace {
    /// What the requests themselves cost, beside what was decided.
    met: u64,
    /// How much work was done before this turn.
    done_before: u64,
    /// How many inputs have gone before the run whose turn it is to go on.
    passed_over: u32,
}

impl Pace {
    /// That of a desk whose owner has folded its journal.
    pub fn of(shard: &Shard) -> Self {
        Self { met: 0, done_before: shard.work_spent(), passed_over: 0 }
    }

    /// Notes an input.
    pub fn pass_over(&mut self) {
        self.passed_over = self.passed_over.saturating_add(1);
    }

    /// Notes a request.
    pub fn meet(&mut self) {
        self.met += REQUEST_WORK;
    }

    /// How much was done so far.
    pub fn done(&self, shard: &Shard) -> u64 {
        shard.work_spent() + self.met
    }

    /// Whether so much was decided in this turn that others should be looked at first.
    pub fn is_burst_over<C>(&self, owner: &Owner<C>) -> bool {
        let burst = owner.shard().decision_work_max() / BURST_PART;
        owner.is_full() || self.done(owner.shard()) - self.done_before > burst
    }

    /// Begins the next burst.
    pub fn end_turn(&mut self, shard: &Shard) {
        self.done_before = self.done(shard);
    }

    /// Says when what waits, or a run that has more to do, should go on: requests at once, for somebody waits for them; runs
    /// fairly, neither before everybody nor after everybody.
    pub fn goes_on<C>(&self, something_waits: bool, owner: &Owner<C>) -> GoesOn {
        let has_unfinished = owner.shard().unfinished().len() > 0;
        if owner.is_full() {
            GoesOn::Not
        } else if something_waits || has_unfinished && self.passed_over >= PASSED_OVER_MAX {
            GoesOn::Now
        } else if has_unfinished {
            GoesOn::WhenIdle
        } else {
            GoesOn::Not
        }
    }

    /// Says whether, when something goes on, it is a run; begins to count anew then.
    pub fn gives_way_to_a_run(&mut self, something_waits: bool, shard: &Shard) -> bool {
        // The input that says so is one of those that went before.
        let is_turn_of_run = self.passed_over > PASSED_OVER_MAX && shard.unfinished().len() > 0;
        if something_waits && !is_turn_of_run {
            return false;
        }
        self.passed_over = 0;
        true
    }
}
