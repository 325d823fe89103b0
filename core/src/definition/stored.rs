//! Documents that are too large for a message: what stands for them wherever documents stand.

use serde::{Deserialize, Serialize};

use super::Definition;
use crate::{Json, StoredValue, ValueDigest, WorkspaceId};

/// The largest document that stands in the journal itself, in bytes.
pub const INLINE_BYTES_MAX: usize = 1024 * 1024;
/// What stands for a document is no longer than this, and begins so.
const BYTES_MAX: usize = 512;
const BEGIN: &str = r#"{"storedDocument":"#;

/// A document that is kept in the store of values, named by the hash of its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredDocument {
    /// Whose store has it: that of the workflow.
    pub workspace: WorkspaceId,
    pub digest: ValueDigest,
    pub size_bytes: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    stored_document: StoredDocument,
}

impl StoredDocument {
    /// Reads what stands for a document; `None`: it stands there itself. No definition looks like this: it has no nodes.
    pub fn of(document: &Json) -> Option<Self> {
        let text = document.as_str();
        let written =
            (text.len() <= BYTES_MAX && text.starts_with(BEGIN)).then(|| serde_json::from_str::<Written>(text));
        Some(written?.ok()?.stored_document)
    }

    /// Returns what stands for a document of a workspace that is too large to stand there itself; `None`: it is not.
    pub fn instead_of(workspace: &WorkspaceId, document: &Json) -> Option<Self> {
        let value = (document.len_bytes() > INLINE_BYTES_MAX).then(|| StoredValue::of(document.as_str().as_bytes()));
        let StoredValue { digest, size_bytes } = value??;
        Some(Self { workspace: workspace.clone(), digest, size_bytes })
    }

    /// Returns it as a document.
    pub fn to_json(&self) -> Json {
        Json::of(&Written { stored_document: self.clone() })
    }
}

impl Definition {
    /// Returns its document as journals and messages have it.
    pub fn journaled(&self, workspace: &WorkspaceId) -> Json {
        StoredDocument::instead_of(workspace, &self.source)
            .map_or_else(|| self.source.clone(), |stored| stored.to_json())
    }

    /// Returns whether a document is its own, or what stands for that.
    pub fn is_of(&self, document: &Json) -> bool {
        let is_digest = |stored: StoredDocument| stored.digest.to_string() == self.content_hash;
        self.source == *document || StoredDocument::of(document).is_some_and(is_digest)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::compile;

    #[test]
    fn a_large_document_goes_by_the_hash_of_its_content() {
        let workspace: WorkspaceId = "default".parse().unwrap();
        let document = |bytes: usize| json!({"slug": "w", "defaults": {"text": "x".repeat(bytes)}, "nodes": [{"id": "a", "action": "noop"}]});
        let (large, _) = compile(&document(INLINE_BYTES_MAX)).unwrap();
        let journaled = large.journaled(&workspace);
        let stored = StoredDocument::of(&journaled).unwrap();
        assert_eq!((stored.digest.to_string(), &stored.workspace), (large.content_hash.clone(), &workspace));
        assert_eq!(stored.size_bytes as usize, large.source.len_bytes());
        assert_eq!(stored.to_json(), journaled);
        assert!(large.is_of(&journaled) && large.is_of(&large.source));
        let (small, _) = compile(&document(1)).unwrap();
        assert_eq!(small.journaled(&workspace), small.source);
        assert!(!small.is_of(&journaled));
    }

    #[test]
    fn what_stands_for_a_document_is_no_definition() {
        let stored =
            StoredDocument { workspace: "default".parse().unwrap(), digest: ValueDigest::of(b"x"), size_bytes: 1 };
        assert!(compile(&stored.to_json().to_value()).is_err());
        for other in [json!({"storedDocument": 1}), json!({"storedDocument": {"digest": "x"}}), json!({"slug": "w"})] {
            assert_eq!(StoredDocument::of(&Json::of(&other)), None);
        }
    }
}
