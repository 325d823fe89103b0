//! What a workflow's events mean for `workflows` and `workflow_defs`.

use headwater_core::shard::WorkflowKey;
use headwater_core::workflow::WorkflowEvent;

use super::{Changes, CommitHead, graph_of};
use crate::tables::DefinitionRow;

impl Changes {
    pub(super) fn fold_workflow(&mut self, head: CommitHead<'_>, key: &WorkflowKey, events: Vec<WorkflowEvent>) {
        let time = head.time;
        for event in events {
            match event {
                WorkflowEvent::WorkflowApplied { version, content_hash, document } => {
                    self.workflows.select(key, version, time);
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
                WorkflowEvent::VersionSelected { version } => self.workflows.select(key, version, time),
            }
        }
    }
}
