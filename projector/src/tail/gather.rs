//! When a batch is cut.
//!
//! Bigger batches are cheaper twice: the fixed cost of a transaction is shared, and what begins and ends inside one is
//! one row, written once. So under load a batch is given time to fill, and when little happens it goes soon: a lone
//! bundle at once, because what is kept apart is one cut from the next.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::ShardId;
use headwater_streams::journals::Entry;
use tokio::time::Instant;

use crate::batch::{Batch, Cursor, Discontinuity};
use crate::documents::Documents;

/// What a batch may grow to before it is cut.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// It is cut at the bundle that reaches this.
    pub events_max: usize,
    /// It is cut at the bundle that reaches this.
    pub bytes_max: usize,
    /// It is cut so long after the one before it, when little happens or a reader waits.
    pub apart_idle: Duration,
    /// The same while more than [`BatchLimits::BUSY_EVENTS_PER_SECOND`] come in.
    pub apart_busy: Duration,
}

impl BatchLimits {
    /// Above this rate a batch is given time to fill.
    pub const BUSY_EVENTS_PER_SECOND: usize = 2_000;
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            events_max: 20_000,
            bytes_max: 6 << 20,
            apart_idle: Duration::from_millis(20),
            apart_busy: Duration::from_millis(250),
        }
    }
}

/// The batch that is being filled, and the cursors it will start from.
#[derive(Debug)]
pub(super) struct Gathering {
    limits: BatchLimits,
    cursors: BTreeMap<ShardId, Cursor>,
    batch: Batch,
    first_at: Option<Instant>,
    last_cut: Instant,
    busy: bool,
}

impl Gathering {
    pub(super) fn new(limits: BatchLimits, cursors: Vec<Cursor>) -> Self {
        Self {
            limits,
            cursors: cursors.into_iter().map(|cursor| (cursor.shard, cursor)).collect(),
            batch: Batch::default(),
            first_at: None,
            last_cut: Instant::now(),
            busy: false,
        }
    }

    pub(super) fn push(&mut self, shard: ShardId, entry: Entry) -> Result<(), Discontinuity> {
        let Some(cursor) = self.cursors.get(&shard) else { return Ok(()) };
        self.batch.push(cursor, entry)?;
        self.first_at.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Takes what the next entries name by digest.
    pub(super) fn bring(&mut self, documents: Documents) {
        self.batch.bring(documents);
    }

    /// Returns where a shard stood before the batch.
    pub(super) fn cursor(&self, shard: ShardId) -> Option<Cursor> {
        self.cursors.get(&shard).cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Returns whether nothing more should be added.
    pub(super) fn is_full(&self) -> bool {
        self.batch.changes().events >= self.limits.events_max || self.batch.bytes() >= self.limits.bytes_max
    }

    /// Returns when the batch is to be cut; `None` while it is empty.
    pub(super) fn due_at(&self, awaited: bool) -> Option<Instant> {
        let apart = if self.busy && !awaited { self.limits.apart_busy } else { self.limits.apart_idle };
        self.first_at.map(|first| if self.is_full() { first } else { first.max(self.last_cut + apart) })
    }

    /// Takes the batch, leaving an empty one that starts where this one ends.
    pub(super) fn cut(&mut self) -> Batch {
        let now = Instant::now();
        let span = now.duration_since(self.last_cut).max(Duration::from_millis(1));
        let rate = self.batch.changes().events as f64 / span.as_secs_f64();
        self.busy = rate > BatchLimits::BUSY_EVENTS_PER_SECOND as f64;
        (self.last_cut, self.first_at) = (now, None);
        let batch = std::mem::take(&mut self.batch);
        for cursor in batch.cursors() {
            self.cursors.insert(cursor.shard, cursor);
        }
        batch
    }
}
