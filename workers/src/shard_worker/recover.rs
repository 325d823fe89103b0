//! What the journal says before anything is decided: its newest checkpoint, and the entries behind it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use headwater_core::shard::{
    AggregateId, BUNDLE_FORMAT, Bundle, BundleError, CheckpointError, CommitPlace, Mismatch, Owner, Poison, Shard,
    ShardMap,
};
use headwater_core::{Sequence, ShardId};
use headwater_streams::checkpoints::Checkpoints;
use headwater_streams::duty::{Duty, Panicked};
use headwater_streams::journal::{Entry, Journal, JournalInfo, JournalReader, ReadError};
use headwater_streams::{Broker, ExchangeError};

/// Says why a shard cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecoverError {
    #[error("the journal cannot be opened")]
    Open(#[source] ExchangeError),
    #[error("the journal cannot be read")]
    Read(#[source] ReadError),
    #[error("the journal begins at entry {first}, and there is no checkpoint to go on from")]
    Purged {
        first: Sequence,
        #[source]
        unusable: Option<Box<Unusable>>,
    },
    #[error("entry {sequence} of the journal is not a bundle")]
    Malformed { sequence: Sequence, source: serde_json::Error },
    #[error(
        "entry {sequence} of the journal cannot be folded: it needs a release that knows format {needs} of bundles, and this one knows {BUNDLE_FORMAT}"
    )]
    Newer { sequence: Sequence, needs: u32 },
    #[error("entry {sequence} of the journal does not follow")]
    Mismatch { sequence: Sequence, source: Mismatch },
    #[error("folding a commit of {} panicked: {}", .0.aggregate, .0.said)]
    Poisoned(Poisoned),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl RecoverError {
    /// Whether it says nothing of the shard: the broker is away, or slow.
    pub fn is_of_the_broker(&self) -> bool {
        match self {
            Self::Open(_) | Self::Read(_) => true,
            Self::Purged { .. }
            | Self::Malformed { .. }
            | Self::Newer { .. }
            | Self::Mismatch { .. }
            | Self::Poisoned(_)
            | Self::Panicked(_) => false,
        }
    }

    /// Whether a process of a later release could, and this one never can.
    pub fn is_of_a_later_release(&self) -> bool {
        match self {
            Self::Newer { .. } => true,
            Self::Purged { unusable, .. } => unusable.as_deref().is_some_and(Unusable::is_of_a_later_release),
            Self::Open(_)
            | Self::Read(_)
            | Self::Malformed { .. }
            | Self::Mismatch { .. }
            | Self::Poisoned(_)
            | Self::Panicked(_) => false,
        }
    }
}

/// A commit that cannot be folded without a panic.
#[derive(Debug)]
pub(super) struct Poisoned {
    place: CommitPlace,
    aggregate: AggregateId,
    said: String,
}

/// How many such commits of one shard are got round in one recovery. Each costs a fold from the start.
const SPARED_MAX: usize = 64;

/// Says why a checkpoint is not used. The whole journal is folded instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it cannot be read")]
    Unreadable(#[source] ExchangeError),
    #[error(transparent)]
    Refused(CheckpointError),
    #[error("it was taken at entry {taken_at}, and the journal begins at {first}")]
    Purged { taken_at: Sequence, first: Sequence },
    #[error("it was taken at entry {taken_at}, and the journal ends at {end}")]
    Ahead { taken_at: Sequence, end: Sequence },
    #[error("entry {taken_at} of the journal is another one than it was taken at")]
    Foreign { taken_at: Sequence },
    #[error("reading it panicked")]
    Panicked(#[source] Panicked),
}

impl Unusable {
    fn is_of_a_later_release(&self) -> bool {
        matches!(self, Self::Refused(CheckpointError::Format { .. } | CheckpointError::Newer { .. }))
    }
}

/// A stretch of a journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Growth {
    pub bundles: u64,
    pub bytes: u64,
}

impl Growth {
    /// Adds one bundle.
    pub fn add(&mut self, bytes: usize) {
        self.bundles += 1;
        self.bytes += bytes as u64;
    }
}

/// An owner that has folded everything there was, and decided nothing.
pub(super) struct Recovered<C> {
    pub journal: Journal,
    pub owner: Owner<C>,
    /// The entry whose checkpoint it went on from; absent: it folded the whole journal.
    pub checkpoint: Option<Sequence>,
    /// What it folded.
    pub folded: Growth,
}

/// Folds what the newest checkpoint of a shard does not hold, or the whole journal where there is no usable one. Where a
/// commit makes folding panic, it is folded once more from a clean state in which that commit's aggregate is set aside.
///
/// # Errors
/// See [`RecoverError`].
pub(super) async fn recover<C: Send + 'static>(
    broker: &Broker,
    shard: ShardId,
    map: &ShardMap,
) -> Result<Recovered<C>, RecoverError> {
    let mut spared = BTreeMap::new();
    loop {
        match recover_sparing(broker, shard, map, &spared).await {
            Err(RecoverError::Poisoned(Poisoned { place, aggregate, said }))
                if spared.len() < SPARED_MAX && !spared.contains_key(&place) =>
            {
                tracing::error!(%shard, %aggregate, sequence = %place.0, said, "folding a commit panicked");
                Duty::ShardDriver.note_panic(&said);
                spared.insert(place, format!("folding its commit in entry {} panicked: {said}", place.0));
            }
            recovered => return recovered,
        }
    }
}

async fn recover_sparing<C: Send + 'static>(
    broker: &Broker,
    shard: ShardId,
    map: &ShardMap,
    spared: &BTreeMap<CommitPlace, String>,
) -> Result<Recovered<C>, RecoverError> {
    let journal = Journal::open(broker, shard).await.map_err(RecoverError::Open)?;
    let info = journal.info().await.map_err(RecoverError::Open)?;
    let is_purged = info.first > Sequence::FIRST;
    let restored = match from_checkpoint(broker, &journal, info, map).await {
        Ok(None) if is_purged => return Err(RecoverError::Purged { first: info.first, unusable: None }),
        Err(unusable) if is_purged => {
            return Err(RecoverError::Purged { first: info.first, unusable: Some(Box::new(unusable)) });
        }
        Ok(restored) => restored,
        Err(unusable) => {
            let cause = std::error::Error::source(&unusable).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%shard, reason = %unusable, cause, "the checkpoint is not used, folding the whole journal");
            None
        }
    };
    let checkpoint = restored.as_ref().map(Owner::last);
    let mut owner = restored.unwrap_or_else(|| Owner::new(Shard::new(shard, map.clone())));
    for (place, reason) in spared {
        owner.spare(*place, reason.clone());
    }
    let (owner, folded) = fold_to(owner, &journal, info.last).await?;
    Ok(Recovered { journal, owner, checkpoint, folded })
}

/// Returns an owner as the newest checkpoint holds it, if there is one, and it was taken from this journal.
async fn from_checkpoint<C: Send + 'static>(
    broker: &Broker,
    journal: &Journal,
    JournalInfo { first, last: end, .. }: JournalInfo,
    map: &ShardMap,
) -> Result<Option<Owner<C>>, Unusable> {
    let shard = journal.shard();
    let checkpoints = Checkpoints::open(broker).await.map_err(Unusable::Unreadable)?;
    let latest = match checkpoints.latest(shard).await {
        // It may have been replaced while it was read.
        Err(_) => checkpoints.latest(shard).await,
        read => read,
    };
    let Some(bytes) = latest.map_err(Unusable::Unreadable)? else { return Ok(None) };
    let map = map.clone();
    let restored = aside(move || Owner::restore(Shard::new(shard, map), &bytes)).await;
    let owner: Owner<C> = restored.map_err(Unusable::Panicked)?.map_err(Unusable::Refused)?;
    let taken_at = owner.last();
    if taken_at < first {
        return Err(Unusable::Purged { taken_at, first });
    }
    if taken_at > end {
        return Err(Unusable::Ahead { taken_at, end });
    }
    match journal.entry(taken_at).await.map_err(Unusable::Unreadable)? {
        Some(entry) if owner.stands_on(&entry.bytes) => Ok(Some(owner)),
        Some(_) | None => Err(Unusable::Foreign { taken_at }),
    }
}

/// Folds the journal from where the owner stands up to `end` at least. The next entries are read while some are folded.
async fn fold_to<C: Send + 'static>(
    mut owner: Owner<C>,
    journal: &Journal,
    end: Sequence,
) -> Result<(Owner<C>, Growth), RecoverError> {
    let mut folded = Growth::default();
    if owner.last() >= end {
        return Ok((owner, folded));
    }
    let mut reader = journal.read(owner.last().next());
    let mut entries = next_entries(&mut reader, end).await?;
    while !entries.is_empty() {
        entries.iter().for_each(|entry| folded.add(entry.bytes.len()));
        let folding = aside(move || fold(owner, &entries));
        let (done, next) = tokio::join!(folding, next_entries(&mut reader, end));
        owner = done??;
        entries = next?;
    }
    reader.close().await;
    Ok((owner, folded))
}

/// Reads on; nothing when everything up to `end` has been read.
async fn next_entries(reader: &mut JournalReader, end: Sequence) -> Result<Vec<Entry>, RecoverError> {
    let mut entries = Vec::new();
    while entries.is_empty() && reader.position() <= end {
        entries = reader.next(256, Duration::from_secs(10)).await.map_err(RecoverError::Read)?;
    }
    Ok(entries)
}

fn fold<C>(mut owner: Owner<C>, entries: &[Entry]) -> Result<Owner<C>, RecoverError> {
    for Entry { sequence, bytes, .. } in entries {
        let sequence = *sequence;
        let bundle = Bundle::read(bytes).map_err(|error| match error {
            BundleError::Newer { needs } => RecoverError::Newer { sequence, needs },
            BundleError::Malformed(source) => RecoverError::Malformed { sequence, source },
        })?;
        let folded = catch_unwind(AssertUnwindSafe(|| owner.fold(sequence, &bundle, bytes)));
        // Who is quarantined stands in the state.
        match folded.map_err(Poison::of) {
            Ok(folded) => folded.map_err(|source| RecoverError::Mismatch { sequence, source })?,
            Err(Ok(Poison::Commit { place, aggregate, said })) => {
                return Err(RecoverError::Poisoned(Poisoned { place, aggregate, said }));
            }
            Err(Ok(Poison::Command { said, .. }) | Err(said)) => return Err(Panicked(said).into()),
        };
    }
    Ok(owner)
}

/// Computes on a thread that nothing else waits for: these stretches are long, and others share the async ones.
///
/// # Errors
/// When it panicked.
pub(super) async fn aside<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
    tokio::task::spawn_blocking(compute).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => match Poison::of(panic) {
            Ok(Poison::Command { said, .. } | Poison::Commit { said, .. }) | Err(said) => Panicked(said),
        },
        Err(error) => Panicked(error.to_string()),
    })
}
