//! Whether something would be made of the same.

use sha2::Digest as _;

use crate::Json;
use crate::definition::sorted;
use crate::expr::ConsumedAsset;

/// A digest of texts, each told apart from the next.
pub(in crate::run) struct Parts(sha2::Sha256);

impl Parts {
    pub fn new() -> Self {
        Self(sha2::Sha256::new())
    }

    pub fn part(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    /// What a node was given, and what it has consumed.
    pub fn made_of(&mut self, input: &Json, consumed: &[ConsumedAsset]) {
        self.part(&canonical(input));
        for consumed in consumed {
            let partition = consumed.partition.as_ref().map_or("", |key| key.as_str());
            self.part(&consumed.asset.as_str().to_ascii_lowercase());
            self.part(partition);
            self.part(&consumed.version.to_string());
        }
    }

    /// 64 hex digits.
    pub fn digest(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A value as text that is the same however the keys of its objects are ordered.
pub(in crate::run) fn canonical(value: &Json) -> String {
    sorted(value.to_value()).to_string()
}

/// The digest of what a node was given, and what it has consumed.
pub(in crate::run) fn digest(input: &Json, consumed: &[ConsumedAsset]) -> String {
    let mut parts = Parts::new();
    parts.made_of(input, consumed);
    parts.digest()
}
