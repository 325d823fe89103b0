//! Which process drives which shard, as a rule without I/O: what is heard goes in, what is to be done comes out.
//!
//! Every process keeps an entry alive in a table of members. All compute the same assignment of shards from the members
//! they see, and take the leases of their own shards by compare-and-set when those are free or their holder is gone. A
//! holder gives a shard up when the assignment no longer names it. Nothing here is needed for safety: two owners at
//! once cost time, the journal's expected sequence refuses one of them (`STR-2`).
//!
//! | file | question |
//! |---|---|
//! | `assignment` | who should drive what |
//! | `seat` | what one process does about it |

mod assignment;
mod seat;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use seat::Seat;

use crate::{MemberId, ShardId};

/// One start of a member: leases name it, so that nobody takes its predecessor's leases for its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    pub member: MemberId,
    pub incarnation: String,
}

/// A member that lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    pub id: MemberId,
    pub incarnation: String,
    /// It gives its shards up and wants no more.
    pub leaving: bool,
    /// Shards it could not drive lately: others take them, where there are others.
    pub unfit: BTreeSet<ShardId>,
}

/// The revision of a lease in the table, from 1; zero where there never was one. Each change has a higher one.
pub type LeaseRevision = u64;

/// One stretch of driving a shard: the revision at which the lease was taken for it. No two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenure(pub LeaseRevision);

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Both tables were read as they stood at the start: nothing is done before.
    Informed,
    /// The members who live, by their ids, ourselves included.
    Members(Vec<Peer>),
    /// The table's word on one lease; `None`: nobody holds it.
    Lease { shard: ShardId, revision: LeaseRevision, holder: Option<Holder> },
    /// A [`Step::Take`] or [`Step::Release`] landed at this revision.
    Landed { shard: ShardId, revision: LeaseRevision },
    /// It did not land, or nobody knows.
    Unclear { shard: ShardId },
    /// The driver of this tenure has come to rest.
    Rested { shard: ShardId, tenure: Tenure },
    /// It has not, and the time for that is over.
    Overdue { shard: ShardId, tenure: Tenure },
    /// The broker has not heard of us for as long as others bear our silence.
    Silent,
    /// The broker hears us.
    Alive,
    /// Some time has passed: what was unclear may be tried again.
    Tick,
    /// The process stops.
    Leave,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Write our name into the lease if it still stands at `expected`. Answer with [`Heard::Landed`] or `Unclear`.
    Take { shard: ShardId, expected: LeaseRevision },
    /// Remove the lease if it still stands at `expected`. Answer likewise.
    Release { shard: ShardId, expected: LeaseRevision },
    /// Recover and drive the shard.
    Drive { shard: ShardId, tenure: Tenure },
    /// Stop driving it, and say [`Heard::Rested`] when that is done.
    Stop { shard: ShardId, tenure: Tenure, reason: LossReason },
}

/// Why a shard is no longer ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// Another member is to drive it now.
    Moved,
    /// This process stops.
    Stopping,
    /// The lease is another's, or nobody's: we were taken for gone.
    Taken,
    /// The broker has not heard of us for too long: others will take us for gone.
    Isolated,
}
