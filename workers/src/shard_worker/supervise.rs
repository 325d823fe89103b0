//! Which shards this process drives: those whose lease it holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_core::ShardId;
use headwater_core::shard::ShardMap;
use headwater_streams::definitions::Definitions;
use headwater_streams::ownership::{Ownership, OwnershipChange, OwnershipError};
use headwater_streams::tasks::{QueueSettings, TaskQueue};
use headwater_streams::Broker;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::deliver::Outlets;
use super::drive::{Driver, Stopped};
use super::recover::recover;
use super::{ShardCounters, ShardSettings};
use crate::shard_client::ShardClient;

/// How long a shard that could not be taken over is left alone.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Says why a process cannot drive shards any more.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error("the ownership of shards cannot be kept")]
    Ownership(#[source] OwnershipError),
}

/// Drives every shard this process owns.
pub struct ShardSupervisor {
    pub broker: Broker,
    pub map: ShardMap,
    pub ownership: Ownership,
    pub client: ShardClient,
    pub settings: ShardSettings,
    pub queues: QueueSettings,
    pub counters: Arc<ShardCounters>,
}

impl ShardSupervisor {
    /// Runs until `shutdown`; then lets every shard finish its append and gives the leases back.
    ///
    /// # Errors
    /// See [`SuperviseError`].
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), SuperviseError> {
        let Self { broker, map, ownership, client, settings, queues, counters } = self;
        let outlets = Outlets {
            tasks: TaskQueue::new(&broker, queues),
            definitions: Definitions::new(&broker),
            broker,
            client,
            map,
        };
        let (changes, mut changed) = mpsc::channel(64);
        let owning = CancellationToken::new();
        let owner = tokio::spawn(ownership.run(changes, owning.clone()));
        let mut driving: HashMap<ShardId, CancellationToken> = HashMap::new();
        let mut drivers = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                change = changed.recv() => match change {
                    Some(OwnershipChange::Acquired { shard, .. }) => {
                        let stop = CancellationToken::new();
                        if let Some(before) = driving.insert(shard, stop.clone()) {
                            before.cancel();
                        }
                        drivers.spawn(drive(shard, outlets.clone(), settings.clone(), counters.clone(), stop));
                    }
                    Some(OwnershipChange::Lost { shard }) => {
                        if let Some(stop) = driving.remove(&shard) {
                            stop.cancel();
                        }
                    }
                    None => break,
                },
                Some(ended) = drivers.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a shard worker panicked; its shard is served again when its lease moves");
                    }
                }
            }
            counters.shards_owned.store(driving.len() as u64, Ordering::Relaxed);
        }
        for stop in driving.into_values() {
            stop.cancel();
        }
        while drivers.join_next().await.is_some() {}
        owning.cancel();
        match owner.await {
            Ok(result) => result.map_err(SuperviseError::Ownership),
            Err(error) => {
                tracing::error!(%error, "the ownership task panicked");
                Ok(())
            }
        }
    }
}

/// Recovers and drives one shard, again and again while its lease is held.
async fn drive(
    shard: ShardId,
    outlets: Outlets,
    settings: ShardSettings,
    counters: Arc<ShardCounters>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let recovered = tokio::select! {
            () = stop.cancelled() => return,
            recovered = recover(&outlets.broker, shard, &outlets.map) => recovered,
        };
        match recovered {
            Ok((journal, owner)) => {
                tracing::info!(%shard, epoch = %owner.epoch(), runs = owner.shard().active_runs(), "driving the shard");
                ShardCounters::add(&counters.take_overs, 1);
                let driver = Driver::new(journal, owner, settings.clone(), counters.clone(), outlets.clone());
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
