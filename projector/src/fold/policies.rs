//! Of which definition versions' runs snapshots are kept.

use headwater_core::definition::{SnapshotPolicy, StoredDocument};
use headwater_core::shard::{AggregateId, Event, WorkflowKey};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{DefinitionVersion, Json};

use super::CommitHead;
use crate::tables::PolicyRow;

/// Returns the rows of a commit that brings its shard definitions: most have no policy.
pub(super) fn of(head: CommitHead<'_>, ordinal: i32, aggregate: &AggregateId, events: &[Event]) -> Vec<PolicyRow> {
    let row = |key: &WorkflowKey, version: DefinitionVersion, document: &Json| {
        SnapshotPolicy::of_document(document)?;
        let stored = StoredDocument::instead_of(&key.workspace, document);
        Some(PolicyRow {
            shard: head.shard,
            workspace: key.workspace.clone(),
            workflow: key.workflow.clone(),
            version,
            sequence: head.sequence,
            ordinal,
            document: stored.map_or_else(|| document.clone(), |stored| stored.to_json()),
        })
    };
    let rows = events.iter().filter_map(|event| match (aggregate, event) {
        (AggregateId::Definition(key, version), Event::DefinitionAdopted { document }) => row(key, *version, document),
        (AggregateId::Workflow(key), Event::Workflow(WorkflowEvent::WorkflowApplied { version, document, .. })) => {
            row(key, *version, document)
        }
        (
            AggregateId::Definition(..)
            | AggregateId::Workflow(_)
            | AggregateId::Run(_)
            | AggregateId::Asset(_)
            | AggregateId::Action(_)
            | AggregateId::Memo(_),
            Event::DefinitionAdopted { .. }
            | Event::Workflow(_)
            | Event::Run(_)
            | Event::Asset(_)
            | Event::Action(_)
            | Event::Memo(_)
            | Event::Released(_),
        ) => None,
    });
    rows.collect()
}
