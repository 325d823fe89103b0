//! The journals: append with an expected last sequence, read whole, read the end.

use std::collections::BTreeMap;

use headwater_core::shard::{Bundle, Stowed};
use headwater_core::{BundleId, Json, Sequence, ValueDigest, WorkspaceId};

/// The store of values. What is stored before a bundle that never lands stays.
#[derive(Default)]
pub struct Values(BTreeMap<(WorkspaceId, ValueDigest), Json>);

impl Values {
    pub fn put(&mut self, values: &[Stowed]) {
        for Stowed { workspace, stored, value } in values {
            self.0.insert((workspace.clone(), stored.digest), value.clone());
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Default)]
pub struct Journal {
    pub entries: Vec<Entry>,
}

pub struct Entry {
    pub bytes: Vec<u8>,
    /// With the values that it names.
    pub bundle: Bundle,
}

impl Journal {
    pub fn end(&self) -> Sequence {
        Sequence::new(self.entries.len() as u64)
    }

    /// Appends, if the journal ends where the writer thinks it does.
    pub fn append(&mut self, bytes: &[u8], expected: Sequence, values: &Values) -> Option<Sequence> {
        if self.end() != expected {
            return None;
        }
        let mut bundle: Bundle = serde_json::from_slice(bytes).expect("an owner writes bundles");
        bundle.fill(|workspace, value| values.0.get(&(workspace.clone(), value.digest)).cloned());
        assert_eq!(bundle.wanted().count(), 0, "what a journal names is stored before");
        self.entries.push(Entry { bytes: bytes.to_vec(), bundle });
        Some(self.end())
    }

    pub fn last(&self) -> Option<BundleId> {
        self.entries.last().map(|entry| entry.bundle.id)
    }

    /// The entries with their sequences.
    pub fn read(&self) -> impl Iterator<Item = (Sequence, &Entry)> {
        self.entries.iter().enumerate().map(|(at, entry)| (Sequence::new(at as u64 + 1), entry))
    }
}
