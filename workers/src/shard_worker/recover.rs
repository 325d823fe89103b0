//! What the journal says before anything is decided: its newest checkpoint, and the entries behind it.

mod folding;
mod refusal;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::{HoldReason, JournalState, Owner, Poison, ShardMap};
use headwater_core::{Sequence, ShardId, Timestamp};
use headwater_streams::checkpoints::Checkpoints;
use headwater_streams::duty::{Duty, Panicked};
use headwater_streams::journal::{Journal, JournalInfo};
use headwater_streams::journals::JetStreamJournals;
use headwater_streams::values::ValueStore;
use headwater_streams::{Broker, ExchangeError, shard_map};
use tokio::time::Instant;

pub(super) use self::folding::Growth;
use self::folding::{Folded, Found, Lessons, Trust, fold_found};
use self::refusal::Poisoned;
pub(super) use self::refusal::RecoverError;
use super::library::Library;

/// How many such commits of one shard are got round in one recovery. Each costs a fold from the start.
const SPARED_MAX: usize = 64;

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
    let (newest, compiler) = (newest_checkpoint(broker, shard).await, Library::new(broker).compiler());
    let found = Found { info, begun: state.incarnation(), newest, compiler };
    let journals = JetStreamJournals::new(broker);
    let Folded { owner, checkpoint, folded } =
        fold_found(&journals, &ValueStore::new(broker), shard, map, found, trust, lessons).await?;
    let older = state.older(owner.shard().lanes().incarnation());
    if let Some(reason) = older.filter(|_| trust == Trust::Witnesses) {
        return Err(RecoverError::held(reason));
    }
    let owner = aside(move || {
        let mut owner = owner;
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
