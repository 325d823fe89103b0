//! Which shards are on hold, and why: beside the shard map, so that every process sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::shard::{HoldReason, Sighting};
use headwater_core::{Actor, CommandId, Sequence, ShardId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::acked::PublishFailure;
use crate::bucket::{Bucket, BucketWatch, Expected, Slot};
use crate::{Broker, ExchangeError, topology};

const PREFIX: &str = "hold.";

/// A shard that nothing is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub reason: HoldReason,
    /// What the journal has to show before the hold may go, beside agreeing with the map and its checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<Sighting>,
    pub raised_at: Timestamp,
    /// That somebody accepts the journal as it is: whoever drives the shard carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseOrder>,
    /// Why the last release that was ordered could not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Hold {
    /// Makes one for a reason that was found.
    pub fn of(reason: HoldReason, saw: Option<Sighting>, raised_at: Timestamp) -> Self {
        Self { reason, saw, raised_at, release: None, refused: None }
    }
}

/// The wish to release a shard from hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseOrder {
    pub id: CommandId,
    /// Who wishes it, where they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    pub reason: String,
    /// Where the journal ends, as whoever wishes it has seen: 0 where there is none. Absent: wherever it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Sequence>,
    pub at: Timestamp,
}

/// Tells one writing of a hold from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldRevision(u64);

/// Puts a shard on hold. One that is on hold already stays so for the reason it has.
///
/// # Errors
/// See [`ExchangeError`]; safe to repeat.
pub async fn raise(broker: &Broker, shard: ShardId, hold: &Hold) -> Result<(), ExchangeError> {
    const WHAT: &str = "put a shard on hold";
    let bucket = bucket(broker);
    let revision = match bucket.get(&key(shard)).await? {
        Some(Slot { value: Some(_), .. }) => return Ok(()),
        Some(Slot { value: None, revision, .. }) => revision,
        None => 0,
    };
    let bytes = serde_json::to_vec(hold).expect("a hold has text keys only");
    match bucket.put(&key(shard), bytes.into(), Expected::Revision(revision)).await {
        // Somebody else was first.
        Ok(_) | Err(PublishFailure::WrongSequence(_)) => Ok(()),
        Err(failure) => Err(failure.exchange(WHAT)),
    }
}

/// Puts a shard on hold for what its owner finds now: one that was on hold for another reason is for this one from now on.
/// What has to be shown again, and a release that is ordered, stay.
///
/// # Errors
/// See [`ExchangeError`]; safe to repeat.
pub async fn restate(broker: &Broker, shard: ShardId, hold: &Hold) -> Result<(), ExchangeError> {
    let Some((before, revision)) = of(broker, shard).await? else { return raise(broker, shard, hold).await };
    if before.reason == hold.reason {
        return Ok(());
    }
    let saw = before.saw.clone().or_else(|| hold.saw.clone());
    replace(broker, shard, &Hold { reason: hold.reason.clone(), saw, refused: None, ..before }, revision).await
}

/// Returns the hold of a shard, as the leader has it (`STR-4`).
///
/// # Errors
/// See [`ExchangeError`]; ask again.
pub async fn of(broker: &Broker, shard: ShardId) -> Result<Option<(Hold, HoldRevision)>, ExchangeError> {
    match bucket(broker).get(&key(shard)).await? {
        Some(Slot { value: Some(value), revision, .. }) => {
            let hold = serde_json::from_slice(&value);
            let hold = hold.map_err(|error| ExchangeError::malformed("read a hold", error))?;
            Ok(Some((hold, HoldRevision(revision))))
        }
        Some(Slot { value: None, .. }) | None => Ok(None),
    }
}

/// Replaces a hold, if it still is the one that was read: with a release that is ordered, or one that was refused.
///
/// # Errors
/// See [`ExchangeError`]; [`ExchangeError::Refused`] when it is another one by now: read it again.
pub async fn replace(
    broker: &Broker,
    shard: ShardId,
    hold: &Hold,
    HoldRevision(revision): HoldRevision,
) -> Result<(), ExchangeError> {
    let bytes = serde_json::to_vec(hold).expect("a hold has text keys only");
    let put = bucket(broker).put(&key(shard), bytes.into(), Expected::Revision(revision)).await;
    put.map(drop).map_err(|failure| failure.exchange("change a hold"))
}

/// Takes a hold away, if it still is the one that was read.
///
/// # Errors
/// See [`ExchangeError`]; read it again.
pub async fn lift(broker: &Broker, shard: ShardId, HoldRevision(revision): HoldRevision) -> Result<(), ExchangeError> {
    let removed = bucket(broker).remove(&key(shard), Expected::Revision(revision)).await;
    removed.map(drop).map_err(|failure| failure.exchange("take a hold away"))
}

/// Returns every shard on hold.
///
/// # Errors
/// See [`ExchangeError`]; ask again.
pub async fn list(broker: &Broker) -> Result<BTreeMap<ShardId, Hold>, ExchangeError> {
    let (mut watch, mut holds) = (watch(broker), BTreeMap::new());
    while !watch.0.is_caught_up() {
        watch.apply(broker.request_timeout(), &mut holds).await?;
    }
    Ok(holds)
}

/// Follows which shards are on hold: first as it stands, then as it changes.
pub fn watch(broker: &Broker) -> HoldWatch {
    HoldWatch(bucket(broker).watch(&format!("{PREFIX}>")))
}

/// Follows which shards are on hold; made by [`watch`].
pub struct HoldWatch(BucketWatch);

impl HoldWatch {
    /// Brings `holds` up to what is known, waiting for news at most `wait`. Returns whether there was any.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn apply(&mut self, wait: Duration, holds: &mut BTreeMap<ShardId, Hold>) -> Result<bool, ExchangeError> {
        let slots = self.0.next(wait).await?;
        for slot in &slots {
            let shard = slot.key.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
            let Some(shard) = shard else { continue };
            match slot.value.as_ref().map(|value| serde_json::from_slice(value)) {
                Some(Ok(hold)) => drop(holds.insert(shard, hold)),
                Some(Err(error)) => return Err(ExchangeError::malformed("read a hold", error)),
                None => drop(holds.remove(&shard)),
            }
        }
        Ok(!slots.is_empty())
    }
}

fn key(shard: ShardId) -> String {
    format!("{PREFIX}{shard}")
}

fn bucket(broker: &Broker) -> Bucket {
    Bucket::new(broker, topology::SHARD_MAP)
}
