//! What a workflow's events mean for `workflows`, `workflow_selections`, `workflow_pins` and `workflow_defs`.

use headwater_core::shard::WorkflowKey;
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{DefinitionVersion, Revision};

use super::{Changes, CommitHead, graph_of};
use crate::tables::{DefinitionRow, PinRow, SelectionRow};

impl Changes {
    pub(super) fn fold_workflow(
        &mut self,
        head: CommitHead<'_>,
        key: &WorkflowKey,
        revision: Revision,
        events: Vec<WorkflowEvent>,
    ) {
        let time = head.time;
        let mut selected: Option<DefinitionVersion> = None;
        let mut pinned: Option<Option<DefinitionVersion>> = None;
        for event in events {
            match event {
                WorkflowEvent::WorkflowApplied { version, content_hash, document } => {
                    selected = Some(version);
                    self.definitions.push(DefinitionRow {
                        workspace: key.workspace.clone(),
                        slug: key.workflow.clone(),
                        version,
                        content_hash,
                        applied_at: time,
                        applied_by: head.by.cloned(),
                        graph: graph_of(&document.to_value()),
                        document,
                    });
                }
                WorkflowEvent::VersionSelected { version } => selected = Some(version),
                WorkflowEvent::VersionPinned { version } => pinned = Some(version),
                // Whether anything starts it says who starts it.
                WorkflowEvent::StartsPaused { .. } | WorkflowEvent::StartsResumed { .. } => {}
            }
        }
        self.pins.extend(pinned.map(|version| PinRow {
            workspace: key.workspace.clone(),
            slug: key.workflow.clone(),
            revision,
            version,
            shard: head.shard,
            sequence: head.sequence,
            pinned_at: time,
        }));
        let Some(version) = selected else { return };
        self.workflows.select(key, version, time);
        self.selections.push(SelectionRow {
            workspace: key.workspace.clone(),
            slug: key.workflow.clone(),
            revision,
            version,
            shard: head.shard,
            sequence: head.sequence,
            selected_at: time,
        });
    }
}
