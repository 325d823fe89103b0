//! Whether the shard can be written, as far as its last appends say.

use std::time::Duration;

/// How long an append that landed proves that the next one would.
const PROOF_LASTS: Duration = Duration::from_secs(1);
/// An append that has been on its way for so long is not only slow.
const STALLED_AFTER: Duration = Duration::from_millis(1500);

/// When bundles left and landed, by the steady clock. One is on its way at a time.
#[derive(Debug, Default)]
pub(super) struct Appends {
    on_its_way_since: Option<Duration>,
    landed_at: Option<Duration>,
}

/// What the last appends say of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writable {
    /// One has landed just now.
    Proven,
    Unproven,
    /// One has been on its way for so long.
    Stalled(Duration),
}

impl Appends {
    pub fn leave(&mut self, now: Duration) {
        self.on_its_way_since = Some(now);
    }

    /// Notes that the bundle on its way is durable; returns whether it is the one that opens the epoch.
    pub fn land(&mut self, now: Duration) -> bool {
        self.on_its_way_since = None;
        self.landed_at.replace(now).is_none()
    }

    pub fn writable(&self, now: Duration) -> Writable {
        let is_recent = |landed: Duration| now.saturating_sub(landed) < PROOF_LASTS;
        match self.on_its_way_since.map(|since| now.saturating_sub(since)) {
            Some(pending) if pending >= STALLED_AFTER => Writable::Stalled(pending),
            Some(_) | None if self.landed_at.is_some_and(is_recent) => Writable::Proven,
            Some(_) | None => Writable::Unproven,
        }
    }
}
