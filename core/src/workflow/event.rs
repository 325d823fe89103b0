//! What a workflow learned.

use serde::{Deserialize, Serialize};

use crate::{DefinitionVersion, Json};

/// A fact about a workflow. Its time is the commit's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WorkflowEvent {
    /// A version exists and is current.
    WorkflowApplied { version: DefinitionVersion, content_hash: String, document: Json },
    /// A version that was there is current again.
    VersionSelected { version: DefinitionVersion },
    /// Whatever is current, starts without a version take this one; `None`: they take the current one again.
    VersionPinned { version: Option<DefinitionVersion> },
    /// Nothing starts it from now on.
    StartsPaused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It is started again.
    StartsResumed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}
