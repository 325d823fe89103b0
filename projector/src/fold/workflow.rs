//! What a workflow's events mean for `workflows` and `workflow_defs`.

use headwater_core::shard::WorkflowKey;
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{DefinitionVersion, Timestamp};
use rustc_hash::FxHashMap;

use super::{Changes, graph_of};
use crate::rows::{DefinitionRow, WorkflowChange};

/// The changes of `workflows`, one for each workflow, in the order of their first.
#[derive(Debug, Default)]
pub struct WorkflowChanges {
    rows: Vec<WorkflowChange>,
    index: FxHashMap<WorkflowKey, usize>,
}

impl WorkflowChanges {
    /// Returns the changes.
    pub fn rows(&self) -> &[WorkflowChange] {
        &self.rows
    }

    fn select(&mut self, key: &WorkflowKey, version: DefinitionVersion, time: Timestamp) {
        let at = *self.index.entry(key.clone()).or_insert_with(|| {
            self.rows.push(WorkflowChange {
                workspace: key.workspace.clone(),
                slug: key.workflow.clone(),
                current: version,
                first_at: time,
                updated_at: time,
            });
            self.rows.len() - 1
        });
        self.rows[at].current = version;
        self.rows[at].updated_at = time;
    }
}

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
