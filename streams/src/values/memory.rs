//! Values in memory, for what runs without a broker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use headwater_core::{StoredValue, ValueDigest, WorkspaceId};

use super::{ValueError, Values, described, verified};

/// Values in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryValues {
    /// Locked for one look, never across an await.
    kept: Arc<Mutex<BTreeMap<(WorkspaceId, ValueDigest), Bytes>>>,
}

impl MemoryValues {
    /// Makes a store without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses a value, as a store does whose disk is gone.
    pub fn lose(&self, workspace: &WorkspaceId, digest: ValueDigest) {
        self.kept().remove(&(workspace.clone(), digest));
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<(WorkspaceId, ValueDigest), Bytes>> {
        self.kept.lock().expect("nothing panics while it holds the lock")
    }
}

impl Values for MemoryValues {
    async fn put(&self, workspace: &WorkspaceId, value: Bytes) -> Result<StoredValue, ValueError> {
        let stored = described(&value)?;
        self.kept().entry((workspace.clone(), stored.digest)).or_insert(value);
        Ok(stored)
    }

    async fn get(&self, workspace: &WorkspaceId, digest: ValueDigest) -> Result<Bytes, ValueError> {
        let value = self.kept().get(&(workspace.clone(), digest)).cloned();
        let value = value.ok_or_else(|| ValueError::Missing { workspace: workspace.clone(), digest })?;
        verified(workspace, digest, value)
    }
}
