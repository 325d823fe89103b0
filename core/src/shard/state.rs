//! What a shard knows: its aggregates, what is due, and what it remembers.

use super::definitions::Definitions;
use super::docket::Docket;
use super::kinds::Shelves;
use super::memory::Memory;
use super::quarantine::Quarantined;
use super::window::{Bounds, EndedRun};
use super::{ActionKey, AssetKey, Lanes, ShardMap, WorkflowKey};
use crate::action::Action;
use crate::asset::Asset;
use crate::memo::{Memo, MemoKey};
use crate::run::Run;
use crate::workflow::Workflow;
use crate::{DefinitionVersion, Json, RunId, ShardId};

/// Everything one shard has folded from its journal.
#[derive(Debug)]
pub struct Shard {
    pub(super) id: ShardId,
    pub(super) map: ShardMap,
    pub(super) bounds: Bounds,
    pub(super) shelves: Shelves,
    pub(super) definitions: Definitions,
    /// What it remembers of what is over.
    pub(super) memory: Memory,
    /// What it has to do without being asked.
    pub(super) docket: Docket,
    /// How much work its decisions have done.
    pub(super) spent: u64,
    /// What was heard of other shards, and what they are sent.
    pub(super) lanes: Lanes,
    /// What is set aside. Of that nothing is in any other part but `memory`.
    pub(super) quarantined: Quarantined,
}

impl Shard {
    /// Makes a shard with an empty journal.
    pub fn new(id: ShardId, map: ShardMap) -> Self {
        Self::bounded(id, map, Bounds::default())
    }

    /// Makes a shard with an empty journal that remembers so much. Whoever folds the journal must have the same bounds.
    pub fn bounded(id: ShardId, map: ShardMap, bounds: Bounds) -> Self {
        Self {
            id,
            map,
            bounds,
            shelves: Shelves::default(),
            definitions: Definitions::new(bounds.graphs),
            memory: Memory::default(),
            docket: Docket::default(),
            spent: 0,
            lanes: Lanes::default(),
            quarantined: Quarantined::default(),
        }
    }

    /// Returns which shard it is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Returns a run that has not ended.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.shelves.runs.get(&id)
    }

    /// Returns how many units of work its decisions have done, for whoever shares its time out.
    pub fn work_spent(&self) -> u64 {
        self.spent + self.definitions.spent
    }

    /// Returns how many units of work one decision does at most.
    pub fn decision_work_max(&self) -> u64 {
        self.bounds.decision.work
    }

    /// Returns the runs that have not ended, in no order.
    pub fn active(&self) -> impl Iterator<Item = &Run> {
        self.shelves.runs.values()
    }

    /// Returns how many runs have not ended.
    pub fn active_runs(&self) -> usize {
        self.shelves.runs.len()
    }

    /// Returns an asset something is known of.
    pub fn asset(&self, key: &AssetKey) -> Option<&Asset> {
        self.shelves.assets.get(key)
    }

    /// Returns a workflow something is known of.
    pub fn workflow(&self, key: &WorkflowKey) -> Option<&Workflow> {
        self.shelves.workflows.get(key)
    }

    /// Returns a reusable action something is known of.
    pub fn action(&self, key: &ActionKey) -> Option<&Action> {
        self.shelves.actions.get(key)
    }

    /// Returns a memo that keeps something, or that somebody has asked.
    pub fn memo(&self, memo: MemoKey) -> Option<&Memo> {
        self.shelves.memos.get(&memo)
    }

    /// Returns the document of a definition version this shard has adopted. Whether it still compiles shows when a run
    /// needs it.
    pub fn definition(&self, key: &WorkflowKey, version: DefinitionVersion) -> Option<&Json> {
        self.definitions.document(key, version)
    }

    /// Returns as what a run goes on that has ended, as long as that is remembered.
    pub fn successor_of(&self, id: RunId) -> Option<RunId> {
        self.memory.ended.successor(id)
    }

    /// Returns how a run ended, as long as that is remembered.
    pub fn ended_run(&self, id: RunId) -> Option<EndedRun> {
        self.memory.ended(id)
    }
}
