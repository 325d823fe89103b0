//! The table of leases: one key for each shard, taken and given up by compare-and-set.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_core::ownership::Holder;
use headwater_core::{MemberId, ShardId};
use serde::{Deserialize, Serialize};

use crate::bucket::{Bucket, Slot};
use crate::{Broker, ExchangeError, topology};

/// Who drives a shard. It holds as long as that incarnation of the member lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    pub member: MemberId,
    pub incarnation: String,
}

impl Lease {
    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a lease has text keys only").into()
    }
}

/// A lease as the table has it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) revision: u64,
    /// `None`: released.
    pub(super) lease: Option<Lease>,
}

impl From<Lease> for Holder {
    fn from(Lease { member, incarnation }: Lease) -> Self {
        Self { member, incarnation }
    }
}

pub(super) fn read(slot: &Slot) -> Option<(ShardId, Known)> {
    let shard = slot.key.parse().ok()?;
    // What cannot be read is nobody's: the journal keeps a wrong guess from doing harm.
    let lease = slot.value.as_ref().and_then(|value| serde_json::from_slice(value).ok());
    Some((shard, Known { revision: slot.revision, lease }))
}

/// Returns who holds which shard, as the table has it; a holder may have died since.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn leases(broker: &Broker) -> Result<BTreeMap<ShardId, Lease>, ExchangeError> {
    let mut watch = Bucket::new(broker, topology::LEASES).watch(">");
    let mut found = BTreeMap::new();
    while !watch.is_caught_up() {
        for slot in watch.next(broker.request_timeout()).await? {
            match read(&slot) {
                Some((shard, Known { lease: Some(lease), .. })) => drop(found.insert(shard, lease)),
                Some((shard, Known { lease: None, .. })) => drop(found.remove(&shard)),
                None => {}
            }
        }
    }
    Ok(found)
}
