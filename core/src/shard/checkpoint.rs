//! The state of an owner that has folded its journal up to a sequence and decided nothing yet, as bytes; and back.
//!
//! A checkpoint saves folding the entries it stands for. It is never needed for correctness: whoever cannot use one
//! folds the journal. It is JSON, three values one after the other: the head, the effects that may not have been
//! delivered, the state. What follows from the state (timers, what is due, indexes, compiled definitions) is made again.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::owner::{Folded, Inherited};
use super::state::Shard;
use super::window::{EndedEntry, EndedRuns, GrantedCommands, GrantedEntry};
use super::{AggregateId, Owner, ShardMap, WorkflowKey};
use crate::asset::Asset;
use crate::definition::compile;
use crate::run::{Run, RunRecord};
use crate::workflow::Workflow;
use crate::{DefinitionVersion, Epoch, Json, NodeId, RunId, Sequence, ShardId, Timestamp};

/// How checkpoints are written. Raised whenever what they hold changes, or what folding makes of an event. The format before
/// is read as well, so that a release that raises it takes over without the whole journal.
pub const CHECKPOINT_FORMAT: u32 = 2;

/// Says why a checkpoint cannot be used. Fold the journal from its first entry instead.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("it is damaged")]
    Malformed(#[from] serde_json::Error),
    #[error("it has format {found}, this release reads {CHECKPOINT_FORMAT} and the one before")]
    Format { found: u32 },
    #[error("it is of shard {found}, not {expected}")]
    Shard { expected: ShardId, found: ShardId },
    #[error("its definition {}/{}/{version} does not compile: {problems}", .key.workspace, .key.workflow)]
    Definition { key: WorkflowKey, version: DefinitionVersion, problems: String },
    #[error("its run {run} is frozen at a definition that it does not hold")]
    DefinitionMissing { run: RunId },
    #[error("its run {run} has a node {node} that its definition does not have")]
    Node { run: RunId, node: NodeId },
}

/// What every format begins with.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    format: u32,
    shard: ShardId,
    epoch: Epoch,
    /// Of the last bundle folded.
    sequence: Sequence,
    /// Of the same bundle's bytes.
    digest: String,
}

/// What a shard knows, sorted: the same state gives the same bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct State<W, A, R> {
    clock: Timestamp,
    /// The documents of the versions that were adopted.
    definitions: Vec<(WorkflowKey, DefinitionVersion, Json)>,
    workflows: Vec<W>,
    assets: Vec<A>,
    runs: Vec<R>,
    ended_keyed: Vec<EndedEntry>,
    ended_unkeyed: Vec<EndedEntry>,
    /// The runs that still hold their idempotency keys and are neither active nor remembered: quarantined ones.
    keys_held: Vec<RunId>,
    granted: Vec<GrantedEntry>,
    quarantine: Vec<(AggregateId, String)>,
}

/// Writes a run as its record, one at a time.
struct Recorded<'a>(&'a Run);

impl Serialize for Recorded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.record().serialize(serializer)
    }
}

impl<C> Owner<C> {
    /// Returns its checkpoint: of what it folded, before anything was decided.
    ///
    /// # Panics
    /// When anything was submitted or handed out, or [`Self::inherit`] has given effects away.
    pub fn checkpoint(&self) -> Vec<u8> {
        let (shard, Folded { epoch, last, digest, inherited }) = self.folded();
        let head =
            Head { format: CHECKPOINT_FORMAT, shard: shard.id(), epoch, sequence: last, digest: digest.into_owned() };
        let mut bytes = Vec::new();
        write(&mut bytes, &head);
        write(&mut bytes, &inherited);
        write(&mut bytes, &state(shard));
        bytes
    }

    /// Takes over a shard where a checkpoint left off. Compare the entry at [`Self::last`] by [`Self::stands_on`]
    /// before folding those after it: the checkpoint may be of another journal.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn restore(shard: ShardId, map: ShardMap, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let mut values = serde_json::Deserializer::from_slice(bytes);
        let Format { format } = Format::deserialize(&mut values)?;
        if !(CHECKPOINT_FORMAT - 1..=CHECKPOINT_FORMAT).contains(&format) {
            return Err(CheckpointError::Format { found: format });
        }
        let mut values = serde_json::Deserializer::from_slice(bytes);
        let head = Head::deserialize(&mut values)?;
        if head.shard != shard {
            return Err(CheckpointError::Shard { expected: shard, found: head.shard });
        }
        let inherited = inherited(format, &mut values)?;
        let state = State::deserialize(&mut values)?;
        values.end()?;
        let shard = restored(Shard::new(shard, map), state)?;
        let Head { epoch, sequence: last, digest, .. } = head;
        Ok(Self::resumed(shard, Folded { epoch, last, digest: digest.into(), inherited: inherited.into() }))
    }
}

/// Reads the effects that may not have been delivered. Format 1 has tasks on their way to a queue among them: what
/// waits for a worker follows from the runs now.
fn inherited<'de, R: serde_json::de::Read<'de>>(
    format: u32,
    values: &mut serde_json::Deserializer<R>,
) -> Result<Vec<Inherited>, serde_json::Error> {
    if format > 1 {
        return Vec::deserialize(values);
    }
    let before: Vec<(Sequence, Vec<Box<RawValue>>)> = Vec::deserialize(values)?;
    let kept = before.into_iter().map(|(sequence, effects)| {
        let effects = effects.iter().filter(|effect| !effect.get().starts_with(r#"{"offerTask""#));
        let read = effects.map(|effect| serde_json::from_str(effect.get()));
        Ok((sequence, read.collect::<Result<Vec<_>, _>>()?))
    });
    kept.filter(|kept| !matches!(kept, Ok((_, effects)) if effects.is_empty())).collect()
}

fn write(bytes: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(&mut *bytes, value).expect("checkpoints have text keys, and a Vec takes every byte");
    bytes.push(b'\n');
}

fn state(shard: &Shard) -> State<&Workflow, &Asset, Recorded<'_>> {
    // Every field is named, so that a new one does not compile until it is written here or known to follow.
    let Shard {
        id: _,
        map: _,
        clock,
        runs,
        ended,
        keyed,
        assets,
        workflows,
        definitions,
        granted,
        due: _,
        lines: _,
        quarantine,
    } = shard;
    let mut documents: Vec<_> = definitions
        .iter()
        .flat_map(|(key, versions)| {
            versions.iter().map(|(version, found)| (key.clone(), *version, found.source.clone()))
        })
        .collect();
    documents.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let mut workflows: Vec<_> = workflows.values().collect();
    workflows.sort_unstable_by_key(|workflow| workflow.key());
    let mut assets: Vec<_> = assets.values().collect();
    assets.sort_unstable_by_key(|asset| asset.key());
    let mut keys_held: Vec<_> =
        keyed.values().copied().filter(|id| !runs.contains_key(id) && ended.find(*id).is_none()).collect();
    keys_held.sort_unstable();
    let mut runs: Vec<_> = runs.values().collect();
    runs.sort_unstable_by_key(|run| run.id());
    let mut quarantine: Vec<_> = quarantine.iter().map(|(id, reason)| (id.clone(), reason.clone())).collect();
    quarantine.sort_unstable();
    let [ended_keyed, ended_unkeyed] = ended.entries();
    State {
        clock: *clock,
        definitions: documents,
        workflows,
        assets,
        runs: runs.into_iter().map(Recorded).collect(),
        ended_keyed,
        ended_unkeyed,
        keys_held,
        granted: granted.entries(),
        quarantine,
    }
}

/// Fills an empty shard.
fn restored(mut shard: Shard, state: State<Workflow, Asset, RunRecord>) -> Result<Shard, CheckpointError> {
    shard.clock = state.clock;
    for (key, version, document) in state.definitions {
        let (definition, _) = compile(&document.to_value()).map_err(|problems| CheckpointError::Definition {
            key: key.clone(),
            version,
            problems: problems.to_string(),
        })?;
        shard.definitions.entry(key).or_default().insert(version, Arc::new(definition));
    }
    for record in state.runs {
        let ((key, version), id) = (record.definition(), record.id());
        let definition =
            shard.definition(&key, version).cloned().ok_or(CheckpointError::DefinitionMissing { run: id })?;
        let mut run = record.restore(definition).map_err(|node| CheckpointError::Node { run: id, node })?;
        shard.lines.follow(&mut run);
        shard.due.extend(run.next_due().map(|at| (at, id)));
        shard.runs.insert(id, run);
    }
    shard.ended = EndedRuns::restored([state.ended_keyed, state.ended_unkeyed]);
    let active = shard.runs.values().filter(|run| run.is_keyed()).map(Run::id);
    let holders = active.chain(shard.ended.keyed()).chain(state.keys_held);
    shard.keyed = holders.map(|id| (id.cause(), id)).collect();
    shard.workflows = state.workflows.into_iter().map(|workflow| (workflow.key().clone(), workflow)).collect();
    shard.assets = state.assets.into_iter().map(|asset| (asset.key().clone(), asset)).collect();
    shard.granted = GrantedCommands::restored(state.granted);
    shard.quarantine = state.quarantine.into_iter().collect();
    Ok(shard)
}
