//! What a run has taken of assets, and what it has given them.

use super::Place;
use crate::dialogue::InputVersion;
use crate::{AssetId, Json, PartitionKey};

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
    /// What memos are to hear of once everything of it is recorded, or have heard.
    landings: Vec<Landing>,
}

/// A result with assets that a memo was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) struct Landing {
    pub place: Place,
    pub digest: String,
    pub output: Json,
    /// What is recorded of it so far.
    pub assets: Vec<InputVersion>,
}

/// Which node produced something of which asset and partition.
pub(in crate::run) type Produced = (Place, AssetId, Option<PartitionKey>);

/// Equality of what was taken and given: an empty ledger is none.
impl PartialEq for Assets {
    fn eq(&self, other: &Self) -> bool {
        self.consumed() == other.consumed()
            && self.unrecorded() == other.unrecorded()
            && self.promised() == other.promised()
            && self.landings() == other.landings()
    }
}

impl Assets {
    pub fn new(
        consumed: Vec<InputVersion>,
        unrecorded: Vec<Produced>,
        promised: Vec<InputVersion>,
        landings: Vec<Landing>,
    ) -> Self {
        let ledger = Ledger { consumed, unrecorded, promised, landings };
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
    pub fn record(&mut self, node: Place, version: &InputVersion) {
        let Some(ledger) = &mut self.0 else { return };
        let is_it = |(by, id, key): &Produced| *by == node && *id == version.asset && *key == version.partition;
        ledger.unrecorded.retain(|produced| !is_it(produced));
        if let Some(landing) = ledger.landings.iter_mut().find(|landing| landing.place == node) {
            landing.assets.push(version.clone());
        }
    }

    /// Notes that a memo is to hear of a result and of its assets.
    pub fn land(&mut self, landing: Landing) {
        self.ledger().landings.push(landing);
    }

    /// A memo is not to hear of the node's result any more.
    pub fn leave(&mut self, node: Place) {
        if let Some(ledger) = &mut self.0 {
            ledger.landings.retain(|landing| landing.place != node);
        }
    }

    /// Returns the results with assets that memos were asked for.
    pub fn landings(&self) -> &[Landing] {
        self.0.as_ref().map_or(&[], |ledger| &ledger.landings)
    }

    /// Returns those of which something is not recorded.
    pub fn landings_under_way(&self) -> impl Iterator<Item = &Landing> {
        self.landings().iter().filter(|landing| self.is_under_way(landing.place))
    }

    /// Returns what a memo is to hear of a node, once everything of that is recorded.
    pub fn landed(&self, node: Place) -> Option<&Landing> {
        self.landings().iter().find(|landing| landing.place == node && !self.is_under_way(node))
    }

    fn is_under_way(&self, node: Place) -> bool {
        self.unrecorded().iter().any(|(by, ..)| *by == node)
    }

    pub fn consumed(&self) -> &[InputVersion] {
        self.0.as_ref().map_or(&[], |ledger| &ledger.consumed)
    }

    pub fn unrecorded(&self) -> &[Produced] {
        self.0.as_ref().map_or(&[], |ledger| &ledger.unrecorded)
    }
}
