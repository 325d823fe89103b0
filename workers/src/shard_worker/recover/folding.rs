//! What a journal and the newest checkpoint of it add up to, wherever the journal is read from.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use headwater_core::shard::{
    Bundle, BundleError, CommitPlace, Compiler, HoldReason, Mismatch, Owner, Poison, Resending, Shard, ShardMap,
    compiled_by,
};
use headwater_core::{Incarnation, Sequence, ShardId};
use headwater_streams::ExchangeError;
use headwater_streams::duty::Panicked;
use headwater_streams::journals::{Entry, JournalInfo, Journals, Stretch, StretchError};
use headwater_streams::values::Values;

use super::aside;
use super::refusal::{Poisoned, RecoverError, Unusable};
use crate::shard_worker::values::{fill, next_piece};

/// What is there to be folded.
pub(super) struct Found {
    pub info: JournalInfo,
    /// The life of the journal, as the shard map says.
    pub begun: Incarnation,
    /// The newest checkpoint, if there is one.
    pub newest: Result<Option<Bytes>, ExchangeError>,
    /// How definitions are compiled.
    pub compiler: Compiler,
}

/// What came of it.
pub(super) struct Folded<C> {
    pub owner: Owner<C>,
    /// The entry whose checkpoint it went on from; absent: it folded the whole journal.
    pub checkpoint: Option<Sequence>,
    pub folded: Growth,
}

/// A stretch of a journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Growth {
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

/// Who is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Witnesses,
    /// An operator has accepted it.
    JournalOnly,
}

/// What a fold is to do otherwise than the one before, which did not come to its end.
#[derive(Default)]
pub(super) struct Lessons {
    pub spared: BTreeMap<CommitPlace, String>,
    pub kept: Vec<(Resending, Sequence)>,
}

/// Folds what the checkpoint does not hold, or the whole journal where it cannot be used.
///
/// # Errors
/// See [`RecoverError`].
pub(super) async fn fold_found<J: Journals, C: Send + 'static>(
    journals: &J,
    values: &impl Values,
    shard: ShardId,
    map: &ShardMap,
    found: Found,
    trust: Trust,
    lessons: &Lessons,
) -> Result<Folded<C>, RecoverError> {
    let JournalInfo { first, last: end, .. } = found.info;
    let compiler = found.compiler.clone();
    let is_purged = first > Sequence::FIRST;
    // What was sent long ago is in no checkpoint.
    let wants_all = trust == Trust::JournalOnly || !lessons.kept.is_empty();
    let restored = match from_checkpoint(journals, shard, map, found).await {
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
    let mut owner = restored.unwrap_or_else(|| Owner::new(compiled_by(&compiler, Shard::new(shard, map.clone()))));
    for (place, reason) in &lessons.spared {
        owner.spare(*place, reason.clone());
    }
    lessons.kept.iter().for_each(|(resending, until)| owner.keep_for(resending, *until));
    let (owner, folded) = fold_to(owner, journals, values, end).await?;
    Ok(Folded { owner, checkpoint, folded })
}

/// Returns an owner as the newest checkpoint holds it, if there is one, and it was taken from this journal.
pub(super) async fn from_checkpoint<J: Journals, C: Send + 'static>(
    journals: &J,
    shard: ShardId,
    map: &ShardMap,
    Found { info: JournalInfo { first, last: end, .. }, begun, newest, compiler }: Found,
) -> Result<Option<Owner<C>>, Unusable> {
    let Some(bytes) = newest.map_err(Unusable::Unreadable)? else { return Ok(None) };
    let map = map.clone();
    let restored = aside(move || Owner::restore(compiled_by(&compiler, Shard::new(shard, map)), &bytes)).await;
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
    match journals.entry(shard, taken_at).await.map_err(Unusable::Unreadable)? {
        Some(entry) if owner.stands_on(&entry.bytes) => Ok(Some(owner)),
        Some(_) | None => Err(Unusable::Foreign { taken_at }),
    }
}

/// Folds the journal from where the owner stands up to `end` at least. The next entries are read while some are folded.
pub(super) async fn fold_to<J: Journals, C: Send + 'static>(
    mut owner: Owner<C>,
    journals: &J,
    values: &impl Values,
    end: Sequence,
) -> Result<(Owner<C>, Growth), RecoverError> {
    let mut folded = Growth::default();
    let mut stretch = Stretch::new(journals, owner.shard().id(), owner.last().in_stream().next(), end);
    let mut entries = stretch.next().await.map_err(unread)?;
    while !entries.is_empty() {
        entries.iter().for_each(|entry| folded.add(entry.bytes.len()));
        let (done, next) = tokio::join!(fold_entries(owner, values, entries), stretch.next());
        owner = done?;
        entries = next.map_err(unread)?;
    }
    Ok((owner, folded))
}

fn unread(error: StretchError) -> RecoverError {
    match error {
        StretchError::Gone { at } => RecoverError::held(HoldReason::Hole { at }),
        StretchError::Exchange(error) => RecoverError::Read(error),
    }
}

/// Reads entries, puts the values in that they name, and folds them.
async fn fold_entries<C: Send + 'static>(
    mut owner: Owner<C>,
    values: &impl Values,
    entries: Vec<Entry>,
) -> Result<Owner<C>, RecoverError> {
    // What comes before an entry that cannot be read may say more of the journal than that.
    let reading = aside(move || {
        let (mut bundles, mut failed) = (Vec::with_capacity(entries.len()), Ok(()));
        for entry in entries {
            match read(entry) {
                Ok(bundle) => bundles.push(bundle),
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
        }
        (bundles, failed)
    });
    let (mut read, failed) = reading.await?;
    while !read.is_empty() {
        let mut piece = next_piece(&mut read, |(_, bundle)| bundle);
        fill(values, piece.iter_mut().map(|(_, bundle)| bundle)).await.map_err(RecoverError::Read)?;
        owner = aside(move || fold(owner, &piece)).await??;
    }
    failed.map(|()| owner)
}

fn read(entry: Entry) -> Result<(Entry, Bundle), RecoverError> {
    let sequence = entry.sequence;
    let bundle = Bundle::read(&entry.bytes).map_err(|error| match error {
        BundleError::Newer { needs } => RecoverError::Newer { sequence, needs },
        BundleError::Malformed(_) => RecoverError::held(HoldReason::NotABundle { at: sequence }),
    })?;
    Ok((entry, bundle))
}

fn fold<C>(mut owner: Owner<C>, bundles: &[(Entry, Bundle)]) -> Result<Owner<C>, RecoverError> {
    for (Entry { sequence, bytes, .. }, bundle) in bundles {
        let sequence = *sequence;
        let folded = catch_unwind(AssertUnwindSafe(|| owner.fold(sequence, bundle, bytes)));
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
