//! What a run has taken of assets, and what it has given them.

use std::collections::BTreeMap;

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
    /// Produced, and not yet recorded by the asset's own shard; of no node nothing.
    unrecorded: BTreeMap<Place, Vec<Produced>>,
    /// The newest version of each asset that whoever called the run waits for.
    promised: Vec<InputVersion>,
    /// What memos are to hear of once everything of it is recorded.
    landings: BTreeMap<Place, Landing>,
    /// What they are to hear of now, and then not again.
    landed: Vec<Landed>,
}

/// A result of which everything is recorded.
#[derive(Debug, Clone, PartialEq)]
struct Landed {
    node: Place,
    /// Nothing of it was still to be recorded when the node ended.
    at_once: bool,
    landing: Landing,
}

/// A result with assets that a memo was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) struct Landing {
    pub digest: String,
    pub output: Json,
    /// What is recorded of it so far.
    pub assets: Vec<InputVersion>,
}

/// An asset and a partition that a node produced something of.
pub(in crate::run) type Produced = (AssetId, Option<PartitionKey>);

/// Equality of what was taken and given: an empty ledger is none.
impl PartialEq for Assets {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(ledger), Some(other)) => ledger == other,
            (Some(ledger), None) | (None, Some(ledger)) => **ledger == Ledger::default(),
            (None, None) => true,
        }
    }
}

impl Assets {
    /// Those of a checkpoint: what memos were to hear of they have heard.
    pub fn new(consumed: Vec<InputVersion>, promised: Vec<InputVersion>) -> Self {
        let ledger = Ledger { consumed, promised, ..Ledger::default() };
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

    pub fn consumed(&self) -> &[InputVersion] {
        self.0.as_ref().map_or(&[], |ledger| &ledger.consumed)
    }

    /// Notes something that a node produced.
    pub fn produce(&mut self, node: Place, produced: Produced) {
        self.ledger().unrecorded.entry(node).or_default().push(produced);
    }

    /// Notes that a memo is to hear of a node's result, once everything is recorded that it produced.
    pub fn land(&mut self, node: Place, landing: Landing) {
        let ledger = self.ledger();
        if ledger.unrecorded.contains_key(&node) {
            ledger.landings.insert(node, landing);
        } else {
            ledger.landed.push(Landed { node, at_once: true, landing });
        }
    }

    /// Learns in which version something is recorded: what the node produced, or what goes with a result that it was given.
    pub fn record(&mut self, node: Place, version: &InputVersion) {
        let Some(ledger) = &mut self.0 else { return };
        let Some(unrecorded) = ledger.unrecorded.get_mut(&node) else {
            // It has just landed, and what goes with it follows.
            let last = ledger.landed.last_mut().filter(|landed| landed.node == node);
            return last.into_iter().for_each(|landed| landed.landing.assets.push(version.clone()));
        };
        unrecorded.retain(|(asset, partition)| !(*asset == version.asset && *partition == version.partition));
        let is_last = unrecorded.is_empty();
        if is_last {
            ledger.unrecorded.remove(&node);
        }
        let Some(landing) = ledger.landings.get_mut(&node) else { return };
        landing.assets.push(version.clone());
        if is_last && let Some(landing) = ledger.landings.remove(&node) {
            ledger.landed.push(Landed { node, at_once: false, landing });
        }
    }

    /// A memo is not to hear of the node's result any more.
    pub fn leave(&mut self, node: Place) {
        if let Some(ledger) = &mut self.0 {
            ledger.landings.remove(&node);
        }
    }

    /// Returns the results that memos are to hear of once everything is recorded, by their nodes.
    pub fn landings(&self) -> impl Iterator<Item = (Place, &Landing)> {
        let landings = self.0.iter().flat_map(|ledger| &ledger.landings);
        landings.map(|(place, landing)| (*place, landing))
    }

    pub fn landing(&self, node: Place) -> Option<&Landing> {
        self.0.as_ref()?.landings.get(&node)
    }

    /// Returns how many there are.
    pub fn landings_count(&self) -> usize {
        self.0.as_ref().map_or(0, |ledger| ledger.landings.len())
    }

    /// Returns what a memo is to hear of a node now: as it ended, or as the last was recorded.
    pub fn landed(&self, node: Place, at_once: bool) -> Option<&Landing> {
        let mut landed = self.0.iter().flat_map(|ledger| &ledger.landed);
        landed.find(|landed| landed.node == node && landed.at_once == at_once).map(|landed| &landed.landing)
    }

    /// Memos are told: what they heard of is let go.
    pub fn forget_landed(&mut self) {
        if let Some(ledger) = &mut self.0 {
            ledger.landed = Vec::new();
        }
    }

    /// Returns what is not recorded yet, by its nodes.
    pub fn unrecorded(&self) -> impl Iterator<Item = (Place, &Produced)> {
        let unrecorded = self.0.iter().flat_map(|ledger| &ledger.unrecorded);
        unrecorded.flat_map(|(place, produced)| produced.iter().map(|produced| (*place, produced)))
    }

    pub fn is_all_recorded(&self) -> bool {
        self.0.as_ref().is_none_or(|ledger| ledger.unrecorded.is_empty())
    }

    /// Returns whether something of a node is not recorded yet.
    pub fn awaits_record(&self, node: Place, asset: &AssetId, partition: &Option<PartitionKey>) -> bool {
        let unrecorded = self.0.as_ref().and_then(|ledger| ledger.unrecorded.get(&node));
        unrecorded.is_some_and(|all| all.iter().any(|(id, key)| id == asset && key == partition))
    }
}
