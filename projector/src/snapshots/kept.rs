//! Runs that are folded and at hand, those that were told of last.

use std::collections::BTreeMap;

use headwater_core::RunId;
use headwater_core::run::Snapshots;
use rustc_hash::FxHashMap;

/// How much is kept at hand of runs whose snapshots are taken, in each lane. What is not is folded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimits {
    pub runs_max: usize,
    /// Of the events that were folded.
    pub bytes_max: usize,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { runs_max: 10_000, bytes_max: 64 << 20 }
    }
}

/// What a run takes beside its events, about.
const RUN_BYTES: usize = 2_048;

#[derive(Debug)]
pub(super) struct Runs {
    limits: SnapshotLimits,
    kept: FxHashMap<RunId, Kept>,
    /// By when they were told of.
    order: BTreeMap<u64, RunId>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    folded: Snapshots,
    /// Of its events.
    bytes: usize,
    at: u64,
}

impl Runs {
    pub(super) fn new(limits: SnapshotLimits) -> Self {
        Self { limits, kept: FxHashMap::default(), order: BTreeMap::new(), next: 0, bytes: 0 }
    }

    pub(super) fn limits(&self) -> SnapshotLimits {
        self.limits
    }

    pub(super) fn has(&self, run: RunId) -> bool {
        self.kept.contains_key(&run)
    }

    /// Takes a run out, with how many bytes its events had.
    pub(super) fn take(&mut self, run: RunId) -> Option<(Snapshots, usize)> {
        let Kept { folded, bytes, at } = self.kept.remove(&run)?;
        self.order.remove(&at);
        self.bytes -= bytes + RUN_BYTES;
        Some((folded, bytes))
    }

    /// Keeps a run at hand that is not, and lets those go that were told of longest ago: itself, where it is alone too large.
    pub(super) fn put(&mut self, run: RunId, folded: Snapshots, bytes: usize) {
        let at = self.next;
        self.next += 1;
        self.bytes += bytes + RUN_BYTES;
        self.order.insert(at, run);
        self.kept.insert(run, Kept { folded, bytes, at });
        while self.kept.len() > self.limits.runs_max || self.bytes > self.limits.bytes_max {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            self.take(*oldest);
        }
    }
}
