//! Values too large for a message of a journal, by workspace and digest: written once, never changed, read by whoever knows both.
//!
//! They are stored before the journal names them: what a process stored and did not live to name stays, and nobody collects it.
//!
//! Two things implement it: [`ValueStore`], and [`MemoryValues`], which are at hand without a broker.

mod jetstream;
mod memory;

use std::future::Future;

use bytes::Bytes;
use headwater_core::definition::StoredDocument;
use headwater_core::{Json, StoredValue, VALUE_BYTES_MAX, ValueDigest, WorkspaceId};

pub use self::jetstream::ValueStore;
pub use self::memory::MemoryValues;
use crate::{Disposition, ExchangeError};

/// Where values are kept. Cheap to clone.
pub trait Values: Clone + Send + Sync + 'static {
    /// Stores a value of at most [`VALUE_BYTES_MAX`] bytes, and returns when it is as durable as a journal. One that is there is
    /// not written again; one that was written in part is completed. Safe to repeat, and to call twice at once.
    ///
    /// # Errors
    /// [`ValueError::TooLarge`]; else see [`ExchangeError`]: repeat.
    fn put(
        &self,
        workspace: &WorkspaceId,
        value: Bytes,
    ) -> impl Future<Output = Result<StoredValue, ValueError>> + Send;

    /// Returns a value of a workspace as it was stored, its digest verified; as whoever decides has it (`STR-4`).
    ///
    /// # Errors
    /// See [`ValueError`].
    fn get(
        &self,
        workspace: &WorkspaceId,
        digest: ValueDigest,
    ) -> impl Future<Output = Result<Bytes, ValueError>> + Send;
}

/// Returns a definition that is kept by its digest.
///
/// # Errors
/// See [`ValueError`]; [`ValueError::Damaged`] also for what is not JSON.
pub async fn document(values: &impl Values, stored: &StoredDocument) -> Result<Json, ValueError> {
    let StoredDocument { workspace, digest, .. } = stored;
    let bytes = values.get(workspace, *digest).await?;
    let damaged = |_| ValueError::Damaged { workspace: workspace.clone(), digest: *digest };
    Json::parse_bytes(&bytes).map_err(damaged)
}

/// Says why a value was not stored or not read.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("a value has {bytes} bytes, and {VALUE_BYTES_MAX} are the most it may have")]
    TooLarge { bytes: usize },
    /// It was never stored in this workspace, or the store has lost it.
    #[error("the store of values has no {digest} of the workspace {workspace}")]
    Missing { workspace: WorkspaceId, digest: ValueDigest },
    /// What is stored has another digest.
    #[error("what the store of values has for {digest} of the workspace {workspace} is another value")]
    Damaged { workspace: WorkspaceId, digest: ValueDigest },
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl ValueError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::TooLarge { .. } => Disposition::Rejection,
            Self::Missing { .. } | Self::Damaged { .. } => Disposition::Corrupt,
            Self::Exchange(error) => error.disposition(),
        }
    }
}

/// Describes a value that is to be stored.
fn described(value: &[u8]) -> Result<StoredValue, ValueError> {
    StoredValue::of(value).ok_or(ValueError::TooLarge { bytes: value.len() })
}

/// Returns a value that was read if it is the one that was asked for.
fn verified(workspace: &WorkspaceId, digest: ValueDigest, value: Bytes) -> Result<Bytes, ValueError> {
    if ValueDigest::of(&value) == digest {
        Ok(value)
    } else {
        Err(ValueError::Damaged { workspace: workspace.clone(), digest })
    }
}
