//! The state of an owner that has folded its journal up to a sequence and decided nothing yet, as bytes; and back.
//!
//! A checkpoint saves folding the entries it stands for, and stands for them where they were purged. It is JSON, one value a
//! line: the head, then sections, one for each kind of thing, `{"kind", "format", "records"}` and so many records. Each kind
//! has a format of its own, and the one before is read too (`section`), so that a release that changes one of them still
//! takes over where an older one left off (ADR 15). What follows from the state (timers, what is due, indexes, compiled
//! definitions) is made again.

mod legacy;
mod section;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub(super) use self::section::Kind;
use self::section::{Contents, SectionHead};
use super::definitions::Unusable;
use super::memory::Memory;
use super::outbox::Inherited;
use super::owner::Folded;
use super::quarantine::Quarantined;
use super::shelf::Unrestored;
use super::state::Shard;
use super::window::{EndedRuns, GrantedCommands};
use super::{Lanes, Owner, WorkflowKey, kinds};
use crate::run::Run;
use crate::{DefinitionVersion, Epoch, NodeAddress, RunId, Sequence, ShardId};

/// How checkpoints are divided: into sections, since 3. What a section holds has a format of its own; whole checkpoints of
/// formats 1 and 2 are read.
pub const CHECKPOINT_FORMAT: u32 = 3;

/// Says why a checkpoint cannot be used. Fold the journal from its first entry instead.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("it is damaged")]
    Malformed(#[from] serde_json::Error),
    #[error("it has format {found}, and this release reads formats 1 to {CHECKPOINT_FORMAT}: it needs {needed}")]
    Format { found: u32, needed: Needed },
    #[error("it has {found}: it needs {needed}")]
    Newer { found: String, needed: Needed },
    #[error("it has its section {kind} in format {format}, which this release does not read any more")]
    Older { kind: String, format: u32 },
    #[error("it has its section {kind} twice")]
    Twice { kind: String },
    #[error("it is of shard {found}, not {expected}")]
    Shard { expected: ShardId, found: ShardId },
    #[error("its definition {}/{}/{version} does not compile: {problems}", .key.workspace, .key.workflow)]
    Definition { key: WorkflowKey, version: DefinitionVersion, problems: String },
    #[error("its run {run} is frozen at a definition that it does not hold")]
    DefinitionMissing { run: RunId },
    #[error("its run {run} has a node {node} that its definition does not have")]
    Node { run: RunId, node: NodeAddress },
}

/// Which release can read it: the one that wrote it, if it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed(Option<String>);

impl Needed {
    fn of(release: &str) -> Self {
        Self(Some(release.to_owned()).filter(|release| !release.is_empty()))
    }
}

impl From<Unrestored> for CheckpointError {
    fn from(unrestored: Unrestored) -> Self {
        match unrestored {
            Unrestored::Definition { run, why: Unusable::NotAdopted, .. } => Self::DefinitionMissing { run },
            Unrestored::Definition { key, version, why: Unusable::Broken(problems), .. } => {
                Self::Definition { key, version, problems }
            }
            Unrestored::Node { run, node } => Self::Node { run, node },
        }
    }
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(release) => write!(f, "release {release}, which wrote it, or a later one"),
            None => f.write_str("a later release"),
        }
    }
}

/// What every format begins with.
#[derive(Deserialize)]
struct Format {
    format: u32,
    #[serde(default)]
    release: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    format: u32,
    /// That wrote it.
    release: String,
    shard: ShardId,
    epoch: Epoch,
    /// Of the last bundle folded.
    sequence: Sequence,
    /// Of the same bundle's bytes.
    digest: String,
    /// How many follow.
    sections: usize,
}

impl<C> Owner<C> {
    /// Returns its checkpoint: of what it folded, before anything was decided. The same state gives the same bytes.
    ///
    /// # Panics
    /// When anything was submitted or handed out, or [`Self::inherit`] has given effects away.
    pub fn checkpoint(&self) -> Vec<u8> {
        let (shard, Folded { epoch, last, digest, inherited }) = self.folded();
        let mut sections = Sections::default();
        sections.write(Kind::Effects, inherited.iter());
        write_state(shard, &mut sections);
        let mut bytes = Vec::with_capacity(sections.bytes.len() + 256);
        let head = Head {
            format: CHECKPOINT_FORMAT,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            shard: shard.id(),
            epoch,
            sequence: last,
            digest: digest.into_owned(),
            sections: sections.count,
        };
        write_line(&mut bytes, &head);
        bytes.append(&mut sections.bytes);
        bytes
    }

    /// Takes over a shard, `empty` so far, where a checkpoint left off. Compare the entry at [`Self::last`] by [`Self::stands_on`]
    /// before folding those after it: the checkpoint may be of another journal.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn restore(empty: Shard, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let Format { format, release } = Format::deserialize(&mut serde_json::Deserializer::from_slice(bytes))?;
        let (head, contents) = match format {
            CHECKPOINT_FORMAT => read_sections(bytes)?,
            1 | 2 => legacy::read(bytes)?,
            found => return Err(CheckpointError::Format { found, needed: Needed::of(&release) }),
        };
        if head.shard != empty.id() {
            return Err(CheckpointError::Shard { expected: empty.id(), found: head.shard });
        }
        let (mut shard, inherited) = restored(empty, contents)?;
        shard.lanes.incarnation = head.epoch.incarnation();
        let Head { epoch, sequence: last, digest, .. } = head;
        Ok(Self::resumed(shard, Folded { epoch, last, digest: digest.into(), inherited }))
    }
}

fn read_sections(bytes: &[u8]) -> Result<(Head, Contents), CheckpointError> {
    let mut values = serde_json::Deserializer::from_slice(bytes);
    let head = Head::deserialize(&mut values)?;
    let (mut contents, mut kinds) = (Contents::default(), BTreeSet::new());
    for _ in 0..head.sections {
        let kind = section::read(&mut values, &head, &mut contents)?;
        if !kinds.insert(kind) {
            return Err(CheckpointError::Twice { kind: format!("{kind:?}") });
        }
    }
    values.end()?;
    Ok((head, contents))
}

/// Sections as they are written.
#[derive(Default)]
pub(super) struct Sections {
    bytes: Vec<u8>,
    count: usize,
}

impl Sections {
    pub fn write<T: Serialize>(&mut self, kind: Kind, records: impl ExactSizeIterator<Item = T>) {
        self.count += 1;
        write_line(&mut self.bytes, &SectionHead { kind, format: *kind.formats().end(), records: records.len() });
        records.for_each(|record| write_line(&mut self.bytes, &record));
    }
}

fn write_line(bytes: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(&mut *bytes, value).expect("checkpoints have text keys, and a Vec takes every byte");
    bytes.push(b'\n');
}

/// Writes what a shard knows, sorted.
fn write_state(shard: &Shard, sections: &mut Sections) {
    // Every field is named, so that a new one does not compile until it is written here or known to follow.
    let Shard {
        id: _,
        map: _,
        bounds: _,
        shelves,
        definitions,
        memory: Memory { clock, granted, ended, keyed },
        docket: _,
        spent: _,
        lanes: Lanes { incarnation, heard, toward },
        quarantined: Quarantined { by_id: quarantine, parked },
    } = shard;
    sections.write(Kind::Clock, [clock].into_iter());
    let mut documents: Vec<_> = definitions.documents().collect();
    documents.sort_unstable_by_key(|(key, version, _)| (*key, *version));
    sections.write(Kind::Definitions, documents.iter());
    kinds::write(shelves, sections);
    let mut keys_held: Vec<_> =
        keyed.values().filter(|id| !shelves.runs.contains_key(id) && ended.find(**id).is_none()).collect();
    keys_held.sort_unstable();
    let [ended_keyed, ended_unkeyed] = ended.entries();
    sections.write(Kind::EndedKeyed, ended_keyed.iter());
    sections.write(Kind::EndedUnkeyed, ended_unkeyed.iter());
    sections.write(Kind::KeysHeld, keys_held.iter());
    sections.write(Kind::Granted, granted.entries().iter());
    sections.write(Kind::GrantedLasting, granted.lasting_entries().iter());
    let mut quarantine: Vec<_> = quarantine.iter().collect();
    quarantine.sort_unstable_by_key(|(aggregate, _)| *aggregate);
    sections.write(Kind::Quarantine, quarantine.iter());
    let parked = parked.iter().flat_map(|(aggregate, waiting)| waiting.iter().map(move |wish| (aggregate, wish)));
    sections.write(Kind::Parked, parked.collect::<Vec<_>>().iter());
    sections.write(Kind::Heard, heard.iter());
    sections.write(Kind::Forgotten, ended.newest_forgotten().iter());
    // Releases that know no incarnations read no such section, and leave the checkpoint alone.
    let successors = ended.successors();
    if !successors.is_empty() {
        sections.write(Kind::Successors, successors.iter());
    }
    if !incarnation.is_first() || !toward.is_empty() {
        sections.write(Kind::Toward, toward.iter());
    }
}

/// Fills an empty shard.
fn restored(mut shard: Shard, state: Contents) -> Result<(Shard, Vec<Inherited>), CheckpointError> {
    for (key, version, document) in state.definitions {
        shard.definitions.adopt(key, version, document);
    }
    kinds::restore(&mut shard, state.records)?;
    let ended = [state.ended_keyed, state.ended_unkeyed];
    let ended = EndedRuns::restored(ended, state.successors, state.forgotten.into_iter().max());
    let active = shard.shelves.runs.values().filter(|run| run.is_keyed()).map(Run::id);
    let holders = active.chain(ended.keyed()).chain(state.keys_held);
    shard.memory = Memory {
        clock: state.clock,
        granted: GrantedCommands::restored(state.granted, state.granted_lasting),
        keyed: holders.map(|id| (id.cause(), id)).collect(),
        ended,
    };
    shard.lanes.heard = state.heard.into_iter().collect();
    shard.lanes.toward = state.toward.into_iter().collect();
    // Until format 2 of them, what is quarantined stood among the others too.
    for (aggregate, quarantine) in state.quarantine {
        shard.set_aside(&aggregate, quarantine);
    }
    for (aggregate, wish) in state.parked {
        shard.quarantined.parked.entry(aggregate).or_default().push_back(wish);
    }
    Ok((shard, state.effects))
}
