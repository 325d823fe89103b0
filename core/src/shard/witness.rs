//! What a journal must not contradict: whatever has seen more of it, or another one, holds its shard (ADR 18).

use serde::{Deserialize, Serialize};

use super::digest;
use crate::{Sequence, ShardId, Timestamp};

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
        /// An entry that is known to be durable, the newest such.
        reached: Sequence,
    },
}

impl JournalState {
    /// What holds for a shard of which the map does not speak: maps had no states before 0.2.
    pub const UNSAID: Self = Self::Begun { made_at: None, reached: Sequence::ZERO };

    /// Returns whether a journal that is not there may be made.
    pub fn may_be_made(&self) -> bool {
        match self {
            Self::New {} | Self::Creating {} => true,
            Self::Begun { .. } => false,
        }
    }

    /// Returns the state once `reached` is durable in a journal made at `made_at`. What was reached never falls.
    #[must_use]
    pub fn begun(self, made_at: Timestamp, reached: Sequence) -> Self {
        let before = match self {
            Self::New {} | Self::Creating {} => Sequence::ZERO,
            Self::Begun { reached, .. } => reached,
        };
        Self::Begun { made_at: Some(made_at), reached: before.max(reached) }
    }

    /// Returns how the journal that the stream's leader shows contradicts the map. `None`: not at all.
    pub fn contradiction(&self, found: Option<&Standing>) -> Option<HoldReason> {
        match (*self, found) {
            (Self::New {} | Self::Creating {}, _) => None,
            (Self::Begun { .. }, None) => Some(HoldReason::Missing {}),
            (Self::Begun { made_at, reached }, Some(found)) => {
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
    /// Returns how a journal contradicts it that ends at `end` and has these bytes at [`Self::at`]. `None`: not at all.
    pub fn contradiction(&self, end: Sequence, bytes: Option<&[u8]>) -> Option<HoldReason> {
        let Self { witness, at, digest: seen } = self;
        if *at == Sequence::ZERO {
            return None;
        }
        if end < *at {
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
            Self::Behind { .. } | Self::Different { .. } => "restore the stream from a newer backup",
            Self::Beginning { .. } => "restore the checkpoint, or the stream, from a backup",
            Self::Hole { .. } | Self::NotABundle { .. } | Self::NotFollowing { .. } => {
                "keep a copy of the store, and restore the stream from a replica or a backup"
            }
        }
    }
}
