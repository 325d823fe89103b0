//! Why a journal that is projected gives nothing.

use headwater_core::{Incarnation, Sequence, ShardId};
use headwater_streams::ExchangeError;

/// Says why a journal gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Unavailable: it cannot be reached now. The caller opens it again after a moment.
    #[error("the journals are out of reach")]
    Unavailable(#[from] ExchangeError),
    /// Corrupt: what was asked for is no longer (or not yet) there, so nothing can be continued from here.
    #[error("the journal of shard {shard} has nothing after {after} any more")]
    Gone { shard: ShardId, after: Sequence },
    /// Conflict: a later incarnation has begun. What was projected of the one before starts over.
    #[error("incarnation {incarnation} of the journal of shard {shard} has begun")]
    Replaced { shard: ShardId, incarnation: Incarnation },
}

impl JournalError {
    /// Of an entry that is not there.
    pub(crate) fn gone(shard: ShardId, wanted: Sequence) -> Self {
        let within = wanted.in_stream().get().saturating_sub(1);
        Self::Gone { shard, after: Sequence::new(within).within(wanted.incarnation()) }
    }
}
