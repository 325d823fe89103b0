//! How a job says how far it is, and learns that it should stop.

use crate::Failure;

/// One try of a job, as the job sees it.
pub struct Attempt<'a> {
    /// Told now and then how far the job is, from 0 to 1.
    pub progress: &'a dyn Fn(f64),
    /// Answers whether the job should stop.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Attempt<'static> {
    /// Returns an attempt nobody watches.
    pub fn unwatched() -> Self {
        Self { progress: &|_| {}, cancelled: &|| false }
    }
}

impl Attempt<'_> {
    /// Says how far the job is and goes on, unless it should stop.
    ///
    /// # Errors
    /// [`Failure::Cancelled`].
    pub fn step(&self, done: f64) -> Result<(), Failure> {
        if (self.cancelled)() {
            return Err(Failure::Cancelled);
        }
        (self.progress)(done.clamp(0.0, 1.0));
        Ok(())
    }
}
