//! How much work expressions may do: counted in work, never in time, so that the same run decides the same everywhere.
//!
//! One unit is what some twenty nanoseconds do: a node of an expression visited, sixteen bytes scanned, a value read.

use std::cell::Cell;

use super::eval::Fault;

/// How many units all expressions, templates and schemas of one decision may do together.
pub const DECISION_WORK_MAX: u64 = 4_000_000;
/// How many units one evaluation of one expression may do.
pub const EXPRESSION_WORK_MAX: u64 = 2_000_000;
/// How many items all loops of one evaluation may visit together.
pub(super) const ITEMS_MAX: u64 = 100_000;
/// How many bytes all values made in one evaluation may weigh together.
pub(super) const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How many bytes are copied, compared or scanned for a unit.
const BYTES_PER_UNIT: u64 = 16;

/// What one decision may still do. Everything it evaluates draws on it; it is not shared between decisions.
///
/// Whoever decides in turns asks [`Self::is_half_spent`] between two steps and goes on in another decision; so does a step
/// that [`Self::has_run_out`], unless it had a whole decision to itself.
#[derive(Debug)]
pub struct Work {
    allowed: Cell<u64>,
    spent: Cell<u64>,
    /// From where on nothing more should begin.
    half: Cell<u64>,
    ran_out: Cell<bool>,
}

impl Work {
    /// Returns the budget of a decision that has just begun.
    pub fn of_a_decision() -> Self {
        Self::of(DECISION_WORK_MAX)
    }

    /// Returns a budget of so many units.
    pub fn of(units: u64) -> Self {
        let (allowed, half) = (Cell::new(units), Cell::new(units / 2));
        Self { allowed, spent: Cell::new(0), half, ran_out: Cell::new(false) }
    }

    /// Returns how many units have been done.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// Returns whether a decision that has a choice should leave the rest to the next.
    pub fn is_half_spent(&self) -> bool {
        self.spent.get() > self.half.get()
    }

    /// Leaves at most so many units from here on.
    pub(crate) fn narrow(&self, units: u64) {
        self.allowed.set(self.allowed.get().min(self.spent.get() + units));
        self.half.set(self.half.get().min(self.spent.get() + units / 2));
    }

    /// Returns whether anything needed more than was left, since [`Self::begin`].
    pub(crate) fn has_run_out(&self) -> bool {
        self.ran_out.get()
    }

    /// Begins a step.
    pub(crate) fn begin(&self) {
        self.ran_out.set(false);
    }

    /// Notes that something needs more than is left.
    pub(crate) fn run_out(&self) -> DecisionLimit {
        self.ran_out.set(true);
        DecisionLimit
    }

    /// Takes units for a pass over so many bytes.
    pub(crate) fn scan(&self, bytes: usize) -> Result<(), DecisionLimit> {
        self.take(1 + units(bytes))
    }

    pub(crate) fn take(&self, units: u64) -> Result<(), DecisionLimit> {
        if units > self.left() {
            return Err(self.run_out());
        }
        self.spent.set(self.spent.get() + units);
        Ok(())
    }

    pub(crate) fn left(&self) -> u64 {
        self.allowed.get().saturating_sub(self.spent.get())
    }
}

/// Says that a decision has no work left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what follows from one step takes more than {DECISION_WORK_MAX} units of work")]
pub struct DecisionLimit;

/// A limit that an evaluation went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// One of the limits of a single expression or template.
    Expression,
    /// What all evaluations of a decision may do together.
    Decision,
}

/// What one evaluation may still do. What it did is taken from the decision when it ends.
pub(super) struct Meter<'w> {
    work: &'w Work,
    allowed: u64,
    left: Cell<u64>,
    items: Cell<u64>,
    bytes: Cell<u64>,
}

impl<'w> Meter<'w> {
    pub(super) fn of(work: &'w Work) -> Self {
        let allowed = work.left().min(EXPRESSION_WORK_MAX);
        Self { work, allowed, left: Cell::new(allowed), items: Cell::new(ITEMS_MAX), bytes: Cell::new(BYTES_MAX) }
    }

    /// Charges units of work.
    pub(super) fn charge(&self, units: u64) -> Result<(), Fault> {
        match self.left.get().checked_sub(units) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None if self.allowed < EXPRESSION_WORK_MAX => Err(self.work.run_out().into()),
            None => Err(Fault::limit(format!("it takes more than {EXPRESSION_WORK_MAX} units of work"))),
        }
    }

    /// Charges a pass over so many bytes.
    pub(super) fn scan(&self, bytes: usize) -> Result<(), Fault> {
        self.charge(units(bytes))
    }

    /// Charges a loop over so many items.
    pub(super) fn visit(&self, items: usize) -> Result<(), Fault> {
        let left = self.items.get().checked_sub(items as u64);
        let left = left.ok_or_else(|| Fault::limit(format!("more than {ITEMS_MAX} items visited")))?;
        self.items.set(left);
        Ok(())
    }

    /// Charges the memory of a new value.
    pub(super) fn keep(&self, bytes: usize) -> Result<(), Fault> {
        let left = self.bytes.get().checked_sub(bytes as u64);
        let left =
            left.ok_or_else(|| Fault::limit(format!("the values made here weigh more than {BYTES_MAX} bytes")))?;
        self.bytes.set(left);
        self.charge(1 + units(bytes))
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        let spent = self.allowed - self.left.get();
        self.work.spent.set(self.work.spent.get() + spent);
    }
}

fn units(bytes: usize) -> u64 {
    bytes as u64 / BYTES_PER_UNIT
}
