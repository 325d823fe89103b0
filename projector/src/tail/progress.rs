//! How far a projector is, for readers who wait and for whoever watches the lag.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_core::shard::{HoldReason, Position, Sighting};
use headwater_core::{Sequence, ShardId, Timestamp};
use tokio::sync::watch;

use crate::batch::{Cursor, Discontinuity};

type Shards = BTreeMap<ShardId, ShardState>;

/// Where a shard's projection stands in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardState {
    /// The last bundle whose rows can be read.
    pub cursor: Sequence,
    /// The last bundle of the journal, as far as is known.
    pub head: Sequence,
    /// The time of the last commit that can be read.
    pub time: Option<Timestamp>,
    /// Corrupt: the shard is set aside until it is rebuilt.
    pub broken: Option<Discontinuity>,
}

impl ShardState {
    fn is_held(&self) -> bool {
        match &self.broken {
            Some(Discontinuity::Contradicted { .. }) => true,
            Some(
                Discontinuity::Gap { .. }
                | Discontinuity::ForeignChain { .. }
                | Discontinuity::Replaced { .. }
                | Discontinuity::Newer { .. },
            )
            | None => false,
        }
    }
}

/// How far a shard's projection is behind its journal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    pub shard: ShardId,
    /// Journal messages not yet projected; each holds one commit or more.
    pub bundles: u64,
    /// How old the last projected commit is, by this process's clock; zero when nothing is behind.
    pub millis: u64,
    pub broken: bool,
}

/// Says why a position was not waited for to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Unavailable: it is not projected yet. Ask again.
    #[error("the position is not projected yet")]
    DeadlinePassed,
    /// Rejection: this projector does not follow the shard.
    #[error("the shard is not projected here")]
    ForeignShard,
    /// Corrupt: the shard has to be rebuilt first.
    #[error("the shard's projection is broken")]
    Broken,
    /// Corrupt: the journal does not show what was projected of it, so nobody knows what the position stands for.
    #[error("the shard is on hold: its journal does not show what was projected of it")]
    Held,
}

/// A view of a projector's progress. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    shards: watch::Receiver<Shards>,
    waiting: Arc<AtomicUsize>,
}

impl Progress {
    /// Returns where a shard stands. `None`: it is not projected here.
    pub fn of(&self, shard: ShardId) -> Option<ShardState> {
        self.shards.borrow().get(&shard).cloned()
    }

    /// Returns how far every shard is behind.
    pub fn lag(&self) -> Vec<Lag> {
        let now = now();
        let lag = |(shard, state): (&ShardId, &ShardState)| {
            let bundles = state.head.get().saturating_sub(state.cursor.get());
            let age = if bundles == 0 { Duration::ZERO } else { now.since(state.time.unwrap_or(now)) };
            let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            Lag { shard: *shard, bundles, millis, broken: state.broken.is_some() }
        };
        self.shards.borrow().iter().map(lag).collect()
    }

    /// Waits until what was written at `position` can be read. Whoever waits makes the projector hurry.
    ///
    /// # Errors
    /// See [`WaitError`].
    pub async fn wait_for(&self, position: Position, deadline: Duration) -> Result<(), WaitError> {
        let Position { shard, sequence } = position;
        // What is wrong with an incarnation that was given up says nothing of the next.
        let is_broken =
            |state: &ShardState| state.broken.is_some() && sequence.incarnation() <= state.cursor.incarnation();
        let reached =
            |shards: &Shards| shards.get(&shard).is_none_or(|state| state.cursor >= sequence || is_broken(state));
        let mut shards = self.shards.clone();
        let _waiting = Waiting::new(&self.waiting);
        let state = match tokio::time::timeout(deadline, shards.wait_for(reached)).await {
            Ok(Ok(shards)) => shards.get(&shard).cloned(),
            // The projector is gone: nothing will come any more.
            Ok(Err(_)) | Err(_) => return Err(WaitError::DeadlinePassed),
        };
        match state {
            None => Err(WaitError::ForeignShard),
            Some(state) if state.is_held() => Err(WaitError::Held),
            Some(state) if state.cursor >= sequence => Ok(()),
            Some(_) => Err(WaitError::Broken),
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The other end of [`Progress`].
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    shards: watch::Sender<Shards>,
    waiting: Arc<AtomicUsize>,
}

impl Publisher {
    pub(crate) fn new(shards: &[ShardId]) -> Self {
        let fresh = ShardState { cursor: Sequence::ZERO, head: Sequence::ZERO, time: None, broken: None };
        let shards = shards.iter().map(|shard| (*shard, fresh.clone())).collect();
        Self { shards: watch::Sender::new(shards), waiting: Arc::default() }
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { shards: self.shards.subscribe(), waiting: Arc::clone(&self.waiting) }
    }

    /// Returns whether a reader waits for something.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Says where cursors stand; after a crash of the database that can be before where they stood.
    pub(crate) fn cursors(&self, cursors: &[Cursor]) {
        self.shards.send_modify(|shards| {
            for cursor in cursors {
                if let Some(state) = shards.get_mut(&cursor.shard) {
                    if cursor.sequence.incarnation() > state.cursor.incarnation() {
                        state.broken = None;
                    }
                    state.cursor = cursor.sequence;
                    state.head = state.head.max(cursor.sequence);
                    state.time = cursor.time.or(state.time);
                }
            }
        });
    }

    pub(crate) fn head(&self, shard: ShardId, head: Sequence) {
        self.shards.send_if_modified(|shards| match shards.get_mut(&shard) {
            Some(state) if state.head < head => {
                state.head = head;
                true
            }
            Some(_) | None => false,
        });
    }

    /// Says whether a journal contradicts what was `seen` of it; nothing else that is wrong with the shard is touched. What was
    /// seen of an incarnation that was given up says nothing.
    pub(crate) fn held(&self, shard: ShardId, seen: &Sighting, reason: Option<HoldReason>) {
        let state = self.shards.borrow().get(&shard).cloned();
        let is_held = state.as_ref().is_some_and(ShardState::is_held);
        let is_past = state.is_some_and(|state| state.cursor.incarnation() > seen.at.incarnation());
        match reason {
            Some(_) if is_past => {}
            Some(reason) => self.broken(shard, Some(Discontinuity::Contradicted { shard, reason })),
            None if is_held => self.broken(shard, None),
            None => {}
        }
    }

    pub(crate) fn broken(&self, shard: ShardId, broken: Option<Discontinuity>) {
        self.shards.send_if_modified(|shards| match shards.get_mut(&shard) {
            Some(state) if state.broken != broken => {
                state.broken = broken;
                true
            }
            Some(_) | None => false,
        });
    }
}

/// Returns the time by this machine's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
