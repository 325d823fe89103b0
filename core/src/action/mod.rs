//! The Action: the versions of one reusable action in one workspace, and which of them is current. Workflows hold copies of
//! what they use (ADR 25), so nothing follows from a new version.

use serde::{Deserialize, Serialize};

use crate::address::ActionKey;
use crate::definition::compile_action;
use crate::{DefinitionVersion, Json, Revision, Slug};

/// A wish addressed to one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ActionCommand {
    /// Makes a document the current version.
    ApplyAction {
        /// The canonical document ([`crate::definition::ActionDef::source`]).
        document: Json,
        /// Its content hash; a hash that is known selects that version again.
        content_hash: String,
    },
}

/// A fact about an action. Its time is the commit's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ActionEvent {
    /// A version exists and is current.
    ActionApplied { version: DefinitionVersion, content_hash: String, document: Json },
    /// A version that was there is current again.
    ActionSelected { version: DefinitionVersion },
}

/// The fact in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ActionRejection {
    #[error("the action does not compile: {message}")]
    ActionInvalid { message: String },
    #[error("the document is of the action {found}, not of the one it was sent to")]
    OtherAction { found: Slug },
    #[error("the document is not the one that was hashed")]
    ContentMismatch,
    #[error("the action has {versions} versions, and no more are kept: begin another one")]
    TooManyVersions { versions: u32 },
}

/// The most versions of one action: every owner of its shard holds them all.
pub const VERSIONS_MAX: u32 = 1_000;

/// The versions of one action. Checkpoints hold it as it is: a change is a new format of their section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    key: ActionKey,
    /// Of the last event folded; 0 before the first.
    revision: Revision,
    /// Content hash and document of every version; the first is version 1.
    versions: Vec<(String, Json)>,
    current: Option<DefinitionVersion>,
}

impl Action {
    /// Makes an action nothing is known of yet.
    pub fn unknown(key: ActionKey) -> Self {
        Self { key, revision: Revision::new(0), versions: Vec::new(), current: None }
    }

    /// Returns which action it is.
    pub fn key(&self) -> &ActionKey {
        &self.key
    }

    /// Returns the current version.
    pub fn current(&self) -> Option<DefinitionVersion> {
        self.current
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

    /// Returns the version with this content: the one there is, else the one it would be.
    pub fn version_of(&self, content_hash: &str) -> DefinitionVersion {
        let known = self.versions.iter().position(|(hash, _)| hash == content_hash);
        let before = known.map_or(self.newest(), |position| u32::try_from(position).unwrap_or(u32::MAX));
        DefinitionVersion::new(before.saturating_add(1))
    }
}

/// Decides a command; the action has evolved by the returned event. None: that content is current already.
///
/// # Errors
/// See [`ActionRejection`]; the hash tells versions apart, so the caller's word is not taken for it.
pub fn decide(action: &mut Action, command: ActionCommand) -> Result<Option<ActionEvent>, ActionRejection> {
    let ActionCommand::ApplyAction { document, content_hash } = command;
    let (definition, _) = compile_action(&document.to_value())
        .map_err(|problems| ActionRejection::ActionInvalid { message: problems.to_string() })?;
    if definition.slug != action.key.action {
        return Err(ActionRejection::OtherAction { found: definition.slug });
    }
    if definition.content_hash != content_hash {
        return Err(ActionRejection::ContentMismatch);
    }
    let version = action.version_of(&content_hash);
    if action.current == Some(version) {
        return Ok(None);
    }
    let event = if version.get() <= action.newest() {
        ActionEvent::ActionSelected { version }
    } else if action.newest() >= VERSIONS_MAX {
        return Err(ActionRejection::TooManyVersions { versions: action.newest() });
    } else {
        // The canonical text, whatever white space the caller's has.
        ActionEvent::ActionApplied { version, content_hash, document: definition.source }
    };
    evolve(action, &event);
    Ok(Some(event))
}

/// Folds one event.
pub(crate) fn evolve(action: &mut Action, event: &ActionEvent) {
    action.revision = action.revision.next();
    match event {
        ActionEvent::ActionApplied { version, content_hash, document } => {
            action.versions.push((content_hash.clone(), document.clone()));
            action.current = Some(*version);
        }
        ActionEvent::ActionSelected { version } => action.current = Some(*version),
    }
}
