//! How much one decision may do and make, and how what does not fit is left for the next.

use super::RunFailure;
use super::decide::Decision;
use crate::expr::DECISION_WORK_MAX;

/// How many bytes of facts one decision may make. With the ends of 2,000 nodes beside them and a bundle that is nearly
/// full before them, they fit one message of the broker (8 MiB).
pub const DECISION_BYTES_MAX: usize = 3 << 20;

/// What one decision of a run may take. Nothing fails for want of it but what needs more than a whole decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Units of work that everything evaluated in it may do together ([`crate::expr::Work`]).
    pub work: u64,
    /// Bytes of facts it may make.
    pub bytes: usize,
    /// Units of work for what follows at once from a command that somebody else waits for; the rest has a turn of its own.
    pub work_at_once: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { work: DECISION_WORK_MAX, bytes: DECISION_BYTES_MAX, work_at_once: DECISION_WORK_MAX / 32 }
    }
}

/// Says that a step does not fit what is left of a decision. Nothing of it was taken down: it is begun anew in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later;

/// Where a decision stands between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is spent, and nothing is held back: what does not fit now never does.
    Fresh,
    /// Some is spent, or the rest is not for it.
    Begun,
}

impl Decision<'_, '_, '_> {
    /// Says whether another step may begin, and begins it.
    pub fn may_begin(&mut self) -> bool {
        let is_fresh = !self.is_narrow && self.events.is_empty() && self.work.spent() == 0;
        self.standing = if is_fresh { Standing::Fresh } else { Standing::Begun };
        self.work.begin();
        is_fresh || !(self.work.is_half_spent() || self.bytes > self.budget.bytes / 2)
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

    /// Says whether facts of so many bytes fit; holds their step back where they do not fit only now.
    pub fn check_room(&self, bytes: usize) -> Result<bool, Later> {
        match (self.bytes + bytes <= self.budget.bytes, self.standing) {
            (true, Standing::Fresh | Standing::Begun) => Ok(true),
            (false, Standing::Fresh) => Ok(false),
            (false, Standing::Begun) => Err(Later),
        }
    }

    /// Returns the failure of a node whose next fact alone is too large.
    pub fn too_large(&self, bytes: usize) -> RunFailure {
        let max = self.budget.bytes;
        let message = format!("what the node would write at once has about {bytes} bytes, and a decision takes {max}");
        RunFailure::new("node_too_large", message)
    }
}
