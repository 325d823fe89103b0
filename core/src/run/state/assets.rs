//! What a run has taken of assets, and what it has given them.

use super::Place;
use crate::dialogue::InputVersion;
use crate::{AssetId, PartitionKey};

/// What a run has taken of assets, and what it has given them. Most have done neither, and take no memory for it.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Assets(Option<Box<Ledger>>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Ledger {
    /// Every version consumed so far, sorted, each once.
    consumed: Vec<InputVersion>,
    /// Produced, and not yet recorded by the asset's own shard.
    unrecorded: Vec<Produced>,
    /// The newest version of each asset that whoever called the run waits for.
    promised: Vec<InputVersion>,
}

/// Which node produced something of which asset and partition.
pub(in crate::run) type Produced = (Place, AssetId, Option<PartitionKey>);

/// Equality of what was taken and given: an empty ledger is none.
impl PartialEq for Assets {
    fn eq(&self, other: &Self) -> bool {
        self.consumed() == other.consumed()
            && self.unrecorded() == other.unrecorded()
            && self.promised() == other.promised()
    }
}

impl Assets {
    pub fn new(consumed: Vec<InputVersion>, unrecorded: Vec<Produced>, promised: Vec<InputVersion>) -> Self {
        let ledger = Ledger { consumed, unrecorded, promised };
        Self((ledger != Ledger::default()).then(|| Box::new(ledger)))
    }

    fn ledger(&mut self) -> &mut Ledger {
        self.0.get_or_insert_default()
    }

    /// Notes a version that was promised.
    pub fn keep_promise(&mut self, version: InputVersion) {
        let promised = &mut self.ledger().promised;
        promised.retain(|known| known.asset != version.asset);
        promised.push(version);
    }

    pub fn promised(&self) -> &[InputVersion] {
        self.0.as_ref().map_or(&[], |ledger| &ledger.promised)
    }

    pub fn consume(&mut self, version: InputVersion) {
        let consumed = &mut self.ledger().consumed;
        if let Err(place) = consumed.binary_search(&version) {
            consumed.insert(place, version);
        }
    }

    pub fn produce(&mut self, mut produced: impl Iterator<Item = Produced>) {
        if let Some(first) = produced.next() {
            self.ledger().unrecorded.extend(std::iter::once(first).chain(produced));
        }
    }

    /// Learns that the asset's shard has recorded what the node produced.
    pub fn record(&mut self, node: Place, asset: &AssetId, partition: &Option<PartitionKey>) {
        if let Some(ledger) = &mut self.0 {
            ledger.unrecorded.retain(|(by, id, key)| !(*by == node && id == asset && key == partition));
        }
    }

    pub fn consumed(&self) -> &[InputVersion] {
        self.0.as_ref().map_or(&[], |ledger| &ledger.consumed)
    }

    pub fn unrecorded(&self) -> &[Produced] {
        self.0.as_ref().map_or(&[], |ledger| &ledger.unrecorded)
    }
}
