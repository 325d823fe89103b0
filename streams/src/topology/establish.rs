//! How a cluster comes to be, and how a start leaves alone what has to be there (ADR 18).

use headwater_core::shard::{JournalState, ShardMap};
use headwater_core::{InvalidName, ShardId};

use super::{Plan, StreamSpec, Topology, TopologyError};
use crate::journal::Journal;
use crate::subject::journal_stream;
use crate::{Broker, Disposition, ExchangeError, shard_map};

/// Says why a cluster was not brought into shape.
#[derive(Debug, thiserror::Error)]
pub enum EstablishError {
    #[error("the number of shards is not valid")]
    Shards(#[from] InvalidName),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl EstablishError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Shards(_) => Disposition::Rejection,
            Self::Topology(error) => error.disposition(),
            Self::Exchange(error) => error.disposition(),
        }
    }
}

/// Brings the streams into shape and returns the table of slots. An existing cluster keeps its number of shards; `shards` is
/// that of a new one. A journal that has begun is never made: where it is missing, [`Plan::missing`] names it.
///
/// # Errors
/// See [`EstablishError`]; safe to repeat, and to run twice at once.
pub async fn establish(broker: &Broker, shards: u16, replicas: usize) -> Result<(ShardMap, Plan), EstablishError> {
    let mut made = Vec::new();
    let map = match shard_map::load(broker).await? {
        Some(map) => map,
        None => {
            let topology = Topology::new(shards, replicas)?;
            // Runs carry their shard in their ids: where journals hold something, the map was lost, not the journals.
            let has_begun = holds_entries(broker, &topology).await?;
            made = topology.without_journals().apply(broker).await?.create;
            let state = if has_begun { JournalState::UNSAID } else { JournalState::New {} };
            shard_map::create_if_absent(broker, &ShardMap::even(shards)?, state).await?
        }
    };
    shard_map::begin_creating(broker).await?;
    let topology = Topology::new(map.shards, replicas)?.keeping(&shard_map::journal_states(broker, map.shards).await?);
    let mut plan = topology.apply(broker).await?;
    plan.create.append(&mut made);
    Ok((map, plan))
}

async fn holds_entries(broker: &Broker, topology: &Topology) -> Result<bool, ExchangeError> {
    for number in 0..topology.shards {
        let Ok(shard) = ShardId::new(number) else { continue };
        if let Some((_, info)) = Journal::look(broker, shard).await?
            && info.last.get() > 0
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Topology {
    /// Marks the journals that have begun as streams that must be there: none of them is ever made.
    #[must_use]
    pub fn keeping(mut self, states: &[(ShardId, JournalState)]) -> Self {
        let begun = states.iter().filter(|(_, state)| !state.may_be_made());
        let begun: std::collections::BTreeSet<_> = begun.map(|(shard, _)| journal_stream(*shard)).collect();
        self.streams.iter_mut().for_each(|spec| spec.must_exist |= begun.contains(&spec.name));
        self
    }

    fn without_journals(self) -> Self {
        let journals: Vec<_> =
            (0..self.shards).filter_map(|number| ShardId::new(number).ok()).map(journal_stream).collect();
        let is_shared = |spec: &StreamSpec| !journals.contains(&spec.name);
        Self { shards: self.shards, streams: self.streams.into_iter().filter(is_shared).collect() }
    }
}
