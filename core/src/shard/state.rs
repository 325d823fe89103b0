//! What a shard knows: its aggregates, what is due, and what it remembers.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::definitions::Definitions;
use super::kinds::Shelves;
use super::lines::Lines;
use super::quarantine::{Parked, Quarantine};
use super::turns::Turns;
use super::window::{Bounds, EndedRun, EndedRuns, GrantedCommands};
use super::{AggregateId, AssetKey, Command, Commit, Lanes, ShardMap, WorkflowKey};
use crate::asset::Asset;
use crate::run::Run;
use crate::workflow::Workflow;
use crate::{DefinitionVersion, Json, RunId, ShardId, Timestamp};

/// Everything one shard has folded from its journal.
#[derive(Debug)]
pub struct Shard {
    pub(super) id: ShardId,
    pub(super) map: ShardMap,
    pub(super) bounds: Bounds,
    /// The time of the last commit (`SHD-2`).
    pub(super) clock: Timestamp,
    pub(super) shelves: Shelves,
    pub(super) ended: EndedRuns,
    /// The runs that were started under idempotency keys and are active or remembered, by the cause in their ids.
    pub(super) keyed: FxHashMap<u128, RunId>,
    pub(super) definitions: Definitions,
    pub(super) granted: GrantedCommands,
    /// When what has timers has something due next.
    pub(super) due: BTreeSet<(Timestamp, AggregateId)>,
    /// What waits for workers, and whose turn it is.
    pub(super) lines: Lines,
    /// The runs that go on by themselves.
    pub(super) turns: Turns,
    /// How much work its decisions have done.
    pub(super) spent: u64,
    /// What was heard of other shards, and what they are sent.
    pub(super) lanes: Lanes,
    /// Aggregates whose history breaks the rules, and how. What is in here is in no other map but `ended` and `keyed`.
    pub(super) quarantine: FxHashMap<AggregateId, Quarantine>,
    /// What was asked of them, and of those that were released a moment ago, in order.
    pub(super) parked: BTreeMap<AggregateId, Parked>,
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
            clock: Timestamp::default(),
            shelves: Shelves::default(),
            ended: EndedRuns::default(),
            keyed: FxHashMap::default(),
            definitions: Definitions::new(bounds.graphs),
            granted: GrantedCommands::default(),
            due: BTreeSet::new(),
            lines: Lines::default(),
            turns: Turns::default(),
            spent: 0,
            lanes: Lanes::default(),
            quarantine: FxHashMap::default(),
            parked: BTreeMap::new(),
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

    /// Returns the document of a definition version this shard has adopted. Whether it still compiles shows when a run
    /// needs it.
    pub fn definition(&self, key: &WorkflowKey, version: DefinitionVersion) -> Option<&Json> {
        self.definitions.document(key, version)
    }

    /// Returns how a run ended, as long as that is remembered.
    pub fn ended_run(&self, id: RunId) -> Option<EndedRun> {
        self.ended.find(id)
    }

    /// Returns when something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns the timers due by now, as commands to those that have them: the longest overdue first, at most `count`.
    pub fn due(&self, now: Timestamp, count: usize) -> Vec<Command> {
        self.due.iter().take_while(|(at, _)| *at <= now).take(count).filter_map(|(_, of)| of.timer()).collect()
    }

    /// Notes the time of a commit, decided or folded, and what it granted. `lasting`: see [`GrantedCommands::remember_lasting`].
    pub(super) fn remember(&mut self, commit: &Commit, lasting: bool) {
        self.clock = commit.time;
        let last = commit.revision.after(commit.events.len() as u64 - 1);
        if lasting {
            let revisions = (commit.revision, last);
            self.granted.remember_lasting(commit.command, revisions, commit.time, &self.bounds);
        } else {
            self.granted.remember(commit.command, commit.revision, last, &self.bounds);
        }
    }
}
