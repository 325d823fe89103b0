//! The table that says which shard decides for which slot: the same for every process, versioned.

use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::ShardMap;

use crate::acked::PublishFailure;
use crate::bucket::{Bucket, BucketWatch, Expected, Slot};
use crate::{Broker, ExchangeError, topology};

const KEY: &str = "map";

/// Returns the table, `None` where none was ever written.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn load(broker: &Broker) -> Result<Option<ShardMap>, ExchangeError> {
    match bucket(broker).get(KEY).await? {
        Some(Slot { value: Some(value), .. }) => decode(&value).map(Some),
        Some(Slot { value: None, .. }) | None => Ok(None),
    }
}

/// Writes `map` if there is no table yet, and returns the table that holds from now on, whoever wrote it.
///
/// # Errors
/// See [`ExchangeError`]; safe to repeat.
pub async fn create_if_absent(broker: &Broker, map: &ShardMap) -> Result<ShardMap, ExchangeError> {
    const WHAT: &str = "write the shard map";
    if let Some(existing) = load(broker).await? {
        return Ok(existing);
    }
    match bucket(broker).put(KEY, encode(map), Expected::Revision(0)).await {
        Ok(_) => Ok(map.clone()),
        Err(failure @ PublishFailure::WrongSequence(_)) => load(broker).await?.ok_or_else(|| failure.exchange(WHAT)),
        Err(failure) => Err(failure.exchange(WHAT)),
    }
}

/// Replaces the table by `map` if its version is still the one before.
///
/// # Errors
/// [`ExchangeError::Refused`] when somebody changed the table meanwhile: load and plan again.
pub async fn replace(broker: &Broker, map: &ShardMap) -> Result<(), ExchangeError> {
    const WHAT: &str = "replace the shard map";
    let bucket = bucket(broker);
    let slot = bucket.get(KEY).await?;
    let revision = match &slot {
        Some(slot) => {
            let version = slot.value.as_ref().map(decode).transpose()?.map_or(0, |existing| existing.version);
            if version.checked_add(1) != Some(map.version) {
                let cause = format!("the table has version {version}, the new one {}", map.version);
                return Err(ExchangeError::refused(WHAT, cause));
            }
            slot.revision
        }
        None => 0,
    };
    match bucket.put(KEY, encode(map), Expected::Revision(revision)).await {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.exchange(WHAT)),
    }
}

/// Follows the table: first as it stands, then as it changes.
pub fn watch(broker: &Broker) -> ShardMapWatch {
    ShardMapWatch(bucket(broker).watch(KEY))
}

/// Follows the table; made by [`watch`].
pub struct ShardMapWatch(BucketWatch);

impl ShardMapWatch {
    /// Returns the newest table that was not returned before, `None` after `wait`.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<ShardMap>, ExchangeError> {
        let newest = self.0.next(wait).await?.into_iter().filter_map(|slot| slot.value).next_back();
        newest.as_ref().map(decode).transpose()
    }
}

fn bucket(broker: &Broker) -> Bucket {
    Bucket::new(broker, topology::SHARD_MAP)
}

fn encode(map: &ShardMap) -> Bytes {
    serde_json::to_vec(map).expect("a shard map has text keys only").into()
}

fn decode(bytes: &Bytes) -> Result<ShardMap, ExchangeError> {
    serde_json::from_slice(bytes).map_err(|error| ExchangeError::malformed("read the shard map", error))
}
