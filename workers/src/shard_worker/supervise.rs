//! Which shards this process drives: those whose lease it holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_core::ShardId;
use headwater_core::shard::ShardMap;
use headwater_streams::Broker;
use headwater_streams::definitions::Definitions;
use headwater_streams::ownership::{Ownership, OwnershipChange, OwnershipConfig, OwnershipError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{CheckpointWriter, Tally};
use super::deliver::Outlets;
use super::drive::{Driver, Stopped};
use super::recover::{Recovered, recover};
use super::{ShardCounters, ShardSettings};
use crate::shard_client::ShardClient;

/// How long a shard that could not be taken over is left alone.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Drives every shard this process owns.
pub struct ShardSupervisor {
    pub broker: Broker,
    pub map: ShardMap,
    pub ownership: OwnershipConfig,
    pub client: ShardClient,
    pub settings: ShardSettings,
    pub counters: Arc<ShardCounters>,
}

struct Driving {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl ShardSupervisor {
    /// Runs until `shutdown`; then lets every shard finish its append and gives the leases back.
    ///
    /// # Errors
    /// See [`OwnershipError`]: then this process cannot drive shards any more.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), OwnershipError> {
        let Self { broker, map, ownership, client, settings, counters } = self;
        let (ownership, mut changes) = Ownership::join(&broker, ownership).await?;
        let outlets = Outlets { definitions: Definitions::new(&broker), broker, client, map };
        let (writer, due) = CheckpointWriter::new(outlets.broker.clone(), outlets.map.clone(), counters.clone());
        let stop_writing = shutdown.child_token();
        let writing = tokio::spawn(writer.run(stop_writing.clone()));
        let owning = tokio::spawn(ownership.run(shutdown.cancelled_owned()));
        let mut driving: HashMap<ShardId, Driving> = HashMap::new();
        // The channel closes when ownership has left, after every shard was announced as lost.
        while let Some(change) = changes.recv().await {
            match change {
                OwnershipChange::Acquired { shard, .. } => {
                    let stop = CancellationToken::new();
                    let (outlets, due) = (outlets.clone(), due.clone());
                    let task = drive(shard, outlets, settings.clone(), counters.clone(), due, stop.clone());
                    driving.insert(shard, Driving { stop, task: tokio::spawn(task) });
                }
                OwnershipChange::Lost { shard, reason, handover } => {
                    tracing::info!(%shard, ?reason, "giving the shard up");
                    if let Some(Driving { stop, task }) = driving.remove(&shard) {
                        stop.cancel();
                        tokio::spawn(async move {
                            if let Err(error) = task.await {
                                tracing::error!(%shard, %error, "the shard worker panicked");
                            }
                            drop(handover);
                        });
                    }
                }
            }
            counters.shards_owned.store(driving.len() as u64, Ordering::Relaxed);
        }
        for Driving { stop, task } in driving.into_values() {
            stop.cancel();
            if let Err(error) = task.await {
                tracing::error!(%error, "a shard worker panicked");
            }
        }
        // It may not be for a shutdown that nobody drives any more.
        stop_writing.cancel();
        if let Err(error) = writing.await {
            tracing::error!(%error, "the writer of checkpoints panicked");
        }
        owning.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the ownership task panicked");
            Ok(())
        })
    }
}

/// Recovers and drives one shard, again and again while its lease is held.
async fn drive(
    shard: ShardId,
    outlets: Outlets,
    settings: ShardSettings,
    counters: Arc<ShardCounters>,
    due: mpsc::Sender<ShardId>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let recovered = tokio::select! {
            () = stop.cancelled() => return,
            recovered = recover(&outlets.broker, shard, &outlets.map) => recovered,
        };
        match recovered {
            Ok(Recovered { journal, owner, checkpoint, folded }) => {
                let (runs, checkpoint) = (owner.shard().active_runs(), checkpoint.map(|sequence| sequence.get()));
                let folded_bundles = folded.bundles;
                tracing::info!(%shard, epoch = %owner.epoch(), runs, checkpoint, folded_bundles, "driving the shard");
                for (aggregate, reason) in owner.shard().quarantined() {
                    tracing::error!(%shard, %aggregate, reason, "quarantined");
                }
                ShardCounters::add(&counters.take_overs, 1);
                ShardCounters::add(&counters.bundles_folded, folded_bundles);
                let tally = Tally::new(shard, folded, settings.clone(), due.clone());
                let driver = Driver::new(journal, owner, settings.clone(), counters.clone(), outlets.clone(), tally);
                match driver.run(stop.clone()).await {
                    Stopped::Asked => return,
                    stopped @ (Stopped::Lost(_) | Stopped::Serve(_)) => {
                        tracing::warn!(%shard, reason = %stopped, "stepped down");
                    }
                }
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%shard, %error, cause, "the shard cannot be taken over, trying again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
}
