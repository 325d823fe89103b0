//! What the journal says before anything is decided.

use std::time::Duration;

use headwater_core::shard::{Bundle, Mismatch, Owner, Shard, ShardMap};
use headwater_core::{Sequence, ShardId};
use headwater_streams::journal::{Journal, ReadError};
use headwater_streams::{Broker, ExchangeError};

/// Says why a shard cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecoverError {
    #[error("the journal cannot be opened")]
    Open(#[source] ExchangeError),
    #[error("the journal cannot be read")]
    Read(#[source] ReadError),
    #[error("entry {sequence} of the journal is not a bundle")]
    Malformed { sequence: Sequence, source: serde_json::Error },
    #[error("entry {sequence} of the journal does not follow")]
    Mismatch { sequence: Sequence, source: Mismatch },
}

/// Folds the whole journal of a shard.
pub(super) async fn recover<C>(
    broker: &Broker,
    shard: ShardId,
    map: &ShardMap,
) -> Result<(Journal, Owner<C>), RecoverError> {
    let journal = Journal::open(broker, shard).await.map_err(RecoverError::Open)?;
    let end = journal.info().await.map_err(RecoverError::Open)?.last;
    let mut owner = Owner::new(Shard::new(shard, map.clone()));
    if end == Sequence::ZERO {
        return Ok((journal, owner));
    }
    let mut reader = journal.read(Sequence::FIRST);
    let mut reached = Sequence::ZERO;
    while reached < end {
        for entry in reader.next(256, Duration::from_secs(10)).await.map_err(RecoverError::Read)? {
            let sequence = entry.sequence;
            let bundle: Bundle =
                serde_json::from_slice(&entry.bytes).map_err(|source| RecoverError::Malformed { sequence, source })?;
            let corrupt = owner
                .fold(sequence, &bundle, &entry.bytes)
                .map_err(|source| RecoverError::Mismatch { sequence, source })?;
            for corrupt in corrupt {
                tracing::error!(%shard, %sequence, aggregate = %corrupt.aggregate, reason = %corrupt.reason, "quarantined");
            }
            reached = sequence;
        }
    }
    reader.close().await;
    Ok((journal, owner))
}
