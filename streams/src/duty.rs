//! Tasks that go on for as long as their process: what becomes of them when they panic.
//!
//! A panic ends the task and drops its state; it is counted and logged here, and the task is begun anew after a pause.
//! There is one way to wait between tries, too: [`Backoff`](crate::backoff::Backoff).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::backoff::Backoff;

/// A task that goes on for as long as its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Drives one shard.
    ShardDriver,
    /// Decides which shards this process drives.
    Ownership,
    /// Starts and stops the drivers.
    ShardSupervisor,
    CheckpointWriter,
    /// Follows which shards are on hold.
    Holds,
    /// Follows which incarnations of journals there are.
    Incarnations,
    /// Sends the commands of this process to one shard.
    CommandLane,
    /// Projects the journals of some shards.
    ProjectorLane,
    /// Asks how long the journals are.
    ProjectorHeads,
    Projector,
    /// Carries out the built-in actions.
    TaskWorker,
    Api,
    /// Follows the definitions, for the API.
    Catalog,
    /// Follows how old reads are, for the API.
    ReadLag,
    /// Looks what happens, for all who follow runs.
    Live,
    /// Looks how far the projector of another process is.
    Observer,
}

impl Duty {
    /// Every one there is, in the order they are declared.
    pub const ALL: [Self; 16] = [
        Self::ShardDriver,
        Self::Ownership,
        Self::ShardSupervisor,
        Self::CheckpointWriter,
        Self::Holds,
        Self::Incarnations,
        Self::CommandLane,
        Self::ProjectorLane,
        Self::ProjectorHeads,
        Self::Projector,
        Self::TaskWorker,
        Self::Api,
        Self::Catalog,
        Self::ReadLag,
        Self::Live,
        Self::Observer,
    ];

    /// Returns its name in metrics and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::ShardDriver => "shard_driver",
            Self::Ownership => "ownership",
            Self::ShardSupervisor => "shard_supervisor",
            Self::CheckpointWriter => "checkpoint_writer",
            Self::Holds => "holds",
            Self::Incarnations => "incarnations",
            Self::CommandLane => "command_lane",
            Self::ProjectorLane => "projector_lane",
            Self::ProjectorHeads => "projector_heads",
            Self::Projector => "projector",
            Self::TaskWorker => "task_worker",
            Self::Api => "api",
            Self::Catalog => "catalog",
            Self::ReadLag => "read_lag",
            Self::Live => "live",
            Self::Observer => "observer",
        }
    }

    /// Returns how often such a task has panicked since the process began.
    pub fn panics(self) -> u64 {
        PANICS[self as usize].load(Ordering::Relaxed)
    }

    /// Counts and logs a panic that was caught elsewhere.
    pub fn note_panic(self, said: &str) {
        PANICS[self as usize].fetch_add(1, Ordering::Relaxed);
        tracing::error!(task = self.name(), panic = said, "a task panicked; it is begun anew");
    }
}

/// Panics are a matter of the process, so they are counted once for all of it.
static PANICS: [AtomicU64; Duty::ALL.len()] = [const { AtomicU64::new(0) }; Duty::ALL.len()];

/// Says that a task panicked. It was counted and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it panicked: {0}")]
pub struct Panicked(pub String);

/// Does one try of a duty. The future is dropped when it panics.
///
/// # Errors
/// [`Panicked`]: begin anew with fresh state, after a pause.
pub async fn attempt<F: Future>(duty: Duty, work: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let said = text.unwrap_or("a panic without words").to_owned();
        duty.note_panic(&said);
        Panicked(said)
    })
}

/// Does a duty until it ends by itself; whenever it panics it is begun anew, after a pause. Dropping the future stops it.
pub async fn keep<F: Future>(duty: Duty, mut begin: impl FnMut() -> F) -> F::Output {
    let mut backoff = Backoff::of_duty();
    loop {
        let began = Instant::now();
        if let Ok(output) = attempt(duty, begin()).await {
            return output;
        }
        tokio::time::sleep(backoff.after(began.elapsed())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duty_has_its_own_place_and_name() {
        for (place, duty) in Duty::ALL.into_iter().enumerate() {
            assert_eq!(duty as usize, place);
            assert_eq!(Duty::ALL.iter().filter(|other| other.name() == duty.name()).count(), 1, "{duty:?}");
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_is_counted_and_begun_anew() {
        let before = Duty::Catalog.panics();
        let mut tries = 0;
        let output = keep(Duty::Catalog, || {
            tries += 1;
            let number = tries;
            async move {
                assert!(number > 3, "try {number}");
                number
            }
        });
        assert_eq!(output.await, 4);
        assert_eq!(Duty::Catalog.panics() - before, 3);
    }
}
