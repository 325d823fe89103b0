//! How far the read models are, as requests need it.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::shard::Position;
use headwater_core::{Revision, RunId};
use headwater_projector::live::{Live, Page, TooMany};
use headwater_projector::{Lag, Progress, WaitError};

use super::lag::LagView;

/// How far the read models are, whoever projects.
pub struct ProjectionView {
    progress: Progress,
    /// The same of the projector in this process, if it has one.
    projector: Option<Progress>,
    live: Live,
    lag: LagView,
}

impl ProjectionView {
    /// `progress`: of whoever projects. `projector`: of the projector in this process, if it has one.
    pub fn new(progress: Progress, projector: Option<Progress>, live: Live, lag: LagView) -> Self {
        Self { progress, projector, live, lag }
    }

    /// Waits until the read models contain a position.
    ///
    /// # Errors
    /// See [`WaitError`].
    pub async fn wait_for(&self, position: Position, within: Duration) -> Result<(), WaitError> {
        self.progress.wait_for(position, within).await
    }

    /// Returns whether a journal is known to have been as far as a position.
    pub fn has_seen(&self, Position { shard, sequence }: Position) -> bool {
        self.progress.of(shard).is_some_and(|state| state.cursor.max(state.head) >= sequence)
    }

    /// Returns how old what is read may be, in milliseconds, if anybody knows.
    pub fn lag_millis(&self) -> Option<u64> {
        self.lag.millis()
    }

    /// Returns how far each shard is behind. `None`: this process projects nothing.
    pub fn lag(&self) -> Option<Vec<Lag>> {
        self.projector.as_ref().map(Progress::lag)
    }

    /// Waits until more of a run can be read than up to `after`.
    ///
    /// # Errors
    /// [`TooMany`] who wait for runs.
    pub async fn behind(&self, run: RunId, after: Revision) -> Result<Arc<Page>, TooMany> {
        self.live.behind(run, after).await
    }
}
