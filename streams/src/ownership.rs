//! Which process drives which shard: the tables and the clock. The rules are [`headwater_core::ownership`].

mod leases;
mod members;
mod seat;

use std::time::Duration;

pub use headwater_core::ownership::{LossReason, Tenure};
use headwater_core::{MemberId, ShardId};
use tokio::sync::oneshot;

pub use leases::{Lease, leases};
pub use members::{Member, members};
pub use seat::{Ownership, Unfit};

use crate::{Disposition, ExchangeError};

/// Who takes part, and how long silence is borne.
#[derive(Debug, Clone)]
pub struct OwnershipConfig {
    pub member: MemberId,
    pub shards: u16,
    /// How long after its last sign of life a member's shards are taken by others.
    pub ttl: Duration,
    /// How long a shard that is given up may take to come to rest before its lease is released regardless; this process
    /// does not take it again before it has.
    pub handover_max: Duration,
    /// How long a shard that this process could not drive is left to others, where there are others.
    pub unfit_for: Duration,
}

impl OwnershipConfig {
    /// Returns the usual settings: five seconds of silence, five to hand over, a minute for others to try a shard.
    pub fn new(member: MemberId, shards: u16) -> Self {
        let (ttl, handover_max, unfit_for) = (Duration::from_secs(5), Duration::from_secs(5), Duration::from_secs(60));
        Self { member, shards, ttl, handover_max, unfit_for }
    }
}

/// What happened to a shard, seen from this process.
#[derive(Debug)]
pub enum OwnershipChange {
    /// It is ours: recover and drive it. The driver of the tenure before has come to rest.
    Acquired { shard: ShardId, tenure: Tenure },
    /// It is ours no longer: stop what drives it under this tenure, then drop `handover`, so that the next owner can
    /// start.
    Lost { shard: ShardId, tenure: Tenure, reason: LossReason, handover: Handover },
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
    /// The table of members or of leases was made anew while this process took part: what it knows is of another one.
    #[error("the tables of members and leases were made anew")]
    TablesRemade,
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl OwnershipError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::ReceiverStalled | Self::TablesRemade => Disposition::Unavailable,
            Self::Exchange(error) => error.disposition(),
        }
    }
}
