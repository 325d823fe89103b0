//! What a workflow's events mean for `workflows` and `workflow_defs`.

use headwater_core::Timestamp;
use headwater_core::shard::WorkflowKey;
use headwater_core::workflow::WorkflowEvent;

use super::{Changes, graph_of};
use crate::tables::DefinitionRow;

impl Changes {
    pub(super) fn fold_workflow(&mut self, key: &WorkflowKey, time: Timestamp, events: Vec<WorkflowEvent>) {
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
                        graph: graph_of(&document.to_value()),
                        document,
                    });
                }
                WorkflowEvent::VersionSelected { version } => self.workflows.select(key, version, time),
            }
        }
    }
}
