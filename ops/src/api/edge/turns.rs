//! What only so many requests do at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::codes::Code;

/// How many reads of a moment look for its commits in journals at once, each for one shard.
const WALKS_MAX: usize = 4;

/// How many answers with large values are held at once, each with 32 MiB of them at most.
const VALUES_MAX: usize = 8;

/// How many looks back at a run there are at once, each of which folds its history.
const LOOKS_MAX: usize = 4;

/// How many of those are verifications, each of which may take minutes.
const VERIFICATIONS_MAX: usize = 2;

/// How many ask shards at once what is seen of a run, each of which is told 256 KiB at most.
const LIVE_MAX: usize = 64;

/// What only so many requests do at once.
pub struct Turns {
    /// Whoever takes in a batch, one at a time: it is held in memory.
    batches: Semaphore,
    /// Whoever follows a run.
    followers: Arc<Semaphore>,
    /// Whoever reads back through a journal for a place that says nothing of when it was.
    walks: Semaphore,
    /// Whoever is sent large values.
    values: Arc<Semaphore>,
    /// Whoever looks back at a run.
    looks: Semaphore,
    /// Whoever has a run verified, which is a look, too.
    verifications: Semaphore,
    /// Whoever asks a shard what is seen of a run.
    live: Semaphore,
}

impl Turns {
    pub fn new(followers_max: usize) -> Self {
        let followers = Arc::new(Semaphore::new(followers_max));
        let values = Arc::new(Semaphore::new(VALUES_MAX));
        Self {
            batches: Semaphore::new(1),
            followers,
            walks: Semaphore::new(WALKS_MAX),
            values,
            looks: Semaphore::new(LOOKS_MAX),
            verifications: Semaphore::new(VERIFICATIONS_MAX),
            live: Semaphore::new(LIVE_MAX),
        }
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

    /// Lets one read back through a journal, until the turn is dropped. Waits while as many do as may: whoever asks has a
    /// time-out of its own.
    pub async fn walk(&self) -> SemaphorePermit<'_> {
        self.walks.acquire().await.expect("turns are never closed")
    }

    /// Lets one look back at a run, until the turn is dropped. Waits while as many do as may: nobody else waits for them.
    pub async fn look(&self) -> SemaphorePermit<'_> {
        self.looks.acquire().await.expect("turns are never closed")
    }

    /// Lets one verify a run, until both turns are dropped. Waits while as many do as may, and leaves others who look back their turns.
    pub async fn verification(&self) -> (SemaphorePermit<'_>, SemaphorePermit<'_>) {
        let own = self.verifications.acquire().await.expect("turns are never closed");
        (own, self.look().await)
    }

    /// Lets one ask a shard what is seen of a run, until the turn is dropped. Waits while as many do as may.
    pub async fn live(&self) -> SemaphorePermit<'_> {
        self.live.acquire().await.expect("turns are never closed")
    }

    /// Lets one be sent large values, until the turn is dropped. Waits while as many are as may.
    pub async fn value(&self) -> OwnedSemaphorePermit {
        self.values.clone().acquire_owned().await.expect("turns are never closed")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn so_many_read_back_through_journals_and_the_next_one_waits_for_its_turn() {
        let turns = Turns::new(1);
        let mut walking: Vec<_> =
            (0..WALKS_MAX).map(|_| turns.walk().now_or_never().expect("it is its turn")).collect();
        assert!(turns.walk().now_or_never().is_none());
        walking.pop();
        assert!(turns.walk().now_or_never().is_some());
    }

    #[test]
    fn so_many_look_back_at_runs_and_the_next_one_waits_and_nobody_else() {
        let turns = Turns::new(1);
        let mut looking: Vec<_> =
            (0..LOOKS_MAX).map(|_| turns.look().now_or_never().expect("it is its turn")).collect();
        assert!(turns.look().now_or_never().is_none());
        assert!(turns.walk().now_or_never().is_some());
        looking.pop();
        assert!(turns.look().now_or_never().is_some());
    }

    #[test]
    fn so_many_verify_runs_and_the_others_look_back_meanwhile() {
        let turns = Turns::new(1);
        let _verifying: Vec<_> =
            (0..VERIFICATIONS_MAX).map(|_| turns.verification().now_or_never().expect("it is its turn")).collect();
        assert!(turns.verification().now_or_never().is_none());
        assert!(turns.look().now_or_never().is_some());
    }

    #[test]
    fn so_many_are_sent_large_values_and_the_next_one_waits_for_its_turn() {
        let turns = Turns::new(1);
        let mut sent: Vec<_> = (0..VALUES_MAX).map(|_| turns.value().now_or_never().expect("it is its turn")).collect();
        assert!(turns.value().now_or_never().is_none());
        sent.pop();
        assert!(turns.value().now_or_never().is_some());
    }
}
