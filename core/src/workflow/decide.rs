//! Which version of a definition is current.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ApplyWorkflow, WorkflowEvent, WorkflowRejection};
use crate::address::WorkflowKey;
use crate::definition::Definition;
use crate::{DefinitionVersion, Json, Revision};

/// How many bytes of defaults all declarations of a version may hold together.
const DECLARED_BYTES_MAX: usize = 2 << 20;

/// The versions of one workflow. Checkpoints hold it as it is: a change is a new format of their section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workflow {
    pub(super) key: WorkflowKey,
    /// Of the last event folded; 0 before the first.
    pub(super) revision: Revision,
    /// Content hash and document of every version; the first is version 1.
    pub(super) versions: Vec<(String, Json)>,
    pub(super) current: Option<DefinitionVersion>,
    /// The version that was current before, whose declarations are withdrawn.
    pub(super) before: Option<DefinitionVersion>,
}

impl Workflow {
    /// Makes a workflow nothing is known of yet.
    pub fn unknown(key: WorkflowKey) -> Self {
        Self { key, revision: Revision::new(0), versions: Vec::new(), current: None, before: None }
    }

    /// Returns which workflow it is.
    pub fn key(&self) -> &WorkflowKey {
        &self.key
    }

    /// Returns the current version.
    pub fn current(&self) -> Option<DefinitionVersion> {
        self.current
    }

    /// Returns the document of the current version.
    pub fn current_document(&self) -> Option<&Json> {
        self.document(self.current?)
    }

    /// Returns the number of the newest version; 0 where there is none.
    pub fn newest(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    /// Returns the revision of the last event folded; 0 before the first.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Puts it at a revision, where the facts before are not all folded.
    pub(crate) fn stand_at(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Returns the document of a version.
    pub fn document(&self, version: DefinitionVersion) -> Option<&Json> {
        self.versions.get((version.get() as usize).checked_sub(1)?).map(|(_, document)| document)
    }
}

/// Decides what becomes of a document that is applied; the workflow has evolved by the returned events. No events: that content is current already. `graph`
/// returns the graph of a document, or why it has none.
///
/// # Errors
/// [`WorkflowRejection::DefinitionInvalid`] when the document does not compile, [`WorkflowRejection::OtherWorkflow`] when
/// its slug is another one, [`WorkflowRejection::ContentMismatch`] when its hash is: the hash tells versions apart, so
/// the caller's word is not taken for it.
pub fn decide(
    workflow: &mut Workflow,
    ApplyWorkflow { document, content_hash }: ApplyWorkflow,
    graph: &mut dyn FnMut(&Json) -> Result<Arc<Definition>, String>,
) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
    let definition = graph(&document).map_err(|message| WorkflowRejection::DefinitionInvalid { message })?;
    if definition.slug != workflow.key.workflow {
        return Err(WorkflowRejection::OtherWorkflow { found: definition.slug.clone() });
    }
    if definition.content_hash != content_hash {
        return Err(WorkflowRejection::ContentMismatch);
    }
    // Each declaration of a produced asset tells the defaults again, and all of one asset go into one commit.
    let copies = definition.nodes.iter().map(|node| node.produces.len()).sum::<usize>();
    if copies.saturating_mul(definition.defaults.len_bytes()) > DECLARED_BYTES_MAX {
        let message = format!("its {copies} produced assets and its defaults together are larger than can be declared");
        return Err(WorkflowRejection::DefinitionInvalid { message });
    }
    // The canonical text, whatever white space the caller's has.
    let document = definition.source.clone();
    let known = workflow.versions.iter().position(|(hash, _)| *hash == content_hash);
    let event = match known {
        Some(position) => {
            let version = DefinitionVersion::new(u32::try_from(position).expect("versions are few") + 1);
            if workflow.current == Some(version) {
                return Ok(Vec::new());
            }
            WorkflowEvent::VersionSelected { version }
        }
        None => {
            let version = DefinitionVersion::new(u32::try_from(workflow.versions.len()).expect("versions are few") + 1);
            WorkflowEvent::WorkflowApplied { version, content_hash, document }
        }
    };
    evolve(workflow, &event);
    Ok(vec![event])
}

/// Folds one event.
pub(crate) fn evolve(workflow: &mut Workflow, event: &WorkflowEvent) {
    workflow.revision = workflow.revision.next();
    workflow.before = workflow.current;
    match event {
        WorkflowEvent::WorkflowApplied { version, content_hash, document } => {
            workflow.versions.push((content_hash.clone(), document.clone()));
            workflow.current = Some(*version);
        }
        WorkflowEvent::VersionSelected { version } => workflow.current = Some(*version),
    }
}
