//! The whole from outside: real servers, real processes, and what must hold whatever happens to them.
//!
//! | module | question it answers |
//! |---|---|
//! | [`cluster`] | which processes run, and how one is killed |
//! | [`brokers`] | the same with three brokers that replicate |
//! | [`load`] | what is asked of them, and what they acknowledged |
//! | [`audit`] | whether the journal kept every promise |
//!
//! Everything a test starts listens on free ports, keeps its data in a private folder, and is gone afterwards.

pub mod audit;
pub mod brokers;
pub mod cluster;
pub mod load;

use std::time::{Duration, Instant};

/// How long a condition may take to come true before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
///
/// # Panics
/// After [`PATIENCE`], naming `what`.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
