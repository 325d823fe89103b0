//! The sections of a checkpoint: which kinds there are, in which formats each is read, and in which it is written.
//!
//! A change of what the records of a kind hold is a new format of that kind: the reader of the format before stays, and
//! [`read`] does not compile without it being named. A kind that a checkpoint does not have is empty.

use std::ops::RangeInclusive;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::de::{Deserializer, SliceRead};
use serde_json::value::RawValue;

use super::{CheckpointError, Head, Needed};
use crate::shard::kinds::Records;
use crate::shard::lane;
use crate::shard::outbox::Inherited;
use crate::shard::window::{EndedEntry, GrantedEntry};
use crate::shard::{AggregateId, Effect, EffectPlace, Quarantine, Submission, WorkflowKey};
use crate::{DefinitionVersion, Incarnation, Json, Revision, RunId, Sequence, ShardId, Timestamp};

/// What the records of a section are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shard) enum Kind {
    /// One: the time of the last commit.
    Clock,
    /// Those that may not have been delivered, by bundle.
    Effects,
    /// The documents of the versions that were adopted.
    Definitions,
    Workflows,
    /// Only where there are any, as the next.
    Actions,
    Memos,
    Assets,
    Runs,
    EndedKeyed,
    EndedUnkeyed,
    /// The runs that still hold their idempotency keys and are neither active nor remembered: quarantined ones.
    KeysHeld,
    Granted,
    /// With the times they were granted at, which say for how long they are remembered.
    GrantedLasting,
    Quarantine,
    /// What was asked of what is quarantined, in order.
    Parked,
    /// The last place of each shard's journal that was heard.
    Heard,
    /// One at most: when the newest run started that was ever forgotten.
    Forgotten,
    /// For which incarnations of other shards what is sent them is meant. Only where somebody began anew.
    Toward,
    Successors,
}

impl Kind {
    /// Returns the formats that are read; the last is the one that is written.
    pub fn formats(self) -> RangeInclusive<u32> {
        match self {
            Self::Effects => 2..=4,
            Self::Quarantine | Self::Workflows => 1..=2,
            Self::Runs => 1..=3,
            Self::Clock
            | Self::Definitions
            | Self::Actions
            | Self::Memos
            | Self::Assets
            | Self::EndedKeyed
            | Self::EndedUnkeyed
            | Self::KeysHeld
            | Self::Granted
            | Self::GrantedLasting
            | Self::Parked
            | Self::Heard
            | Self::Forgotten
            | Self::Toward
            | Self::Successors => 1..=1,
        }
    }
}

/// What stands before the records of a section.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SectionHead<K> {
    pub kind: K,
    pub format: u32,
    /// How many follow.
    pub records: usize,
}

/// Everything that sections hold.
#[derive(Default)]
pub(super) struct Contents {
    pub clock: Timestamp,
    pub effects: Vec<Inherited>,
    pub definitions: Vec<(WorkflowKey, DefinitionVersion, Json)>,
    pub records: Records,
    pub ended_keyed: Vec<EndedEntry>,
    pub ended_unkeyed: Vec<EndedEntry>,
    pub keys_held: Vec<RunId>,
    pub granted: Vec<GrantedEntry>,
    pub granted_lasting: Vec<(Timestamp, GrantedEntry)>,
    pub quarantine: Vec<(AggregateId, Quarantine)>,
    pub parked: Vec<(AggregateId, Submission)>,
    pub heard: Vec<(ShardId, EffectPlace)>,
    pub forgotten: Vec<Timestamp>,
    pub toward: Vec<(ShardId, Incarnation)>,
    pub successors: Vec<(RunId, RunId)>,
}

type Values<'b> = Deserializer<SliceRead<'b>>;

/// Reads the next section into `contents`; returns its kind.
pub(super) fn read(values: &mut Values<'_>, head: &Head, contents: &mut Contents) -> Result<Kind, CheckpointError> {
    let (release, shard) = (&head.release, head.shard);
    let SectionHead { kind: name, format, records: count } = SectionHead::<String>::deserialize(&mut *values)?;
    let needed = || Needed::of(release);
    let kind = serde_json::from_value(serde_json::Value::String(name.clone()));
    let Ok(kind) = kind else {
        let found = format!("a section {name:?}, which this release does not know");
        return Err(CheckpointError::Newer { found, needed: needed() });
    };
    let formats = Kind::formats(kind);
    if format > *formats.end() {
        let found = format!("its section {name:?} in format {format}, where this release reads {}", formats.end());
        return Err(CheckpointError::Newer { found, needed: needed() });
    }
    match (kind, format) {
        (Kind::Clock, 1) => contents.clock = Timestamp::deserialize(&mut *values)?,
        (Kind::Effects, 2) => contents.effects = numbered(shard, records(values, count)?),
        // Those of format 3 publish no version that does not start.
        (Kind::Effects, 3 | 4) => contents.effects = records(values, count)?,
        (Kind::Definitions, 1) => contents.definitions = records(values, count)?,
        // Those of format 1 are not pinned.
        (Kind::Workflows, 1 | 2) => contents.records.workflows = records(values, count)?,
        (Kind::Actions, 1) => contents.records.actions = records(values, count)?,
        (Kind::Memos, 1) => contents.records.memos = records(values, count)?,
        (Kind::Assets, 1) => contents.records.assets = records(values, count)?,
        // Those of format 1 have begun whatever they could; those of format 2 have no branches, and no bound of all attempts.
        (Kind::Runs, 1..=3) => contents.records.runs = records(values, count)?,
        (Kind::EndedKeyed, 1) => contents.ended_keyed = records(values, count)?,
        (Kind::EndedUnkeyed, 1) => contents.ended_unkeyed = records(values, count)?,
        (Kind::KeysHeld, 1) => contents.keys_held = records(values, count)?,
        (Kind::Granted, 1) => contents.granted = records(values, count)?,
        (Kind::GrantedLasting, 1) => contents.granted_lasting = records(values, count)?,
        (Kind::Quarantine, 1) => contents.quarantine = quarantine_of_format_1(records(values, count)?),
        (Kind::Quarantine, 2) => contents.quarantine = records(values, count)?,
        (Kind::Parked, 1) => contents.parked = records(values, count)?,
        (Kind::Heard, 1) => contents.heard = records(values, count)?,
        (Kind::Forgotten, 1) => contents.forgotten = records(values, count)?,
        (Kind::Successors, 1) => contents.successors = records(values, count)?,
        (Kind::Toward, 1) => contents.toward = records(values, count)?,
        (kind, format) => return Err(CheckpointError::Older { kind: format!("{kind:?}"), format }),
    }
    Ok(kind)
}

fn records<T: DeserializeOwned>(values: &mut Values<'_>, count: usize) -> Result<Vec<T>, serde_json::Error> {
    (0..count).map(|_| T::deserialize(&mut *values)).collect()
}

/// What is quarantined as format 1 has it: why, and nothing else. No bundle says so; the next owner's first one does.
pub(super) fn quarantine_of_format_1(before: Vec<(AggregateId, String)>) -> Vec<(AggregateId, Quarantine)> {
    let unsaid = |reason| Quarantine { reason, at: Some(Sequence::FIRST), last: Revision::new(0), since: None };
    before.into_iter().map(|(aggregate, reason)| (aggregate, unsaid(reason))).collect()
}

/// The effects of bundles as format 2 has them: all those of a bundle, and not said where they come from.
pub(super) fn numbered(shard: ShardId, mut before: Vec<Inherited>) -> Vec<Inherited> {
    before.iter_mut().for_each(|(sequence, effects)| lane::number(shard, *sequence, effects));
    before
}

/// The effects of bundles as format 1 has them, with tasks on their way to a queue among them: what waits for a worker
/// follows from the runs now. Whatever else they hold keeps its text.
pub(super) fn effects_of_format_1(
    before: Vec<(Sequence, Vec<Box<RawValue>>)>,
) -> Result<Vec<Inherited>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Offer {
        offer_task: Option<IgnoredAny>,
    }
    let mut inherited = Vec::new();
    for (sequence, effects) in before {
        let mut kept: Vec<Effect> = Vec::new();
        for effect in &effects {
            if serde_json::from_str::<Offer>(effect.get())?.offer_task.is_none() {
                kept.push(serde_json::from_str(effect.get())?);
            }
        }
        if !kept.is_empty() {
            inherited.push((sequence, kept));
        }
    }
    Ok(inherited)
}
