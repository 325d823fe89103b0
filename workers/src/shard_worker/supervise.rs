//! Which shards this process drives: those whose lease it holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_core::ShardId;
use headwater_core::shard::ShardMap;
use headwater_streams::backoff::Backoff;
use headwater_streams::definitions::Definitions;
use headwater_streams::duty::{self, Duty};
use headwater_streams::ownership::{Ownership, OwnershipChange, OwnershipConfig, OwnershipError, Tenure};
use headwater_streams::{Broker, shard_map};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint::CheckpointWriter;
use super::deliver::Outlets;
use super::held::{Holds, follow};
use super::poisons::Poisons;
use super::tenancy::Tenancy;
use super::{ShardCounters, ShardSettings};
use crate::shard_client::ShardClient;

/// How long after its time to come to rest a driver is ended from outside.
const REST_GRACE: Duration = Duration::from_secs(1);

/// Drives every shard this process owns.
#[derive(Clone)]
pub struct ShardSupervisor {
    pub broker: Broker,
    pub map: ShardMap,
    pub ownership: OwnershipConfig,
    pub client: ShardClient,
    pub settings: ShardSettings,
    pub counters: Arc<ShardCounters>,
}

/// A driver that runs.
struct Driving {
    tenure: Tenure,
    stop: CancellationToken,
    /// A set ends its tasks when it is dropped.
    task: JoinSet<()>,
}

impl Driving {
    fn begin(tenure: Tenure, tenancy: Tenancy) -> Self {
        let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
        task.spawn(tenancy.run(stop.clone()));
        Self { tenure, stop, task }
    }

    /// Lets it finish its append, or ends it when that takes too long. A bundle that lands all the same is either
    /// folded by the next driver or fenced by its first.
    async fn end(mut self, shard: ShardId, patience: Duration) {
        self.stop.cancel();
        match tokio::time::timeout(patience, self.task.join_next()).await {
            Ok(Some(Err(error))) => tracing::error!(%shard, %error, "the shard worker ended badly"),
            Ok(Some(Ok(())) | None) => {}
            Err(_) => {
                tracing::warn!(%shard, "the shard worker does not come to rest, and is ended");
                self.task.shutdown().await;
            }
        }
    }
}

impl ShardSupervisor {
    /// Runs until `shutdown`; then lets every shard finish its append and gives the leases back. What panics is begun
    /// anew: a driver by itself, the ownership with all its shards.
    ///
    /// # Errors
    /// See [`OwnershipError`]: then this process cannot drive shards any more.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), OwnershipError> {
        let outlets = Outlets {
            definitions: Definitions::new(&self.broker),
            broker: self.broker.clone(),
            client: self.client.clone(),
            map: self.map.clone(),
        };
        let (writer, due) = CheckpointWriter::new(self.broker.clone(), self.map.clone(), self.counters.clone());
        let stop_writing = shutdown.child_token();
        let mut writing = JoinSet::new();
        writing.spawn(writer.keep(stop_writing.clone()));
        let poisons = Poisons::default();
        let (mut backoff, mut began, mut rejoins) = (Backoff::of_duty(), Instant::now(), false);
        let outcome = loop {
            let (outlets, due, poisons) = (outlets.clone(), due.clone(), poisons.clone());
            match duty::attempt(Duty::Ownership, self.take_part(outlets, due, poisons, &shutdown)).await {
                // Every driver has ended: what is known of the leases is gone with their table, and nothing else.
                Ok(Err(OwnershipError::TablesRemade)) if !shutdown.is_cancelled() => {
                    tracing::warn!("the tables of members and leases were made anew; joining again");
                    rejoins = true;
                }
                Ok(Err(OwnershipError::Exchange(error))) if rejoins && !shutdown.is_cancelled() => {
                    tracing::warn!(%error, "this process cannot join the members again yet");
                    tokio::time::sleep(backoff.after(began.elapsed())).await;
                }
                Ok(Err(OwnershipError::TablesRemade)) => break Ok(()),
                Ok(outcome) => break outcome,
                Err(_) if shutdown.is_cancelled() => break Ok(()),
                Err(_) => tokio::time::sleep(backoff.after(began.elapsed())).await,
            }
            began = Instant::now();
        };
        // It may not be for a shutdown that nobody drives any more.
        stop_writing.cancel();
        while writing.join_next().await.is_some() {}
        outcome
    }

    /// Joins the members and drives what it is given, until `shutdown`. Dropping the future ends every driver.
    async fn take_part(
        &self,
        outlets: Outlets,
        due: mpsc::Sender<ShardId>,
        poisons: Poisons,
        shutdown: &CancellationToken,
    ) -> Result<(), OwnershipError> {
        let (ownership, mut changes) = Ownership::join(&self.broker, self.ownership.clone()).await?;
        let unfit = ownership.unfit();
        let patience = self.ownership.handover_max + REST_GRACE;
        let mut owning = JoinSet::new();
        owning.spawn(ownership.run(shutdown.clone().cancelled_owned()));
        let (tell_holds, holds) = watch::channel(Holds::new());
        let mut following = JoinSet::new();
        let broker = self.broker.clone();
        following.spawn(duty::keep(Duty::Holds, move || follow(broker.clone(), tell_holds.clone())));
        let (tell_incarnations, incarnations) = watch::channel(Vec::new());
        let broker = self.broker.clone();
        let follow_incarnations = move || shard_map::follow_incarnations(broker.clone(), tell_incarnations.clone());
        following.spawn(duty::keep(Duty::Incarnations, follow_incarnations));
        let mut driving: HashMap<ShardId, Driving> = HashMap::new();
        let mut retiring = JoinSet::new();
        // The channel closes when ownership has left, after every shard was announced as lost.
        while let Some(change) = changes.recv().await {
            match change {
                OwnershipChange::Acquired { shard, tenure } => {
                    if let Some(before) = driving.remove(&shard) {
                        tracing::error!(%shard, tenure = before.tenure.0, "a driver was never told to stop");
                        before.end(shard, Duration::ZERO).await;
                    }
                    let tenancy = Tenancy {
                        shard,
                        outlets: outlets.clone(),
                        settings: self.settings.clone(),
                        counters: self.counters.clone(),
                        due: due.clone(),
                        poisons: poisons.clone(),
                        unfit: unfit.clone(),
                        holds: holds.clone(),
                        incarnations: incarnations.clone(),
                    };
                    driving.insert(shard, Driving::begin(tenure, tenancy));
                }
                OwnershipChange::Lost { shard, tenure, reason, handover } => {
                    tracing::info!(%shard, ?reason, "giving the shard up");
                    if let Entry::Occupied(driven) = driving.entry(shard)
                        && driven.get().tenure == tenure
                    {
                        let driven = driven.remove();
                        retiring.spawn(async move {
                            driven.end(shard, patience).await;
                            drop(handover);
                        });
                    }
                }
            }
            while retiring.try_join_next().is_some() {}
            self.counters.shards_owned.store(driving.len() as u64, Ordering::Relaxed);
        }
        // Those that ownership had no time to announce as lost.
        for (shard, driven) in driving {
            retiring.spawn(driven.end(shard, patience));
        }
        while retiring.join_next().await.is_some() {}
        self.counters.shards_owned.store(0, Ordering::Relaxed);
        match owning.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) | None => Ok(()),
        }
    }
}
