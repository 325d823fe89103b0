//! What a run has taken of assets, and what it has given them.

use super::Place;
use crate::dialogue::InputVersion;
use crate::{AssetId, PartitionKey};

/// What a run has taken of assets, and what it has given them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::run) struct Assets {
    /// Every version consumed so far, sorted, each once.
    consumed: Vec<InputVersion>,
    /// Produced, and not yet recorded by the asset's own shard.
    unrecorded: Vec<Produced>,
    /// The newest version of each asset that whoever called the run waits for.
    promised: Vec<InputVersion>,
}

/// Which node produced something of which asset and partition.
pub(in crate::run) type Produced = (Place, AssetId, Option<PartitionKey>);

impl Assets {
    pub fn new(consumed: Vec<InputVersion>, unrecorded: Vec<Produced>, promised: Vec<InputVersion>) -> Self {
        Self { consumed, unrecorded, promised }
    }

    /// Notes a version that was promised.
    pub fn keep_promise(&mut self, version: InputVersion) {
        self.promised.retain(|known| known.asset != version.asset);
        self.promised.push(version);
    }

    pub fn promised(&self) -> &[InputVersion] {
        &self.promised
    }

    pub fn consume(&mut self, version: InputVersion) {
        if let Err(place) = self.consumed.binary_search(&version) {
            self.consumed.insert(place, version);
        }
    }

    pub fn produce(&mut self, produced: impl Iterator<Item = Produced>) {
        self.unrecorded.extend(produced);
    }

    /// Learns that the asset's shard has recorded what the node produced.
    pub fn record(&mut self, node: Place, asset: &AssetId, partition: &Option<PartitionKey>) {
        self.unrecorded.retain(|(by, id, key)| !(*by == node && id == asset && key == partition));
    }

    pub fn consumed(&self) -> &[InputVersion] {
        &self.consumed
    }

    pub fn unrecorded(&self) -> &[Produced] {
        &self.unrecorded
    }
}
