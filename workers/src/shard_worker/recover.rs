//! What the journal says before anything is decided: its newest checkpoint, and the entries behind it.

mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::{
    Bundle, BundleError, CommitPlace, HoldReason, JournalState, Mismatch, Owner, Poison, Resending, Shard, ShardMap,
    compiled_by,
};
use headwater_core::{Incarnation, Sequence, ShardId, Timestamp};
use headwater_streams::checkpoints::Checkpoints;
use headwater_streams::duty::{Duty, Panicked};
use headwater_streams::journal::{Entry, Journal, JournalInfo, JournalReader, ReadError};
use headwater_streams::{Broker, ExchangeError, shard_map};
use tokio::time::Instant;

use self::refusal::Poisoned;
pub(super) use self::refusal::{RecoverError, Unusable};
use super::compile::compiled_once;

/// How many such commits of one shard are got round in one recovery. Each costs a fold from the start.
const SPARED_MAX: usize = 64;

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
    /// When the broker made the journal.
    pub made_at: Timestamp,
    /// How far the shard map says it has come to be.
    pub state: JournalState,
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
    recover_by(broker, shard, map, Trust::Witnesses).await
}

/// Folds the journal as it is found, whatever anybody has seen of it; one that is not there is made.
///
/// # Errors
/// See [`RecoverError`]; [`RecoverError::Held`] where it does not follow from itself.
pub(super) async fn recover_as_found<C: Send + 'static>(
    broker: &Broker,
    shard: ShardId,
    map: &ShardMap,
) -> Result<Recovered<C>, RecoverError> {
    recover_by(broker, shard, map, Trust::JournalOnly).await
}

/// Who is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Witnesses,
    /// An operator has accepted it.
    JournalOnly,
}

/// What a fold is to do otherwise than the one before, which did not come to its end.
#[derive(Default)]
struct Lessons {
    spared: BTreeMap<CommitPlace, String>,
    kept: Vec<(Resending, Sequence)>,
}

async fn recover_by<C: Send + 'static>(
    broker: &Broker,
    shard: ShardId,
    map: &ShardMap,
    trust: Trust,
) -> Result<Recovered<C>, RecoverError> {
    let mut lessons = Lessons::default();
    loop {
        match recover_once(broker, shard, map, trust, &lessons).await {
            Err(RecoverError::Resent { resending, at })
                if !lessons.kept.iter().any(|(known, until)| *known == resending && *until == at) =>
            {
                tracing::info!(%shard, to = %resending.to, %at, "folding the whole journal: some of it was sent again");
                lessons.kept.push((resending, at));
            }
            Err(RecoverError::Poisoned(Poisoned { place, aggregate, said }))
                if lessons.spared.len() < SPARED_MAX && !lessons.spared.contains_key(&place) =>
            {
                tracing::error!(%shard, %aggregate, sequence = %place.0, said, "folding a commit panicked");
                Duty::ShardDriver.note_panic(&said);
                lessons.spared.insert(place, format!("folding its commit in entry {} panicked: {said}", place.0));
            }
            recovered => return recovered,
        }
    }
}

async fn recover_once<C: Send + 'static>(
    broker: &Broker,
    shard: ShardId,
    map: &ShardMap,
    trust: Trust,
    lessons: &Lessons,
) -> Result<Recovered<C>, RecoverError> {
    let (journal, info, state) = open(broker, shard, trust).await?;
    let (first, is_purged) = (info.first, info.first > Sequence::FIRST);
    // What was sent long ago is in no checkpoint.
    let wants_all = trust == Trust::JournalOnly || !lessons.kept.is_empty();
    let restored = match from_checkpoint(broker, &journal, info, state.incarnation(), map).await {
        Ok(_) | Err(_) if wants_all && !is_purged => None,
        Ok(None) if is_purged => return Err(RecoverError::held(HoldReason::Beginning { first })),
        Ok(restored) => restored,
        Err(unusable) => {
            let source = Box::new(unusable);
            match source.contradiction() {
                Some(reason) => return Err(RecoverError::held(reason)),
                None if !is_purged => {}
                None if source.is_of_a_later_release() => return Err(RecoverError::Outgrown { first, source }),
                None if matches!(*source, Unusable::Unreadable(_)) => {
                    return Err(RecoverError::Unread { first, source });
                }
                None => {
                    let reason = HoldReason::Beginning { first };
                    return Err(RecoverError::Held { reason, because: Some(source) });
                }
            }
            let unusable = source;
            let cause = std::error::Error::source(&unusable).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%shard, reason = %unusable, cause, "the checkpoint is not used, folding the whole journal");
            None
        }
    };
    let checkpoint = restored.as_ref().map(Owner::last);
    let mut owner = restored.unwrap_or_else(|| Owner::new(compiled_by(compiled_once, Shard::new(shard, map.clone()))));
    for (place, reason) in &lessons.spared {
        owner.spare(*place, reason.clone());
    }
    lessons.kept.iter().for_each(|(resending, until)| owner.keep_for(resending, *until));
    let (mut owner, folded) = fold_to(owner, &journal, info.last).await?;
    let older = state.older(owner.shard().lanes().incarnation());
    if let Some(reason) = older.filter(|_| trust == Trust::Witnesses) {
        return Err(RecoverError::held(reason));
    }
    let owner = aside(move || {
        owner.work_out_inherited();
        owner
    })
    .await?;
    Ok(Recovered { journal, made_at: info.made_at, state, owner, checkpoint, folded })
}

/// Opens the journal, which is made only where there never was one, and holds it against the shard map.
async fn open(
    broker: &Broker,
    shard: ShardId,
    trust: Trust,
) -> Result<(Journal, JournalInfo, JournalState), RecoverError> {
    // The map first: what it says then was durable before the journal is looked at.
    let state = shard_map::journal_state(broker, shard).await.map_err(RecoverError::Open)?;
    let found = match Journal::look(broker, shard).await.map_err(RecoverError::Open)? {
        None if state.may_be_made() || trust == Trust::JournalOnly => {
            Some(Journal::make(broker, shard).await.map_err(RecoverError::Make)?)
        }
        found => found,
    };
    let standing = found.as_ref().map(|(_, info)| info.standing());
    let contradiction = state.contradiction(standing.as_ref()).filter(|_| trust == Trust::Witnesses);
    match (contradiction, found) {
        (Some(reason), _) => Err(RecoverError::held(reason)),
        (None, Some((journal, info))) => Ok((journal, info, state)),
        (None, None) => Err(RecoverError::held(HoldReason::Missing {})),
    }
}

/// Returns an owner as the newest checkpoint holds it, if there is one, and it was taken from this journal.
async fn from_checkpoint<C: Send + 'static>(
    broker: &Broker,
    journal: &Journal,
    JournalInfo { first, last: end, .. }: JournalInfo,
    begun: Incarnation,
    map: &ShardMap,
) -> Result<Option<Owner<C>>, Unusable> {
    let shard = journal.shard();
    let Some(bytes) = newest_checkpoint(broker, shard).await.map_err(Unusable::Unreadable)? else { return Ok(None) };
    let map = map.clone();
    let restored = aside(move || Owner::restore(compiled_by(compiled_once, Shard::new(shard, map)), &bytes)).await;
    let owner: Owner<C> = restored.map_err(Unusable::Panicked)?.map_err(Unusable::Refused)?;
    let (taken_at, found) = (owner.last().in_stream(), owner.shard().lanes().incarnation());
    if found < begun {
        return Err(Unusable::Replaced { found, begun });
    }
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

/// Reads the newest checkpoint. Where the broker is not available for a moment it is waited for: folding everything instead
/// takes longer.
async fn newest_checkpoint(broker: &Broker, shard: ShardId) -> Result<Option<Bytes>, ExchangeError> {
    let give_up_at = Instant::now() + CHECKPOINT_PATIENCE;
    let mut failed_while_there = false;
    loop {
        let read = async { Checkpoints::open(broker).await?.latest(shard).await };
        let error = match read.await {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        // It may have been replaced while it was read; a second time it is damaged, or pieces of it are gone.
        let is_there = Checkpoints::are_there(broker).await.is_ok_and(|are_there| are_there);
        if Instant::now() >= give_up_at || (is_there && failed_while_there) {
            return Err(error);
        }
        failed_while_there |= is_there;
        tracing::debug!(%shard, %error, is_there, "the checkpoint cannot be read yet, trying again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How long a take-over waits for a checkpoint that the broker cannot show, before everything is folded.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(60);

/// Folds the journal from where the owner stands up to `end` at least. The next entries are read while some are folded.
async fn fold_to<C: Send + 'static>(
    mut owner: Owner<C>,
    journal: &Journal,
    end: Sequence,
) -> Result<(Owner<C>, Growth), RecoverError> {
    let mut folded = Growth::default();
    if owner.last().in_stream() >= end {
        return Ok((owner, folded));
    }
    let mut reader = journal.read(owner.last().in_stream().next());
    let mut entries = next_entries(journal, &mut reader, end).await?;
    while !entries.is_empty() {
        entries.iter().for_each(|entry| folded.add(entry.bytes.len()));
        let folding = aside(move || fold(owner, &entries));
        let (done, next) = tokio::join!(folding, next_entries(journal, &mut reader, end));
        owner = done??;
        entries = next?;
    }
    reader.close().await;
    Ok((owner, folded))
}

/// Reads on; nothing when everything up to `end` has been read.
async fn next_entries(
    journal: &Journal,
    reader: &mut JournalReader,
    end: Sequence,
) -> Result<Vec<Entry>, RecoverError> {
    while reader.position() <= end {
        let at = reader.position();
        match reader.next(256, READ_WAIT).await {
            // What is not delivered may be gone, also where nothing is behind it: the leader knows.
            Ok(entries) if entries.is_empty() => {
                if journal.entry(at).await.map_err(RecoverError::Open)?.is_none() {
                    return Err(RecoverError::held(HoldReason::Hole { at }));
                }
            }
            Ok(entries) => return Ok(entries),
            Err(ReadError::Purged { wanted, .. }) => return Err(RecoverError::held(HoldReason::Hole { at: wanted })),
            Err(error @ ReadError::Exchange(_)) => return Err(RecoverError::Read(error)),
        }
    }
    Ok(Vec::new())
}

/// How long one read of the journal waits.
const READ_WAIT: Duration = Duration::from_secs(10);

fn fold<C>(mut owner: Owner<C>, entries: &[Entry]) -> Result<Owner<C>, RecoverError> {
    for Entry { sequence, bytes, .. } in entries {
        let sequence = *sequence;
        let bundle = Bundle::read(bytes).map_err(|error| match error {
            BundleError::Newer { needs } => RecoverError::Newer { sequence, needs },
            BundleError::Malformed(_) => RecoverError::held(HoldReason::NotABundle { at: sequence }),
        })?;
        let folded = catch_unwind(AssertUnwindSafe(|| owner.fold(sequence, &bundle, bytes)));
        // Who is quarantined stands in the state.
        match folded.map_err(Poison::of) {
            Ok(folded) => folded.map_err(|mismatch| match mismatch {
                Mismatch::Resent { resending, at } => RecoverError::Resent { resending, at },
                Mismatch::Shard { .. } | Mismatch::Previous { .. } | Mismatch::Epoch { .. } => {
                    RecoverError::held(HoldReason::NotFollowing { at: sequence, why: mismatch.to_string() })
                }
            })?,
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
