//! The definition versions that a shard has adopted: facts, but no aggregate that decides anything. They have no revisions,
//! live among the graphs, and nothing follows from them.

use super::{Event, Record};
use crate::address::WorkflowKey;
use crate::definition::StoredDocument;
use crate::run::Run;
use crate::shard::command::Asked;
use crate::shard::compiled::{Awaited, Missing, missing_of};
use crate::shard::definitions::Unusable;
use crate::shard::{AggregateId, Commit, Decided, Rejection, Shard};
use crate::workflow::WorkflowRejection;
use crate::{DefinitionVersion, Json, Revision, Timestamp, WorkspaceId};

pub(super) fn adopt(
    shard: &mut Shard,
    Asked { command, by, cause }: Asked,
    key: WorkflowKey,
    version: DefinitionVersion,
    document: &Json,
    now: Timestamp,
) -> Result<Decided, Rejection> {
    if shard.definition(&key, version).is_some() {
        return Ok(Decided::default());
    }
    let definition = of_workspace(&key.workspace, document)
        .and_then(|()| shard.definitions.compiled(document))
        .map_err(|message| Rejection::Workflow(WorkflowRejection::DefinitionInvalid { message }))?;
    if definition.slug != key.workflow {
        return Err(Rejection::Workflow(WorkflowRejection::OtherWorkflow { found: definition.slug.clone() }));
    }
    let events = vec![Event::DefinitionAdopted { document: definition.journaled(&key.workspace) }];
    shard.definitions.adopt_compiled(key.clone(), version, definition);
    let aggregate = AggregateId::Definition(key, version);
    let commit = Commit { aggregate, revision: Revision::FIRST, command, time: now, by, cause, stored: None, events };
    shard.memory.remember(&commit, false, &shard.bounds);
    Ok(Decided { commit: Some(commit), ..Decided::default() })
}

/// Refuses a document that is stored for another workspace.
pub(super) fn of_workspace(workspace: &WorkspaceId, document: &Json) -> Result<(), String> {
    match StoredDocument::of(document) {
        Some(stored) if stored.workspace != *workspace => Err("it is stored for another workspace".to_owned()),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn missing(
    shard: &Shard,
    key: &WorkflowKey,
    version: DefinitionVersion,
    document: &Json,
) -> Option<Missing> {
    if shard.definition(key, version).is_some() {
        return None;
    }
    missing_of(shard, Awaited::Version(key.clone(), version), std::iter::once(document))
}

pub(super) fn fold(
    shard: &mut Shard,
    key: &WorkflowKey,
    version: DefinitionVersion,
    commit: &Commit,
) -> Result<(), String> {
    for event in &commit.events {
        let Event::DefinitionAdopted { document } = event else {
            return Err(format!("it holds an event of {}", event.called()));
        };
        shard.definitions.adopt(key.clone(), version, document.clone());
    }
    shard.memory.remember(commit, false, &shard.bounds);
    Ok(())
}

/// Lets one go, unless a run has it: what was adopted twice is good still.
pub(super) fn forget(shard: &mut Shard, key: &WorkflowKey, version: DefinitionVersion) -> Revision {
    let is_of =
        |run: &Run| (run.version(), run.workflow(), run.workspace()) == (version, &key.workflow, &key.workspace);
    if !shard.shelves.runs.values().any(is_of) {
        shard.definitions.forget(key, version);
    }
    Revision::new(0)
}

pub(super) fn record(shard: &mut Shard, key: &WorkflowKey, version: DefinitionVersion) -> Result<Record, String> {
    match shard.definitions.graph(key, version) {
        Ok(definition) => Ok(Record::Definition { document: definition.journaled(&key.workspace) }),
        Err(Unusable::NotAdopted) => Ok(Record::Unknown {}),
        Err(broken @ Unusable::Broken(_)) => Err(broken.to_string()),
    }
}
