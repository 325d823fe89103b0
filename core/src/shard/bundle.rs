//! The Bundle: everything a shard decided since its previous append, in one journal message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use sha2::Digest as _;

use super::{AggregateId, Aside, Event, Replaces, Resending, Stored, Way};
use crate::{Actor, BundleId, CommandId, Epoch, Revision, Sequence, ShardId, Timestamp};

/// What folding a bundle takes, at most, that this release writes and folds: see [`Bundle::needs`].
pub const BUNDLE_FORMAT: u32 = 5;

/// Since which format bundles say what was heard.
const HEARD_SINCE: u32 = 2;
/// Since which format a run goes on after its commits, or ends in more than one.
const AGENDA_SINCE: u32 = 3;

/// Since which format bundles say what is quarantined, and hold releases.
const ASIDE_SINCE: u32 = 3;
/// Since which format a shard begins anew, and others send to it again.
const INCARNATIONS_SINCE: u32 = 4;
/// Since which format definitions have the words of [`crate::definition::Definition::has_later_words`], and values stand elsewhere.
const WORDS_SINCE: u32 = 5;

/// One message of a journal, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    pub shard: ShardId,
    pub epoch: Epoch,
    pub id: BundleId,
    /// The first 16 bytes of SHA-256 over the previous bundle's bytes, 32 hex digits; empty for the first.
    pub previous: String,
    /// Every effect of the bundles up to here has been delivered.
    pub effects_done: Sequence,
    /// Who does not know this format would fold the bundle wrongly, and gives the shard up. Absent: 1.
    #[serde(default = "first_format", skip_serializing_if = "is_first_format")]
    pub needs: u32,
    /// The ways on which more has been delivered. Absent: on none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    /// The places of other shards' journals that were heard with this bundle, by shard. Who ignores them would decide again
    /// what was decided, so a bundle with any needs format 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<(ShardId, EffectPlace)>,
    /// That it begins an incarnation. A bundle with it needs format 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Box<Replaces>>,
    /// What is sent again to shards that began anew. A bundle with it needs format 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resends: Vec<Resending>,
    /// What is said of quarantine. A bundle with it, or with a release, needs format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Box<Aside>>,
    /// In order; empty where nothing changed.
    pub commits: Vec<Commit>,
}

/// Which effects have been delivered beyond `effectsDone`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ahead {
    /// Up to where on every way that is not named.
    pub done: Sequence,
    /// Up to where on the others.
    pub behind: Vec<(Way, Sequence)>,
}

/// Which effect of a shard: of which bundle, and which of that bundle's, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectPlace {
    pub sequence: Sequence,
    pub index: u32,
}

impl std::fmt::Display for EffectPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.sequence, self.index)
    }
}

fn first_format() -> u32 {
    1
}

fn is_first_format(format: &u32) -> bool {
    *format == 1
}

/// Says why a message of a journal is not folded.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The history is right, only its reader is old: nothing is to be quarantined for it.
    #[error("it needs a release that knows format {needs} of bundles, and this one knows {BUNDLE_FORMAT}")]
    Newer { needs: u32 },
    #[error("it is not a bundle")]
    Malformed(#[from] serde_json::Error),
}

impl Bundle {
    /// Reads a message of a journal. What it needs is looked at before what it holds.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        #[derive(Deserialize)]
        struct Needs {
            #[serde(default = "first_format")]
            needs: u32,
        }
        let needs = match serde_json::from_slice::<Self>(bytes) {
            Ok(bundle) if bundle.needs <= BUNDLE_FORMAT => return Ok(bundle),
            Ok(bundle) => bundle.needs,
            Err(error) => match serde_json::from_slice(bytes) {
                Ok(Needs { needs }) if needs > BUNDLE_FORMAT => needs,
                Ok(Needs { .. }) | Err(_) => return Err(error.into()),
            },
        };
        Err(BundleError::Newer { needs })
    }
}

/// What a [`Bundle`] says before its commits, which are JSON already when it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head<'a> {
    pub shard: ShardId,
    pub epoch: Epoch,
    pub id: BundleId,
    pub previous: &'a str,
    pub effects_done: Sequence,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "as_pairs")]
    pub heard: &'a BTreeMap<ShardId, EffectPlace>,
    /// Whether a commit leaves a run something to do: who does not know of that would let it lie.
    #[serde(skip)]
    pub leaves_agenda: bool,
    /// Whether a definition among the commits has words that releases before 0.2 do not know: they would set it aside.
    #[serde(skip)]
    pub has_later_words: bool,
    /// Whether values of its commits stand elsewhere.
    #[serde(skip)]
    pub has_stored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<&'a Replaces>,
    #[serde(skip_serializing_if = "<[Resending]>::is_empty")]
    pub resends: &'a [Resending],
    #[serde(skip_serializing_if = "Aside::is_empty")]
    pub aside: &'a Aside,
    /// Whether a release is among the commits.
    #[serde(skip)]
    pub releases: bool,
}

/// Enough for nearly every head.
const HEAD_BYTES: usize = 512;

fn as_pairs<S: Serializer>(heard: &BTreeMap<ShardId, EffectPlace>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(heard)
}

impl Head<'_> {
    /// Returns the bytes of the bundle; commits are separated by commas.
    pub fn write(&self, commits: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + commits.len());
        serde_json::to_writer(&mut bytes, self).expect("a head has text keys, and a Vec takes every byte");
        bytes.pop();
        let needs = if self.has_later_words || self.has_stored {
            Some(WORDS_SINCE)
        } else if self.replaces.is_some() || !self.resends.is_empty() {
            Some(INCARNATIONS_SINCE)
        } else if self.releases || !self.aside.is_empty() {
            Some(ASIDE_SINCE)
        } else if self.leaves_agenda {
            Some(AGENDA_SINCE)
        } else {
            (!self.heard.is_empty()).then_some(HEARD_SINCE)
        };
        if let Some(needs) = needs {
            bytes.extend_from_slice(format!(",\"needs\":{needs}").as_bytes());
        }
        bytes.extend_from_slice(b",\"commits\":[");
        bytes.extend_from_slice(commits);
        bytes.extend_from_slice(b"]}");
        bytes
    }
}

/// The first 16 bytes of SHA-256 over a bundle's bytes, as 32 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    let hash = sha2::Sha256::digest(bytes);
    let nibbles = hash[..16].iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(b"0123456789abcdef"[usize::from(nibble)])).collect()
}

/// The facts decided together for one aggregate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    pub aggregate: AggregateId,
    /// Of the first event; the others follow contiguously.
    pub revision: Revision,
    /// The wish that was granted.
    pub command: CommandId,
    /// By the owner's clock, never going backwards within a shard.
    pub time: Timestamp,
    /// Who asked for it. Absent: a worker, whom the events name, or the engine itself; or a release before 0.2 wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<Actor>>,
    /// What it follows from. Absent: from no other commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Which values of its events stand in the store of values. Who ignores it would fold `null`, so a bundle with any needs
    /// format 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Box<Stored>>,
    /// At least one.
    pub events: Vec<Event>,
}

/// The effect that a commit follows from: of which shard's journal, in which bundle, and which of that bundle's, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    pub shard: ShardId,
    pub sequence: Sequence,
    pub index: u32,
}

impl Commit {
    /// Returns whether it takes its aggregate out of quarantine.
    pub(super) fn is_release(&self) -> bool {
        matches!(self.events.first(), Some(Event::Released(_)))
    }
}

/// A place in a journal: what a write returns and a read can wait for. Text form `shard:sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    pub shard: ShardId,
    pub sequence: Sequence,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.shard, self.sequence)
    }
}

impl std::str::FromStr for Position {
    type Err = crate::InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || crate::InvalidName::new("position", text, "shard:sequence, both numbers");
        let (shard, sequence) = text.split_once(':').ok_or_else(invalid)?;
        let sequence = sequence.parse().map_err(|_| invalid())?;
        Ok(Self { shard: shard.parse()?, sequence: Sequence::new(sequence) })
    }
}
