//! What a journal must not contradict: whatever has seen more of it, or another one, holds its shard (ADR 18).

use serde::{Deserialize, Serialize};

use super::digest;
use crate::{Incarnation, Sequence, ShardId, Timestamp};

/// How far the journal of a shard has come to be. A journal is made for one that is `New` or `Creating`, and for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum JournalState {
    /// There never was one.
    New {},
    /// Somebody is making it; nothing was answered by it.
    Creating {},
    /// Its first bundle is durable: from now on it has to be there.
    Begun {
        /// When the broker made its stream. Absent: nobody who drives it has said yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        made_at: Option<Timestamp>,
        /// An entry that is known to be durable, the newest such, by its number in the stream.
        reached: Sequence,
        /// Which life of the journal it is.
        #[serde(default, skip_serializing_if = "Incarnation::is_first")]
        incarnation: Incarnation,
    },
}

impl JournalState {
    /// What holds for a shard of which the map does not speak: maps had no states before 0.2.
    pub const UNSAID: Self = Self::Begun { made_at: None, reached: Sequence::ZERO, incarnation: Incarnation::FIRST };

    /// Returns whether a journal that is not there may be made.
    pub fn may_be_made(&self) -> bool {
        match self {
            Self::New {} | Self::Creating {} => true,
            Self::Begun { .. } => false,
        }
    }

    /// Returns the state once `reached` is durable in a journal made at `made_at`. What was reached never falls but with a new
    /// incarnation, and what is said of an earlier one changes nothing.
    #[must_use]
    pub fn begun(self, made_at: Timestamp, reached: Sequence) -> Self {
        let (incarnation, reached) = (reached.incarnation(), reached.in_stream());
        let begun = |reached| Self::Begun { made_at: Some(made_at), reached, incarnation };
        match self {
            Self::Begun { incarnation: later, .. } if later > incarnation => self,
            Self::Begun { incarnation: same, reached: before, .. } if same == incarnation => begun(before.max(reached)),
            Self::New {} | Self::Creating {} | Self::Begun { .. } => begun(reached),
        }
    }

    /// Returns which life of the journal it is.
    pub fn incarnation(&self) -> Incarnation {
        match self {
            Self::New {} | Self::Creating {} => Incarnation::FIRST,
            Self::Begun { incarnation, .. } => *incarnation,
        }
    }

    /// Returns how a journal that was folded, up to an entry of `found`, contradicts it.
    pub fn older(&self, found: Incarnation) -> Option<HoldReason> {
        let expected = self.incarnation();
        (found < expected).then_some(HoldReason::Older { expected, found })
    }

    /// Returns how the journal that the stream's leader shows contradicts the map. `None`: not at all.
    pub fn contradiction(&self, found: Option<&Standing>) -> Option<HoldReason> {
        match (*self, found) {
            (Self::New {} | Self::Creating {}, _) => None,
            (Self::Begun { .. }, None) => Some(HoldReason::Missing {}),
            (Self::Begun { made_at, reached, .. }, Some(found)) => {
                if let Some(expected) = made_at.filter(|expected| *expected != found.made_at) {
                    return Some(HoldReason::MadeAnew { expected, found: found.made_at });
                }
                (found.end < reached).then_some(HoldReason::Behind {
                    witness: Witness::Map {},
                    reached,
                    end: found.end,
                })
            }
        }
    }
}

/// What a stream's leader shows of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub made_at: Timestamp,
    pub end: Sequence,
}

/// Who has seen an entry of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Witness {
    #[error("the shard map")]
    Map {},
    #[error("the newest checkpoint")]
    Checkpoint {},
    /// Who drove the shard until then.
    #[error("its owner")]
    Owner {},
    /// What was projected of it. It raises a hold, and decides nothing else.
    #[error("the projector's cursor")]
    Cursor {},
    /// Another shard, of what this one sent it.
    #[error("shard {shard}")]
    Shard { shard: ShardId },
}

/// An entry that somebody has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    pub witness: Witness,
    pub at: Sequence,
    /// [`digest`] of its bytes, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Sighting {
    /// Returns how a journal contradicts it whose stream ends at `end` and has these bytes at [`Self::at`]. `None`: not at all.
    pub fn contradiction(&self, end: Sequence, bytes: Option<&[u8]>) -> Option<HoldReason> {
        let Self { witness, at, digest: seen } = self;
        if at.in_stream() == Sequence::ZERO {
            return None;
        }
        if end.in_stream() < at.in_stream() {
            return Some(HoldReason::Behind { witness: *witness, reached: *at, end });
        }
        let is_same = match (bytes, seen) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(bytes), Some(seen)) => digest(bytes) == *seen,
        };
        (!is_same).then_some(HoldReason::Different { witness: *witness, at: *at })
    }
}

/// Why a shard is held: nothing is written to it, and nobody begins it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HoldReason {
    #[error("its journal is gone")]
    Missing {},
    #[error("the stream of its journal was made anew at {found}; the one that was driven is of {expected}")]
    MadeAnew { expected: Timestamp, found: Timestamp },
    #[error("its journal ends at {end}, and {witness} has seen entry {reached}")]
    Behind { witness: Witness, reached: Sequence, end: Sequence },
    #[error("entry {at} of its journal is another one than {witness} has seen")]
    Different { witness: Witness, at: Sequence },
    /// It is a copy of before a release from hold.
    #[error("its journal is of incarnation {found}, and incarnation {expected} has begun")]
    Older { expected: Incarnation, found: Incarnation },
    #[error("its journal begins at entry {first}, and there is no checkpoint to go on from")]
    Beginning { first: Sequence },
    #[error("entry {at} of its journal is gone, and later ones are there")]
    Hole { at: Sequence },
    #[error("entry {at} of its journal is not a bundle")]
    NotABundle { at: Sequence },
    #[error("entry {at} of its journal does not follow: {why}")]
    NotFollowing { at: Sequence, why: String },
}

impl HoldReason {
    /// Returns what an operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing {} => "restore the stream from a backup that has everything",
            Self::MadeAnew { .. } => {
                "remove the stream that was made anew, and restore the one that was driven from a backup"
            }
            Self::Behind { .. } | Self::Different { .. } | Self::Older { .. } => {
                "restore the stream from a newer backup"
            }
            Self::Beginning { .. } => "restore the checkpoint, or the stream, from a backup",
            Self::Hole { .. } | Self::NotABundle { .. } | Self::NotFollowing { .. } => {
                "keep a copy of the store, and restore the stream from a replica or a backup"
            }
        }
    }

    /// Returns whether an operator may accept the journal as it is: what is there follows from itself.
    ///
    /// # Errors
    /// What to do instead.
    pub fn releasable(&self) -> Result<(), &'static str> {
        match self {
            Self::Missing {}
            | Self::MadeAnew { .. }
            | Self::Behind { .. }
            | Self::Different { .. }
            | Self::Older { .. } => Ok(()),
            Self::Beginning { .. } => Err(
                "what the shard knew before that entry stands nowhere: restore the checkpoint, or the stream, from a backup",
            ),
            Self::Hole { .. } | Self::NotABundle { .. } | Self::NotFollowing { .. } => Err(
                "what comes after that entry cannot be folded: restore the stream from a copy of before it, an older one if \
                 need be, and release the shard then; or, where there is none, remove the stream, and release the shard empty",
            ),
        }
    }
}
