//! Why a shard cannot be taken over, or a checkpoint not be used.

use headwater_core::shard::{AggregateId, BUNDLE_FORMAT, CheckpointError, CommitPlace, HoldReason, Resending, Witness};
use headwater_core::{Incarnation, Sequence};
use headwater_streams::ExchangeError;
use headwater_streams::duty::Panicked;

/// Says why a shard cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum RecoverError {
    #[error("the journal cannot be opened")]
    Open(#[source] ExchangeError),
    #[error("the journal cannot be read")]
    Read(#[source] ExchangeError),
    #[error("the journal cannot be made")]
    Make(#[source] ExchangeError),
    /// A process of a later release can read the checkpoint without which nothing can be gone on from.
    #[error("the journal begins at entry {first}, and there is no checkpoint to go on from")]
    Outgrown { first: Sequence, source: Box<Unusable> },
    /// The checkpoint without which nothing can be gone on from cannot be read now.
    #[error("the journal begins at entry {first}, and its checkpoint cannot be read now")]
    Unread { first: Sequence, source: Box<Unusable> },
    /// The journal contradicts what was seen of it.
    #[error("the shard is on hold: {reason}")]
    Held { reason: HoldReason, because: Option<Box<Unusable>> },
    #[error(
        "entry {sequence} of the journal cannot be folded: it needs a release that knows format {needs} of bundles, and this one knows {BUNDLE_FORMAT}"
    )]
    Newer { sequence: Sequence, needs: u32 },
    #[error("folding a commit of {} panicked: {}", .0.aggregate, .0.said)]
    Poisoned(Poisoned),
    /// What was sent to a shard is sent again, and was not kept.
    #[error("entry {at} sends again what was sent to shard {} before", .resending.to)]
    Resent { resending: Resending, at: Sequence },
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl RecoverError {
    /// Whether it says nothing of the shard: the broker is away, or slow.
    pub fn is_of_the_broker(&self) -> bool {
        match self {
            Self::Open(_) | Self::Read(_) | Self::Make(_) | Self::Unread { .. } => true,
            Self::Outgrown { .. }
            | Self::Held { .. }
            | Self::Newer { .. }
            | Self::Poisoned(_)
            | Self::Resent { .. }
            | Self::Panicked(_) => false,
        }
    }

    pub(super) fn held(reason: HoldReason) -> Self {
        Self::Held { reason, because: None }
    }

    /// Whether a process of a later release could, and this one never can.
    pub fn is_of_a_later_release(&self) -> bool {
        match self {
            Self::Newer { .. } | Self::Outgrown { .. } => true,
            Self::Open(_)
            | Self::Read(_)
            | Self::Make(_)
            | Self::Unread { .. }
            | Self::Held { .. }
            | Self::Poisoned(_)
            | Self::Resent { .. }
            | Self::Panicked(_) => false,
        }
    }
}

/// A commit that cannot be folded without a panic.
#[derive(Debug)]
pub(in super::super) struct Poisoned {
    pub place: CommitPlace,
    pub aggregate: AggregateId,
    pub said: String,
}

/// Says why a checkpoint is not used. The whole journal is folded instead, unless the two contradict each other.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Unusable {
    #[error("it cannot be read")]
    Unreadable(#[source] ExchangeError),
    #[error(transparent)]
    Refused(CheckpointError),
    #[error("it was taken at entry {taken_at}, and the journal begins at {first}")]
    Purged { taken_at: Sequence, first: Sequence },
    #[error("it was taken at entry {taken_at}, and the journal ends at {end}")]
    Ahead { taken_at: Sequence, end: Sequence },
    #[error("entry {taken_at} of the journal is another one than it was taken at")]
    Foreign { taken_at: Sequence },
    #[error("it is of incarnation {found}, and incarnation {begun} has begun")]
    Replaced { found: Incarnation, begun: Incarnation },
    #[error("reading it panicked")]
    Panicked(#[source] Panicked),
}

impl Unusable {
    /// How it shows that the journal is not what it was. `None`: it says nothing of the journal.
    pub(super) fn contradiction(&self) -> Option<HoldReason> {
        let witness = Witness::Checkpoint {};
        match self {
            Self::Ahead { taken_at, end } => Some(HoldReason::Behind { witness, reached: *taken_at, end: *end }),
            Self::Foreign { taken_at } => Some(HoldReason::Different { witness, at: *taken_at }),
            Self::Unreadable(_)
            | Self::Refused(_)
            | Self::Purged { .. }
            | Self::Replaced { .. }
            | Self::Panicked(_) => None,
        }
    }

    pub(super) fn is_of_a_later_release(&self) -> bool {
        matches!(self, Self::Refused(CheckpointError::Format { .. } | CheckpointError::Newer { .. }))
    }
}
