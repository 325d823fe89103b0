//! Checkpoints as they were before they had sections: three JSON values, the head, the effects that may not have been
//! delivered, the state. Formats 1 and 2 of the whole; of what they hold, all but the effects is in the first format.

use serde::Deserialize;

use super::section::{Contents, effects_of_format_1, numbered, quarantine_of_format_1};
use super::{CheckpointError, Head};
use crate::asset::Asset;
use crate::run::RunRecord;
use crate::shard::window::{EndedEntry, GrantedEntry};
use crate::shard::{AggregateId, WorkflowKey};
use crate::workflow::Workflow;
use crate::{DefinitionVersion, Epoch, Json, RunId, Sequence, ShardId, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WholeHead {
    format: u32,
    shard: ShardId,
    epoch: Epoch,
    sequence: Sequence,
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Whole {
    clock: Timestamp,
    definitions: Vec<(WorkflowKey, DefinitionVersion, Json)>,
    workflows: Vec<Workflow>,
    assets: Vec<Asset>,
    runs: Vec<RunRecord>,
    ended_keyed: Vec<EndedEntry>,
    ended_unkeyed: Vec<EndedEntry>,
    keys_held: Vec<RunId>,
    granted: Vec<GrantedEntry>,
    quarantine: Vec<(AggregateId, String)>,
}

/// Reads one that has no sections.
pub(super) fn read(bytes: &[u8]) -> Result<(Head, Contents), CheckpointError> {
    let mut values = serde_json::Deserializer::from_slice(bytes);
    let WholeHead { format, shard, epoch, sequence, digest } = WholeHead::deserialize(&mut values)?;
    let effects = match format {
        1 => effects_of_format_1(Vec::deserialize(&mut values)?)?,
        _ => Vec::deserialize(&mut values)?,
    };
    let Whole {
        clock,
        definitions,
        workflows,
        assets,
        runs,
        ended_keyed,
        ended_unkeyed,
        keys_held,
        granted,
        quarantine,
    } = Whole::deserialize(&mut values)?;
    values.end()?;
    let head = Head { format, release: String::new(), shard, epoch, sequence, digest, sections: 0 };
    // What came with sections is empty.
    let mut contents = Contents {
        clock,
        effects: numbered(shard, effects),
        definitions,
        ended_keyed,
        ended_unkeyed,
        keys_held,
        granted,
        quarantine: quarantine_of_format_1(quarantine),
        ..Contents::default()
    };
    let records = &mut contents.records;
    (records.workflows, records.assets, records.runs) = (workflows, assets, runs);
    Ok((head, contents))
}
