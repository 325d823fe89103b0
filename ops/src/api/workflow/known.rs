//! The definitions there are, and what of them this process has learnt.

use headwater_core::shard::WorkflowKey;
use headwater_streams::ExchangeError;
use headwater_streams::definitions::{Definitions, Pointer};

use super::super::readable::AssetShards;
use super::catalog::Catalog;

/// The definitions there are, and what of them this process has learnt.
pub struct Workflows {
    pub(in crate::api) definitions: Definitions,
    pub(in crate::api) catalog: Catalog,
    pub(in crate::api) asset_shards: AssetShards,
}

impl Workflows {
    pub fn new(definitions: Definitions) -> Self {
        Self { definitions, catalog: Catalog::default(), asset_shards: AssetShards::default() }
    }

    /// Returns the current version of a workflow, and whether it is paused. `None`: there is no such workflow.
    ///
    /// # Errors
    /// See [`ExchangeError`]; only where the version is not known here yet.
    pub async fn current(&self, key: &WorkflowKey) -> Result<Option<Pointer>, ExchangeError> {
        self.catalog.current(&self.definitions, key).await
    }
}
