//! What can be asked of a workflow, and why it may be refused.

use serde::{Deserialize, Serialize};

use crate::dialogue::Caller;
use crate::{DefinitionVersion, Json, Slug};

/// A wish addressed to one workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WorkflowCommand {
    ApplyWorkflow(ApplyWorkflow),
    PinVersion(PinVersion),
    /// Nothing starts it any more.
    PauseStarts(PauseStarts),
    /// It is started again.
    ResumeStarts(PauseStarts),
    /// A node that calls it wants to know which version is current. Nothing changes; the answer is for the caller.
    NameCurrent {
        caller: Caller,
    },
}

/// Makes a document the workflow's current version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyWorkflow {
    /// The canonical document, or what stands for it ([`crate::definition::Definition::journaled`]).
    pub document: Json,
    /// Its content hash; a hash that is known selects that version again.
    pub content_hash: String,
}

/// Says which version starts without one take; `None`: the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinVersion {
    pub version: Option<DefinitionVersion>,
}

/// Why starts are paused, or resumed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PauseStarts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The fact in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WorkflowRejection {
    #[error("the definition does not compile: {message}")]
    DefinitionInvalid { message: String },
    #[error("the document is of the workflow {found}, not of the one it was sent to")]
    OtherWorkflow { found: Slug },
    #[error("the document is not the one that was hashed")]
    ContentMismatch,
    #[error("there is no such workflow")]
    WorkflowNotFound,
    #[error("the workflow is paused: nothing starts it before it is resumed")]
    WorkflowPaused,
    #[error("there is no version {version}")]
    VersionNotFound { version: DefinitionVersion },
}
