//! Which process drives which shard.
//!
//! Every process keeps an entry alive in a table of members. All compute the same assignment of shards from the
//! members they see, and take the leases of their own shards by compare-and-set when those are free or their
//! holder is gone. A holder gives a shard up when the assignment no longer names it. Nothing here is needed for
//! safety: two owners at once cost time, the journal's expected sequence refuses one of them (`STR-2`).

mod assignment;
mod leases;
mod members;
mod seat;

use std::time::Duration;

use headwater_core::{MemberId, ShardId};
use tokio::sync::oneshot;

pub use leases::{Lease, leases};
pub use members::{Member, members};
pub use seat::Ownership;

use crate::{Disposition, ExchangeError};

/// Who takes part, and how long silence is borne.
#[derive(Debug, Clone)]
pub struct OwnershipConfig {
    pub member: MemberId,
    pub shards: u16,
    /// How long after its last sign of life a member's shards are taken by others.
    pub ttl: Duration,
    /// How long a shard that is given up may take to come to rest before its lease is released regardless.
    pub handover_max: Duration,
}

impl OwnershipConfig {
    /// Returns the usual settings: five seconds of silence, five to hand over.
    pub fn new(member: MemberId, shards: u16) -> Self {
        Self { member, shards, ttl: Duration::from_secs(5), handover_max: Duration::from_secs(5) }
    }
}

/// What happened to a shard, seen from this process.
#[derive(Debug)]
pub enum OwnershipChange {
    /// It is ours: recover and drive it. `token` is higher for every new holder.
    Acquired { shard: ShardId, token: u64 },
    /// It is ours no longer: stop driving it, then drop `handover`, so that the next owner can start.
    Lost { shard: ShardId, reason: LossReason, handover: Handover },
}

/// Why a shard is no longer ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// Another member is to drive it now.
    Moved,
    /// This process stops.
    Stopping,
    /// Another member has the lease: we were taken for gone.
    Taken,
    /// The broker has not heard of us for too long: others will take us for gone.
    Isolated,
}

/// Dropped by whoever drove a shard as soon as it has come to rest.
#[derive(Debug)]
pub struct Handover(#[expect(dead_code, reason = "dropping it is the message")] Option<oneshot::Sender<()>>);

/// Says why ownership is no longer looked after. Everything held was announced as lost before, if anybody listened.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// The receiver of the changes does not take them: whatever drives the shards is stuck.
    #[error("nobody takes the changes of ownership")]
    ReceiverStalled,
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl OwnershipError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::ReceiverStalled => Disposition::Unavailable,
            Self::Exchange(error) => error.disposition(),
        }
    }
}
