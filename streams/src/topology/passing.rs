//! Tables that hold nothing that cannot be said again: who lives, and who drives what. They are made anew wherever they are
//! missing, also while processes run.

use headwater_core::{ShardId, Timestamp};

use super::plan::{config_of, described};
use super::{LEASES, MEMBERS, SHARD_MAP, Topology};
use crate::journal::timestamp;
use crate::subject::journal_stream;
use crate::{Broker, ExchangeError};

/// When the passing tables were made: others of the same names know nothing of what stood in these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passing {
    members: Timestamp,
    leases: Timestamp,
}

impl Passing {
    /// Makes those that are missing, and returns when each was made.
    ///
    /// # Errors
    /// See [`ExchangeError`]; a broker that does not answer says nothing of the tables.
    pub(crate) async fn keep(broker: &Broker) -> Result<Self, ExchangeError> {
        Ok(Self { members: keep(broker, MEMBERS).await?, leases: keep(broker, LEASES).await? })
    }
}

async fn keep(broker: &Broker, bucket: &str) -> Result<Timestamp, ExchangeError> {
    let name = format!("KV_{bucket}");
    loop {
        if let Some(info) = described(broker, &name).await? {
            return Ok(timestamp(u64::try_from(info.created.unix_timestamp_nanos()).unwrap_or(0)));
        }
        tracing::warn!(stream = name, "a table is missing and is made anew; whatever it said is said again");
        make(broker, 1, &name).await?;
    }
}

/// Makes the journal of a shard.
///
/// # Errors
/// See [`ExchangeError`]; safe to repeat.
pub(crate) async fn make_journal(broker: &Broker, shard: ShardId) -> Result<(), ExchangeError> {
    make(broker, shard.number() + 1, &journal_stream(shard)).await
}

/// Makes a stream of the topology of so many shards, with as many replicas as the shard map has, which is never made anew.
async fn make(broker: &Broker, shards: u16, name: &str) -> Result<(), ExchangeError> {
    const WHAT: &str = "make a stream";
    let map = described(broker, &format!("KV_{SHARD_MAP}")).await?;
    let topology = Topology::new(shards, map.map_or(1, |map| map.config.num_replicas));
    let spec = topology.ok().and_then(|topology| topology.streams.into_iter().find(|spec| spec.name == name));
    let Some(spec) = spec else { return Err(ExchangeError::refused(WHAT, "it is not among the streams")) };
    let made = broker.jetstream().create_stream(config_of(&spec)).await;
    made.map(drop).map_err(|error| ExchangeError::unavailable(WHAT, error))
}
