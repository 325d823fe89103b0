//! Which version of a definition is current.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ApplyWorkflow, PauseStarts, PinVersion, WorkflowCommand, WorkflowEvent, WorkflowRejection};
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
    /// The version that started before, whose declarations are withdrawn.
    pub(super) before: Option<DefinitionVersion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pinned: Option<DefinitionVersion>,
    /// Nothing starts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) paused: bool,
}

impl Workflow {
    /// Makes a workflow nothing is known of yet.
    pub fn unknown(key: WorkflowKey) -> Self {
        let (revision, versions) = (Revision::new(0), Vec::new());
        Self { key, revision, versions, current: None, before: None, pinned: None, paused: false }
    }

    /// Returns which workflow it is.
    pub fn key(&self) -> &WorkflowKey {
        &self.key
    }

    /// Returns the current version.
    pub fn current(&self) -> Option<DefinitionVersion> {
        self.current
    }

    /// Returns the version that it is pinned to.
    pub fn pinned(&self) -> Option<DefinitionVersion> {
        self.pinned
    }

    /// Returns whether nothing starts it before it is resumed.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Returns the version that starts where none is named, and that speaks to assets: the pinned one, else the current one.
    pub fn started(&self) -> Option<DefinitionVersion> {
        self.pinned.or(self.current)
    }

    /// Returns the document of the version that starts where none is named.
    pub fn started_document(&self) -> Option<&Json> {
        self.document(self.started()?)
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
/// the caller's word is not taken for it. [`WorkflowRejection::WorkflowNotFound`] and [`WorkflowRejection::VersionNotFound`]
/// where there is nothing to be pinned.
pub fn decide(
    workflow: &mut Workflow,
    command: WorkflowCommand,
    graph: &mut dyn FnMut(&Json) -> Result<Arc<Definition>, String>,
) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
    let event = match command {
        WorkflowCommand::ApplyWorkflow(wish) => applied(workflow, wish, graph)?,
        WorkflowCommand::PinVersion(wish) => pinned(workflow, wish)?,
        WorkflowCommand::PauseStarts(wish) => paused(workflow, wish, true)?,
        WorkflowCommand::ResumeStarts(wish) => paused(workflow, wish, false)?,
        // It is answered from what is known, and changes nothing.
        WorkflowCommand::NameCurrent { .. } => None,
    };
    if let Some(event) = &event {
        evolve(workflow, event);
    }
    Ok(event.into_iter().collect())
}

fn pinned(workflow: &Workflow, wish: PinVersion) -> Result<Option<WorkflowEvent>, WorkflowRejection> {
    let PinVersion { version } = wish;
    if workflow.current.is_none() {
        return Err(WorkflowRejection::WorkflowNotFound);
    }
    if let Some(version) = version.filter(|version| workflow.document(*version).is_none()) {
        return Err(WorkflowRejection::VersionNotFound { version });
    }
    Ok((workflow.pinned != version).then_some(WorkflowEvent::VersionPinned { version }))
}

/// How long the reason is, in bytes.
const REASON_BYTES_MAX: usize = 4_000;

fn paused(
    workflow: &Workflow,
    PauseStarts { reason }: PauseStarts,
    pauses: bool,
) -> Result<Option<WorkflowEvent>, WorkflowRejection> {
    if workflow.current.is_none() {
        return Err(WorkflowRejection::WorkflowNotFound);
    }
    if workflow.paused == pauses {
        return Ok(None);
    }
    let shortened = |mut reason: String| {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        reason.replace('\0', "")
    };
    let reason = reason.map(shortened).filter(|reason| !reason.is_empty());
    Ok(Some(match pauses {
        true => WorkflowEvent::StartsPaused { reason },
        false => WorkflowEvent::StartsResumed { reason },
    }))
}

fn applied(
    workflow: &Workflow,
    wish: ApplyWorkflow,
    graph: &mut dyn FnMut(&Json) -> Result<Arc<Definition>, String>,
) -> Result<Option<WorkflowEvent>, WorkflowRejection> {
    let ApplyWorkflow { document, content_hash } = wish;
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
    // The canonical text, whatever white space the caller's has, or what stands for it.
    let document = definition.journaled(&workflow.key.workspace);
    let known = workflow.versions.iter().position(|(hash, _)| *hash == content_hash);
    Ok(match known {
        Some(position) => {
            let version = DefinitionVersion::new(u32::try_from(position).expect("versions are few") + 1);
            if workflow.current == Some(version) {
                return Ok(None);
            }
            Some(WorkflowEvent::VersionSelected { version })
        }
        None => {
            let version = DefinitionVersion::new(u32::try_from(workflow.versions.len()).expect("versions are few") + 1);
            Some(WorkflowEvent::WorkflowApplied { version, content_hash, document })
        }
    })
}

/// Folds one event.
pub(crate) fn evolve(workflow: &mut Workflow, event: &WorkflowEvent) {
    workflow.revision = workflow.revision.next();
    workflow.before = workflow.started();
    match event {
        WorkflowEvent::WorkflowApplied { version, content_hash, document } => {
            workflow.versions.push((content_hash.clone(), document.clone()));
            workflow.current = Some(*version);
        }
        WorkflowEvent::VersionSelected { version } => workflow.current = Some(*version),
        WorkflowEvent::VersionPinned { version } => workflow.pinned = *version,
        WorkflowEvent::StartsPaused { .. } => workflow.paused = true,
        WorkflowEvent::StartsResumed { .. } => workflow.paused = false,
    }
}
