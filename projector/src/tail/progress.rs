//! How far a projector is, for readers who wait and for whoever watches the lag.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use headwater_core::shard::{HoldReason, Position, Sighting};
use headwater_core::{Sequence, ShardId, Timestamp};
use headwater_streams::clock::now;
use tokio::sync::{Notify, watch};

use crate::batch::{Cursor, Discontinuity};
use crate::fault::Unfit;

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
    /// The database does not take what is projected, until its operator has mended it.
    pub stopped: Option<Stop>,
}

/// Why nothing is projected, and at what that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub unfit: Unfit,
    pub at: Stage,
}

/// How far a projector comes; what is reached later shows that all before it can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It migrates, and reads its cursors.
    Opening,
    /// It writes a batch.
    Writing,
}

/// Whether a database that is looked at answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    Not,
    OutOfReach,
    /// With what its operator has to mend.
    Unfit,
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
    /// What the database answers to whoever writes, as long as its operator has to act.
    pub stopped: Option<String>,
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
    /// Unavailable: the database that is looked at does not answer. Ask again.
    #[error("the database is out of reach")]
    DatabaseAway,
    /// Unavailable, until its operator has mended it: the database refuses what is asked of it.
    #[error("the database refuses what is asked of it, and nothing is projected until its operator has mended it")]
    DatabaseUnfit,
}

/// A view of how far the read models are, of a projector or of one who looks at its database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    shards: watch::Receiver<Shards>,
    interest: Arc<Interest>,
}

/// Who wants to hear of progress.
#[derive(Debug, Default)]
struct Interest {
    /// Readers that wait for a position.
    waiting: AtomicUsize,
    /// Whoever tells many others of what moved.
    following: AtomicUsize,
    /// Somebody has come.
    roused: Notify,
    /// How the last look at the database ended: an [`Away`] as a number.
    away: AtomicU8,
}

/// How soon news is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Soon,
    InTime,
    NotNow,
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
            let stopped = state.stopped.as_ref().map(|stop| stop.unfit.to_string());
            Lag { shard: *shard, bundles, millis, broken: state.broken.is_some(), stopped }
        };
        self.shards.borrow().iter().map(lag).collect()
    }

    /// Returns where the cursors stand.
    pub(crate) fn cursors(&mut self) -> BTreeMap<ShardId, Sequence> {
        self.shards.borrow_and_update().iter().map(|(shard, state)| (*shard, state.cursor)).collect()
    }

    /// Asks to be told in time of what moves, for as long as what is returned is kept.
    pub(crate) fn follow(&self) -> Interested {
        Interested::new(&self.interest, |interest| &interest.following)
    }

    /// Waits until something may have moved since this view looked; for ever where nobody will say so any more.
    pub(crate) async fn moved(&mut self) {
        if self.shards.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until what was written at `position` can be read. Whoever waits makes the projector hurry.
    ///
    /// # Errors
    /// See [`WaitError`].
    pub async fn wait_for(&self, position: Position, deadline: Duration) -> Result<(), WaitError> {
        let Position { shard, sequence } = position;
        let away = || match self.interest.away.load(Ordering::Relaxed) {
            away if away == Away::Unfit as u8 => Some(WaitError::DatabaseUnfit),
            away if away == Away::OutOfReach as u8 => Some(WaitError::DatabaseAway),
            _ => None,
        };
        // What is wrong with an incarnation that was given up says nothing of the next.
        let is_broken =
            |state: &ShardState| state.broken.is_some() && sequence.incarnation() <= state.cursor.incarnation();
        let reached = |shards: &Shards| {
            let is_told = |state: &ShardState| state.cursor >= sequence || is_broken(state) || state.stopped.is_some();
            away().is_some() || shards.get(&shard).is_none_or(is_told)
        };
        let mut shards = self.shards.clone();
        let _waiting = Interested::new(&self.interest, |interest| &interest.waiting);
        let state = match tokio::time::timeout(deadline, shards.wait_for(reached)).await {
            Ok(Ok(shards)) => match away() {
                Some(away) => return Err(away),
                None => shards.get(&shard).cloned(),
            },
            // The projector is gone: nothing will come any more.
            Ok(Err(_)) | Err(_) => return Err(WaitError::DeadlinePassed),
        };
        match state {
            None => Err(WaitError::ForeignShard),
            Some(state) if state.is_held() => Err(WaitError::Held),
            Some(state) if state.cursor >= sequence => Ok(()),
            Some(state) if state.stopped.is_some() => Err(WaitError::DatabaseUnfit),
            Some(_) => Err(WaitError::Broken),
        }
    }
}

/// Counts one who wants to hear of progress, until it is dropped.
#[derive(Debug)]
pub(crate) struct Interested {
    interest: Arc<Interest>,
    count: fn(&Interest) -> &AtomicUsize,
}

impl Interested {
    fn new(interest: &Arc<Interest>, count: fn(&Interest) -> &AtomicUsize) -> Self {
        count(interest).fetch_add(1, Ordering::Relaxed);
        interest.roused.notify_one();
        Self { interest: Arc::clone(interest), count }
    }
}

impl Drop for Interested {
    fn drop(&mut self) {
        (self.count)(&self.interest).fetch_sub(1, Ordering::Relaxed);
    }
}

/// The other end of [`Progress`].
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    shards: watch::Sender<Shards>,
    interest: Arc<Interest>,
}

impl Publisher {
    pub(crate) fn new(shards: &[ShardId]) -> Self {
        let fresh =
            ShardState { cursor: Sequence::ZERO, head: Sequence::ZERO, time: None, broken: None, stopped: None };
        let shards = shards.iter().map(|shard| (*shard, fresh.clone())).collect();
        Self { shards: watch::Sender::new(shards), interest: Arc::default() }
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { shards: self.shards.subscribe(), interest: Arc::clone(&self.interest) }
    }

    /// Returns whether a reader waits for something.
    pub(crate) fn is_awaited(&self) -> bool {
        self.interest.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns how soon news is wanted.
    pub(crate) fn wanted(&self) -> Wanted {
        if self.is_awaited() {
            Wanted::Soon
        } else if self.interest.following.load(Ordering::Relaxed) > 0 {
            Wanted::InTime
        } else {
            Wanted::NotNow
        }
    }

    /// Returns when somebody has come who wants to hear of progress.
    pub(crate) async fn roused(&self) {
        self.interest.roused.notified().await;
    }

    /// Says whether the database that is looked at answers; those who wait are told at once where it does not.
    pub(crate) fn away(&self, away: Away) {
        if self.interest.away.swap(away as u8, Ordering::Relaxed) != away as u8 {
            self.shards.send_modify(|_| {});
        }
    }

    /// Says that where cursors stand is not known: nobody has looked for a while, or they may have fallen back.
    pub(crate) fn forget(&self) {
        self.shards.send_modify(|shards| shards.values_mut().for_each(|state| state.cursor = Sequence::ZERO));
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

    /// Says why the database takes nothing of these shards; those who wait are told at once.
    pub(crate) fn stopped(&self, shards: &[ShardId], stop: &Stop) {
        self.set_stopped(shards, |before| {
            // What was found out at writing is not mended by what fails before.
            let is_later = before.as_ref().is_some_and(|before| before.at > stop.at);
            *before = Some(Stop { at: if is_later { Stage::Writing } else { stop.at }, ..stop.clone() });
        });
    }

    /// Says that they came through a stage again.
    pub(crate) fn going_on(&self, shards: &[ShardId], through: Stage) {
        self.set_stopped(shards, |before| drop(before.take_if(|before| before.at <= through)));
    }

    /// Returns whether something stops one of these shards.
    pub(crate) fn is_stopped(&self, shards: &[ShardId]) -> bool {
        self.shards.borrow().iter().any(|(shard, state)| state.stopped.is_some() && shards.contains(shard))
    }

    fn set_stopped(&self, of: &[ShardId], change: impl Fn(&mut Option<Stop>)) {
        self.shards.send_if_modified(|shards| {
            let mut is_other = false;
            for (_, state) in shards.iter_mut().filter(|(shard, _)| of.contains(shard)) {
                let before = state.stopped.clone();
                change(&mut state.stopped);
                is_other |= before != state.stopped;
            }
            is_other
        });
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
