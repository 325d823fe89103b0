//! When a checkpoint of a shard is due, and how one is made: by recovering the shard beside its owner.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::ShardId;
use headwater_core::shard::{Owner, ShardMap};
use headwater_streams::backoff::Backoff;
use headwater_streams::checkpoints::{Checkpoints, Replaced};
use headwater_streams::duty::{self, Duty};
use headwater_streams::{Broker, ExchangeError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::recover::{Growth, RecoverError, Recovered, aside, recover};
use super::{ShardCounters, ShardSettings};

/// How many shards can be due at once: as many as there can be. Where there are more, the journal grows on meanwhile.
const DUE_MAX: usize = ShardId::COUNT_MAX as usize;

/// Counts what an owner appends, and says when a checkpoint is due.
pub(super) struct Tally {
    shard: ShardId,
    since: Growth,
    settings: ShardSettings,
    due: mpsc::Sender<ShardId>,
}

impl Tally {
    /// Begins with what was folded at the take-over: the newest checkpoint does not hold that either.
    pub fn new(shard: ShardId, folded: Growth, settings: ShardSettings, due: mpsc::Sender<ShardId>) -> Self {
        Self { shard, since: folded, settings, due }
    }

    /// A bundle is on its way to the journal.
    pub fn add(&mut self, bytes: usize) {
        self.since.add(bytes);
        let Growth { bundles, bytes } = self.since;
        let is_due = bundles >= self.settings.checkpoint_bundles || bytes >= self.settings.checkpoint_bytes;
        if is_due && self.due.try_send(self.shard).is_ok() {
            self.since = Growth::default();
        }
    }
}

/// Says why no checkpoint was written. The one before stays, and the next is due as if there had been none.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the shard cannot be recovered")]
    Recover(#[from] RecoverError),
    #[error("the store of checkpoints does not answer")]
    Store(#[from] ExchangeError),
}

/// Writes the checkpoints of the shards this process drives, one at a time.
pub(super) struct CheckpointWriter {
    broker: Broker,
    map: ShardMap,
    counters: Arc<ShardCounters>,
    due: mpsc::Receiver<ShardId>,
}

impl CheckpointWriter {
    /// Makes a writer, and what tells it that a shard is due.
    pub fn new(broker: Broker, map: ShardMap, counters: Arc<ShardCounters>) -> (Self, mpsc::Sender<ShardId>) {
        let (sender, due) = mpsc::channel(DUE_MAX);
        (Self { broker, map, counters, due }, sender)
    }

    /// Writes what becomes due until `shutdown`, and goes on after a panic.
    pub async fn keep(mut self, shutdown: CancellationToken) {
        let mut backoff = Backoff::of_duty();
        loop {
            let began = Instant::now();
            if duty::attempt(Duty::CheckpointWriter, self.run(&shutdown)).await.is_ok() {
                return;
            }
            tokio::time::sleep(backoff.after(began.elapsed())).await;
        }
    }

    /// Writes what becomes due until `shutdown`; what is half done then is dropped.
    async fn run(&mut self, shutdown: &CancellationToken) {
        let mut waiting = BTreeSet::new();
        loop {
            if waiting.is_empty() {
                let next = tokio::select! {
                    () = shutdown.cancelled() => return,
                    next = self.due.recv() => next,
                };
                let Some(shard) = next else { return };
                waiting.insert(shard);
            }
            // A shard that became due twice meanwhile needs one checkpoint.
            while let Ok(shard) = self.due.try_recv() {
                waiting.insert(shard);
            }
            let Some(shard) = waiting.pop_first() else { continue };
            let (broker, map, counters) = (self.broker.clone(), self.map.clone(), self.counters.clone());
            // On a task of its own, so that a fold that panics costs this checkpoint only.
            let mut writing = tokio::spawn(async move { write(&broker, shard, &map, &counters).await });
            let written = tokio::select! {
                () = shutdown.cancelled() => return writing.abort(),
                written = &mut writing => written,
            };
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%shard, %error, cause, "no checkpoint was written");
                }
                Err(error) => {
                    tracing::warn!(%shard, %error, "no checkpoint was written");
                    Duty::CheckpointWriter.note_panic(&error.to_string());
                }
            }
        }
    }
}

/// Recovers the shard as the next owner would, and keeps what came of it.
pub(super) async fn write(
    broker: &Broker,
    shard: ShardId,
    map: &ShardMap,
    counters: &ShardCounters,
) -> Result<(), WriteError> {
    let checkpoints = Checkpoints::open(broker).await?;
    let seen = checkpoints.stamp(shard).await?;
    let Recovered { owner, folded, checkpoint: before, .. } = recover::<()>(broker, shard, map).await?;
    if folded == Growth::default() {
        return Ok(());
    }
    let sequence = owner.last();
    let bytes = aside(move || Owner::checkpoint(&owner)).await.map_err(RecoverError::from)?;
    let length = bytes.len();
    match checkpoints.replace(shard, seen.as_ref(), bytes.into()).await? {
        Replaced::Stored => {
            ShardCounters::add(&counters.checkpoints, 1);
            let before = before.map(|sequence| sequence.get());
            tracing::debug!(%shard, %sequence, before, folded = folded.bundles, bytes = length, "wrote a checkpoint");
        }
        Replaced::Overtaken => tracing::debug!(%shard, %sequence, "somebody else wrote a checkpoint meanwhile"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a checkpoint is due after each of these bundles, asked for where there is a place for it.
    fn due_after(folded: Growth, bundles: &[usize], places: usize) -> Vec<bool> {
        let settings = ShardSettings { checkpoint_bundles: 3, checkpoint_bytes: 100, ..ShardSettings::default() };
        let (sender, due) = mpsc::channel(places);
        let mut tally = Tally::new(ShardId::new(0).unwrap(), folded, settings, sender);
        let is_due = bundles.iter().map(|bytes| {
            let before = due.len();
            tally.add(*bytes);
            due.len() > before
        });
        is_due.collect()
    }

    #[test]
    fn a_checkpoint_is_due_after_so_many_bundles_or_bytes() {
        let nothing = Growth::default();
        assert_eq!(due_after(nothing, &[1, 1, 1, 1, 1, 1], 9), [false, false, true, false, false, true]);
        assert_eq!(due_after(nothing, &[99, 1, 100, 1], 9), [false, true, true, false]);
    }

    #[test]
    fn what_a_take_over_folded_counts_too() {
        let folded = Growth { bundles: 50_000, bytes: 7 };
        assert_eq!(due_after(folded, &[1, 1, 1, 1], 9), [true, false, false, true]);
    }

    #[test]
    fn a_writer_that_is_behind_does_not_hold_the_driver_up() {
        assert_eq!(due_after(Growth::default(), &[100, 100, 100], 1), [true, false, false]);
    }
}
