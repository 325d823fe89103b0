//! What must hold of memos: equal keys fly once, whoever reuses gets what was made, and nobody is left waiting.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::dialogue::Asker;
use headwater_core::memo::MemoEvent;
use headwater_core::run::RunEvent;
use headwater_core::{AssetId, Json, RunId, Version};

#[derive(Default)]
pub struct MemoBooks {
    flights: BTreeMap<String, Asker>,
    waiting: BTreeSet<(String, Asker)>,
    kept: BTreeMap<String, Asker>,
    /// What nodes have made that a memo hears of.
    made: BTreeMap<Asker, Json>,
    pub reused: u64,
    /// Who has reused whose result.
    reusers: BTreeMap<Asker, Asker>,
    /// What each has produced and was recorded.
    recorded: BTreeMap<Asker, BTreeSet<(AssetId, Version)>>,
    /// How many versions were taken over with results.
    pub offered: u64,
}

impl MemoBooks {
    pub fn learn(&mut self, event: &MemoEvent) {
        match event {
            MemoEvent::FlightBegan { digest, asker } => {
                self.waiting.remove(&(digest.clone(), asker.clone()));
                let before = self.flights.insert(digest.clone(), asker.clone());
                assert!(before.is_none_or(|before| before == *asker), "equal keys fly once: {asker:?}");
            }
            MemoEvent::AskerWaited { digest, asker } => {
                assert!(self.flights.contains_key(digest), "{asker:?} waits for nobody");
                assert!(self.waiting.insert((digest.clone(), asker.clone())), "{asker:?} waits twice");
            }
            MemoEvent::ResultKept { digest, asker, output, assets: _ } => {
                assert_eq!(self.flights.remove(digest).as_ref(), Some(asker), "who lands has flown");
                assert_eq!(self.made.get(asker), Some(output), "what is kept was made");
                self.kept.insert(digest.clone(), asker.clone());
            }
            MemoEvent::FlightEnded { digest, asker } => {
                assert_eq!(self.flights.remove(digest).as_ref(), Some(asker), "who lands has flown");
            }
            MemoEvent::ResultReused { digest, asker } => {
                assert!(self.kept.contains_key(digest), "{asker:?} is given what there is");
                self.waiting.remove(&(digest.clone(), asker.clone()));
            }
            MemoEvent::AskerLeft { digest, asker } => {
                assert!(self.waiting.remove(&(digest.clone(), asker.clone())), "{asker:?} has waited");
            }
            MemoEvent::AskerSentOff { .. } => {}
        }
    }

    pub fn run_learns(&mut self, run: RunId, event: &RunEvent) {
        if let RunEvent::AssetRecorded { node, asset, version, .. } = event {
            let (asker, version) = (Asker { run, node: node.clone() }, (asset.clone(), *version));
            match self.reusers.get(&asker) {
                Some(made_by) => {
                    assert!(
                        self.recorded[made_by].contains(&version),
                        "{node} of {run} has what {made_by:?} has produced"
                    );
                    self.offered += 1;
                }
                None => {
                    self.recorded.entry(asker).or_default().insert(version);
                }
            }
        }
        let RunEvent::NodeSucceeded { node, output, reused, landed, .. } = event else { return };
        if let Some(made_by) = reused {
            assert_eq!(self.made.get(&**made_by), Some(output), "{node} of {run} reuses what {made_by:?} has made");
            self.reused += 1;
            self.reusers.insert(Asker { run, node: node.clone() }, Asker::clone(made_by));
        }
        if landed.is_some() && reused.is_none() {
            self.made.insert(Asker { run, node: node.clone() }, output.clone());
        }
    }

    /// Nothing is left to happen.
    pub fn rest(&self) {
        assert_eq!((&self.flights, &self.waiting), (&BTreeMap::new(), &BTreeSet::new()), "all have landed");
    }
}
