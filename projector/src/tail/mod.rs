//! The projector: follows journals for as long as it runs.
//!
//! Its shards are dealt to lanes; a lane is one task with one connection that folds the next batch while the last one
//! is being written. One lane is enough for two cores: the database does more work for a batch than the fold does.

mod gather;
mod lane;
mod observer;
mod progress;
mod standby;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::shard::{Sighting, Witness};
use headwater_core::{Sequence, ShardId};
use headwater_streams::ExchangeError;
use headwater_streams::duty::{self, Duty, Panicked};
use headwater_streams::journals::Journals;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, DatabaseError};
use crate::journal::JournalError;
use crate::snapshots::SnapshotLimits;
use crate::write::WriteError;
use lane::Lane;

pub use gather::BatchLimits;
pub use observer::Observer;
pub(crate) use progress::{Away, Publisher, Stage, Stop, Wanted};
pub use progress::{Lag, Progress, ShardState, WaitError};

/// Says why a lane stopped for a moment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    #[error("the batch could not be written")]
    Write(#[from] WriteError),
    #[error("the journal could not be read")]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("what comes next does not follow")]
    Discontinuity(#[from] crate::batch::Discontinuity),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl LaneError {
    /// Returns where the operator of the database has to act.
    fn stop(&self) -> Option<Stop> {
        match self {
            Self::Write(WriteError::Database(error)) => error.unfit().map(|unfit| Stop { unfit, at: Stage::Writing }),
            Self::Database(error) => error.unfit().map(|unfit| Stop { unfit, at: Stage::Opening }),
            Self::Write(WriteError::CursorMoved | WriteError::Refused { .. } | WriteError::Journal(_))
            | Self::Journal(_)
            | Self::Discontinuity(_)
            | Self::Panicked(_) => None,
        }
    }
}

/// Folds the journals of some shards into a database, from wherever their cursors stand.
///
/// Of several projectors of one schema one works; the others stand by, and one of them takes over when it is gone. Should
/// two work for a moment all the same, each batch is applied by one of them (`PRJ-1`).
#[derive(Debug)]
pub struct Projector<J> {
    database: Database,
    journal: Arc<J>,
    shards: Vec<ShardId>,
    lanes: usize,
    limits: BatchLimits,
    snapshots: SnapshotLimits,
    publisher: Publisher,
}

/// How often the heads of the journals are asked for, to know the lag.
const HEAD_INTERVAL: Duration = Duration::from_secs(1);

impl<J: Journals> Projector<J> {
    /// Makes a projector of these shards with one lane. Nothing happens before [`Self::run`].
    pub fn new(database: Database, journal: Arc<J>, shards: Vec<ShardId>) -> Self {
        let publisher = Publisher::new(&shards);
        let (limits, snapshots) = (BatchLimits::default(), SnapshotLimits::default());
        Self { database, journal, shards, lanes: 1, limits, snapshots, publisher }
    }

    /// Deals the shards to so many lanes (at least one), for machines with cores to spare.
    #[must_use]
    pub fn with_lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes.max(1);
        self
    }

    /// Cuts batches otherwise than by default.
    #[must_use]
    pub fn with_limits(mut self, limits: BatchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps otherwise than by default at hand what snapshots are taken of.
    #[must_use]
    pub fn with_snapshot_limits(mut self, limits: SnapshotLimits) -> Self {
        self.snapshots = limits;
        self
    }

    /// Returns a view of how far it is, valid as long as anybody likes.
    pub fn progress(&self) -> Progress {
        self.publisher.progress()
    }

    /// Runs until `shutdown`; then what is being written is finished first. Whatever fails or panics is tried again, with
    /// waits from a tenth of a second to five seconds, from where the cursors in the database stand.
    pub async fn run(self, shutdown: CancellationToken) {
        let heads = {
            let (journal, shards) = (Arc::clone(&self.journal), self.shards.clone());
            let (publisher, shutdown) = (self.publisher.clone(), shutdown.clone());
            move || watch_heads(Arc::clone(&journal), shards.clone(), publisher.clone(), shutdown.clone())
        };
        let mut watching = JoinSet::new();
        watching.spawn(duty::keep(Duty::ProjectorHeads, heads));
        while !shutdown.is_cancelled() {
            let turn = tokio::select! {
                () = shutdown.cancelled() => break,
                turn = standby::wait(&self.database, &self.shards, &self.publisher) => turn,
            };
            let stop = shutdown.child_token();
            let mut lanes = self.lanes(&stop);
            tokio::select! {
                () = turn.lost() => tracing::warn!("the database may have given our turn to another projector"),
                () = shutdown.cancelled() => {}
            }
            stop.cancel();
            while lanes.join_next().await.is_some() {}
        }
        while watching.join_next().await.is_some() {}
    }

    fn lanes(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut lanes = JoinSet::new();
        for number in 0..self.lanes {
            let shards: Vec<_> = self.shards.iter().copied().skip(number).step_by(self.lanes).collect();
            if shards.is_empty() {
                continue;
            }
            let lane = Lane {
                database: self.database.clone(),
                journal: Arc::clone(&self.journal),
                shards,
                limits: self.limits,
                snapshots: self.snapshots,
                publisher: self.publisher.clone(),
            };
            lanes.spawn(lane.run(stop.clone()));
        }
        lanes
    }
}

impl<J> Clone for Projector<J> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            journal: Arc::clone(&self.journal),
            shards: self.shards.clone(),
            lanes: self.lanes,
            limits: self.limits,
            snapshots: self.snapshots,
            publisher: self.publisher.clone(),
        }
    }
}

async fn watch_heads<J: Journals>(
    journal: Arc<J>,
    shards: Vec<ShardId>,
    publisher: Publisher,
    shutdown: CancellationToken,
) {
    loop {
        for &shard in &shards {
            // Without an answer the last known head stands, and the lag behind it grows older, which is true.
            let asked = look_at(&*journal, shard, &publisher);
            if let Ok(Err(error)) = tokio::time::timeout(HEAD_INTERVAL * 5, asked).await {
                tracing::debug!(%error, "how long a journal is is not known now");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(HEAD_INTERVAL) => {}
        }
    }
}

/// Asks how long a journal is. One that is shorter than what was projected of it has lost something.
async fn look_at<J: Journals>(journal: &J, shard: ShardId, publisher: &Publisher) -> Result<(), ExchangeError> {
    // Before the question: the journal cannot have been shorter then.
    let cursor = publisher.progress().of(shard).map_or(Sequence::ZERO, |state| state.cursor);
    let seen = Sighting { witness: Witness::Cursor {}, at: cursor, digest: None };
    let head = match journal.head(shard).await {
        Ok(head) if head >= cursor.in_stream() => head.within(cursor.incarnation()),
        Ok(_) | Err(_) => {
            publisher.held(shard, &seen, journal.contradicts(shard, &seen).await?);
            return Ok(());
        }
    };
    publisher.head(shard, head);
    Ok(())
}

/// Projects journals up to the given places, and no further, in so many lanes. Returns the number of events.
pub(crate) async fn project_until<J: Journals>(
    database: &Database,
    journal: &Arc<J>,
    until: &BTreeMap<ShardId, Sequence>,
    lanes: usize,
) -> Result<u64, LaneError> {
    let session = |number: usize| async move {
        let until: BTreeMap<_, _> = until.iter().skip(number).step_by(lanes).map(|(at, end)| (*at, *end)).collect();
        let shards: Vec<ShardId> = until.keys().copied().collect();
        let lane = Lane {
            database: database.clone(),
            journal: Arc::clone(journal),
            publisher: Publisher::new(&shards),
            shards,
            limits: BatchLimits::default(),
            snapshots: SnapshotLimits::default(),
        };
        if until.is_empty() {
            Ok(0)
        } else {
            lane.session(Some(&until), &BTreeMap::new(), &CancellationToken::new()).await
        }
    };
    let events = futures_util::future::try_join_all((0..lanes).map(session)).await?;
    Ok(events.into_iter().sum())
}
