//! The shards as requests meet them: which decides for what, and where their journals end.

use std::time::Duration;

use headwater_core::ShardId;
use headwater_core::shard::{AggregateId, Position, ShardMap};
use headwater_streams::journals::{JetStreamJournals, Journals as _};
use headwater_workers::shard_client::ShardClient;

use super::incarnation::Incarnations;
use crate::process::Process;

/// How long the broker may take to say where a journal ends.
pub const HEAD_WAIT: Duration = Duration::from_secs(2);

/// The shards, whoever drives them.
pub struct Shards {
    map: ShardMap,
    pub(super) client: ShardClient,
    pub(super) journals: JetStreamJournals,
    pub(super) incarnations: Incarnations,
}

impl Shards {
    pub fn new(process: &Process, incarnations: Incarnations) -> Self {
        let journals = JetStreamJournals::new(&process.broker);
        Self { map: process.map.clone(), client: process.client.clone(), journals, incarnations }
    }

    /// Returns every shard, in order.
    pub fn all(&self) -> impl Iterator<Item = ShardId> {
        (0..self.map.shards).filter_map(|number| ShardId::new(number).ok())
    }

    /// Returns whether there is such a shard.
    pub fn has(&self, shard: ShardId) -> bool {
        shard.number() < self.map.shards
    }

    /// Returns the shard that decides for an aggregate. `None`: the map has no place for it, or several have it.
    pub fn of(&self, aggregate: &AggregateId) -> Option<ShardId> {
        self.map.shard_of(aggregate)
    }

    /// Returns the shard that a run with this much randomness begins on.
    pub fn spread(&self, randomness: u64) -> ShardId {
        self.map.spread(randomness)
    }

    /// Returns where these journals end. `None`: the broker does not say.
    pub async fn ends_of(&self, shards: impl IntoIterator<Item = &ShardId>) -> Option<Vec<Position>> {
        let ends = shards.into_iter().map(|&shard| async move {
            let sequence = tokio::time::timeout(HEAD_WAIT, self.journals.head(shard)).await.ok()?.ok()?;
            Some(Position { shard, sequence: sequence.within(self.incarnations.of(shard).await) })
        });
        futures_util::future::join_all(ends).await.into_iter().collect()
    }
}
