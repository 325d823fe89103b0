//! The journals: append with an expected last sequence, read whole, read the end.

use headwater_core::shard::Bundle;
use headwater_core::{BundleId, Sequence};

#[derive(Default)]
pub struct Journal {
    pub entries: Vec<Entry>,
}

pub struct Entry {
    pub bytes: Vec<u8>,
    pub bundle: Bundle,
}

impl Journal {
    pub fn end(&self) -> Sequence {
        Sequence::new(self.entries.len() as u64)
    }

    /// Appends, if the journal ends where the writer thinks it does.
    pub fn append(&mut self, bytes: &[u8], expected: Sequence) -> Option<Sequence> {
        if self.end() != expected {
            return None;
        }
        let bundle = serde_json::from_slice(bytes).expect("an owner writes bundles");
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
