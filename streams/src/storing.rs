//! Whether the broker stores anything at all: what all publishes of this process say of it together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Broker;

/// Since when nothing has been stored that should have been.
#[derive(Debug)]
pub(crate) struct Storing {
    began: Instant,
    /// In milliseconds from `began`, one at least; zero: what was published last was stored.
    failing_since: AtomicU64,
}

impl Storing {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), failing_since: AtomicU64::new(0) }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

impl Broker {
    /// Returns for how long the broker has been connected and has stored nothing of what this process published, as one does whose
    /// disk is full. `None`: what came last was stored, or nothing was published.
    pub fn stores_nothing_for(&self) -> Option<Duration> {
        let storing = self.storing();
        match storing.failing_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(Duration::from_millis(storing.millis().saturating_sub(since))),
        }
    }
}

/// One publish under way. Dropped without a word it was not stored in its time.
pub(crate) struct Attempt<'b> {
    broker: &'b Broker,
    began: u64,
    says_something: bool,
}

impl<'b> Attempt<'b> {
    pub(crate) fn begin(broker: &'b Broker) -> Self {
        Self { broker, began: broker.storing().millis(), says_something: true }
    }

    /// It was stored.
    pub(crate) fn stored(mut self) {
        self.says_something = false;
        self.broker.storing().failing_since.store(0, Ordering::Relaxed);
    }

    /// It was not, for a reason that is not the broker's store.
    pub(crate) fn passed_over(mut self) {
        self.says_something = false;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.says_something && self.broker.is_connected() {
            let failing = &self.broker.storing().failing_since;
            let _ = failing.compare_exchange(0, self.began, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
