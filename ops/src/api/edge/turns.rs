//! What only so many requests do at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::codes::Code;

/// What only so many requests do at once.
pub struct Turns {
    /// Whoever takes in a batch, one at a time: it is held in memory.
    batches: Semaphore,
    /// Whoever follows a run.
    followers: Arc<Semaphore>,
}

impl Turns {
    pub fn new(followers_max: usize) -> Self {
        Self { batches: Semaphore::new(1), followers: Arc::new(Semaphore::new(followers_max)) }
    }

    /// Lets one take in a batch, until the turn is dropped.
    ///
    /// # Errors
    /// [`Code::Overloaded`] while another does.
    pub fn batch(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let taken = |_| Problem::new(Code::Overloaded, "this process takes in another batch: one at a time");
        self.batches.try_acquire().map_err(taken)
    }

    /// Lets one follow a run, until the turn is dropped.
    ///
    /// # Errors
    /// [`Code::Overloaded`] while as many do as may.
    pub fn follow(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let taken = |_| Problem::new(Code::Overloaded, "as many clients of this process follow runs as may");
        self.followers.clone().try_acquire_owned().map_err(taken)
    }
}
