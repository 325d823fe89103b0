//! A batch: entries of one or more journals, folded, with the cursors they move.

use std::collections::BTreeMap;

use headwater_core::shard::BUNDLE_FORMAT;
use headwater_core::shard::{HoldReason, Sighting, Witness};
use headwater_core::{Incarnation, Json, Sequence, ShardId, Timestamp};
use headwater_streams::journals::Entry;
use sha2::{Digest as _, Sha256};

use crate::documents::{self, Documents};
use crate::fold::Changes;
use crate::parse::{ParsedBundle, parse};

/// How far a shard is projected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub shard: ShardId,
    /// The last bundle that is in the tables; zero at the beginning.
    pub sequence: Sequence,
    /// The time of the last commit that is in the tables.
    pub time: Option<Timestamp>,
    /// What the next bundle must name as its predecessor's hash; empty at the beginning.
    pub hash: String,
}

impl Cursor {
    /// Returns the cursor of a shard of which nothing is projected.
    pub fn start(shard: ShardId) -> Self {
        Self { shard, sequence: Sequence::ZERO, time: None, hash: String::new() }
    }
}

impl Cursor {
    /// Returns what it stands for: an entry whose rows readers may have seen.
    pub(crate) fn sighting(&self) -> Sighting {
        Sighting { witness: Witness::Cursor {}, at: self.sequence, digest: Some(self.hash.clone()) }
    }
}

/// What comes next in a journal does not follow from what is projected: the shard needs a rebuild, or its journal a later
/// release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discontinuity {
    /// Entries are missing.
    #[error("shard {shard}: after {cursor} comes {found}")]
    Gap { shard: ShardId, cursor: Sequence, found: Sequence },
    /// The journal does not show any more what was projected of it: its shard is held, and nothing is rebuilt before it does.
    #[error("shard {shard} is on hold: {reason}")]
    Contradicted { shard: ShardId, reason: HoldReason },
    /// It is another journal than the one that was projected before.
    #[error("shard {shard}: bundle {found} follows another bundle than the one that was projected")]
    ForeignChain { shard: ShardId, found: Sequence },
    /// A later incarnation has written it: what was projected of the one before starts over.
    #[error("shard {shard}: incarnation {incarnation} of its journal has begun")]
    Replaced { shard: ShardId, incarnation: Incarnation },
    /// A later release has written it. Nothing is wrong with it, and nothing of it is buried.
    #[error(
        "shard {shard}: entry {found} needs a release that knows format {needs} of bundles, and this one knows {BUNDLE_FORMAT}"
    )]
    Newer { shard: ShardId, found: Sequence, needs: u32 },
}

/// Entries and what they change. Kept together, because what the database refuses is taken apart again.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<(ShardId, Entry)>,
    changes: Changes,
    advances: BTreeMap<ShardId, Advance>,
    /// What its entries name by digest.
    documents: Documents,
    bytes: usize,
}

/// Moves one cursor.
#[derive(Debug)]
pub(crate) struct Advance {
    pub(crate) from: Sequence,
    time: Option<Timestamp>,
    last: Entry,
}

impl Advance {
    /// Returns where the cursor stands afterwards. Hashes the last bundle.
    pub(crate) fn cursor(&self, shard: ShardId) -> Cursor {
        Cursor { shard, sequence: self.last.sequence, time: self.time, hash: bundle_hash(&self.last.bytes) }
    }
}

/// Returns how a bundle is named by the one after it: the first 16 bytes of SHA-256, 32 hex digits.
pub fn bundle_hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut number = [0; 16];
    number.copy_from_slice(&digest[..16]);
    format!("{:032x}", u128::from_be_bytes(number))
}

impl Batch {
    /// Takes what entries that will be pushed name by digest.
    pub fn bring(&mut self, documents: Documents) {
        self.bytes += documents.values().map(Json::len_bytes).sum::<usize>();
        self.documents.extend(documents);
    }

    /// Returns what an entry holds, with the documents that it names.
    pub(crate) fn parsed(&self, shard: ShardId, entry: &Entry) -> ParsedBundle {
        let mut bundle = parse(shard, entry);
        documents::place(shard, entry, &mut bundle, &self.documents);
        bundle
    }

    /// Folds an entry in. One the cursor is past already, a duplicate, changes nothing.
    ///
    /// `cursor` is where the shard stood before this batch.
    ///
    /// # Errors
    /// See [`Discontinuity`]; the batch is as it was.
    pub fn push(&mut self, cursor: &Cursor, entry: Entry) -> Result<(), Discontinuity> {
        let shard = cursor.shard;
        let before = self.advances.get(&shard);
        let reached = before.map_or(cursor.sequence, |advance| advance.last.sequence);
        let bundle = self.parsed(shard, &entry);
        let incarnation = bundle.incarnation;
        if incarnation > cursor.sequence.incarnation() {
            return Err(Discontinuity::Replaced { shard, incarnation });
        }
        if entry.sequence <= reached {
            return Ok(());
        }
        if entry.sequence != reached.next() {
            return Err(Discontinuity::Gap { shard, cursor: reached, found: entry.sequence });
        }
        if bundle.needs > BUNDLE_FORMAT {
            return Err(Discontinuity::Newer { shard, found: entry.sequence, needs: bundle.needs });
        }
        // Within a batch the sequence tells; the first entry may come from another journal of the same name.
        let foreign = bundle.previous.as_ref().is_some_and(|previous| *previous != cursor.hash);
        if before.is_none() && foreign {
            return Err(Discontinuity::ForeignChain { shard, found: entry.sequence });
        }
        let known = before.map_or(cursor.time, |advance| advance.time);
        let time = bundle.commits.last().map(|commit| commit.time).or(known);
        self.bytes += entry.bytes.len();
        self.changes.fold(shard, entry.sequence, bundle);
        let from = before.map_or(cursor.sequence, |advance| advance.from);
        self.advances.insert(shard, Advance { from, time, last: entry.clone() });
        self.entries.push((shard, entry));
        Ok(())
    }

    /// Makes a batch of one of its entries.
    pub(crate) fn of_one(&self, shard: ShardId, entry: Entry) -> Self {
        let (bundle, documents) = (self.parsed(shard, &entry), self.documents.clone());
        let from = Sequence::new(entry.sequence.get().saturating_sub(1));
        let time = bundle.commits.last().map(|commit| commit.time);
        let mut changes = Changes::default();
        changes.fold(shard, entry.sequence, bundle);
        let bytes = entry.bytes.len();
        let advances = BTreeMap::from([(shard, Advance { from, time, last: entry.clone() })]);
        Self { entries: vec![(shard, entry)], changes, advances, documents, bytes }
    }

    /// Returns whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the length of its entries in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what it changes.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Returns where the cursors stand afterwards, one for each shard that has entries in it.
    pub fn cursors(&self) -> Vec<Cursor> {
        self.advances.iter().map(|(shard, advance)| advance.cursor(*shard)).collect()
    }

    pub(crate) fn advances(&self) -> &BTreeMap<ShardId, Advance> {
        &self.advances
    }

    pub(crate) fn entries(&self) -> &[(ShardId, Entry)] {
        &self.entries
    }
}
