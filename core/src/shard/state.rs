//! What a shard knows: its aggregates, what is due, and what it remembers.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::definitions::Definitions;
use super::lines::Lines;
use super::quarantine::{Parked, Quarantine};
use super::reactions::Reactions;
use super::turns::Turns;
use super::window::{Bounds, EndedRun, EndedRuns, GrantedCommands};
use super::{AggregateId, AssetKey, Command, Commit, Effect, Event, Lanes, ShardMap, WorkflowKey};
use crate::address::stable_hash;
use crate::asset::Asset;
use crate::run::{Run, RunStatus};
use crate::workflow::Workflow;
use crate::{DefinitionVersion, Json, Revision, RunId, ShardId, Slug, Timestamp};

/// Everything one shard has folded from its journal.
#[derive(Debug)]
pub struct Shard {
    pub(super) id: ShardId,
    pub(super) map: ShardMap,
    pub(super) bounds: Bounds,
    /// The time of the last commit (`SHD-2`).
    pub(super) clock: Timestamp,
    /// The runs that have not ended.
    pub(super) runs: FxHashMap<RunId, Run>,
    pub(super) ended: EndedRuns,
    /// The runs that were started under idempotency keys and are active or remembered, by the cause in their ids.
    pub(super) keyed: FxHashMap<u128, RunId>,
    pub(super) assets: FxHashMap<AssetKey, Asset>,
    pub(super) workflows: FxHashMap<WorkflowKey, Workflow>,
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
            runs: FxHashMap::default(),
            ended: EndedRuns::default(),
            keyed: FxHashMap::default(),
            assets: FxHashMap::default(),
            workflows: FxHashMap::default(),
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
        self.runs.get(&id)
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
        self.runs.values()
    }

    /// Returns how many runs have not ended.
    pub fn active_runs(&self) -> usize {
        self.runs.len()
    }

    /// Returns an asset something is known of.
    pub fn asset(&self, key: &AssetKey) -> Option<&Asset> {
        self.assets.get(key)
    }

    /// Returns a workflow something is known of.
    pub fn workflow(&self, key: &WorkflowKey) -> Option<&Workflow> {
        self.workflows.get(key)
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

    /// Keeps the books after a commit, decided or folded: what is due, what has ended, what was granted.
    pub(super) fn book(&mut self, commit: &Commit, due_before: Option<Timestamp>) -> Option<(RunId, RunStatus)> {
        self.clock = commit.time;
        let last = commit.revision.after(commit.events.len() as u64 - 1);
        match commit.aggregate {
            AggregateId::Workflow(_) => {
                let revisions = (commit.revision, last);
                self.granted.remember_lasting(commit.command, revisions, commit.time, &self.bounds);
            }
            AggregateId::Run(_) | AggregateId::Asset(_) | AggregateId::Definition(..) => {
                self.granted.remember(commit.command, commit.revision, last, &self.bounds);
            }
        }
        let AggregateId::Run(id) = commit.aggregate else { return None };
        let run = self.runs.get_mut(&id)?;
        self.lines.follow(run);
        self.turns.follow(run);
        if commit.revision == Revision::FIRST && run.is_keyed() {
            self.keyed.insert(id.cause(), id);
        }
        let due = run.next_due();
        if due != due_before {
            due_before.map(|at| self.due.remove(&(at, commit.aggregate.clone())));
            due.map(|at| self.due.insert((at, commit.aggregate.clone())));
        }
        let status = run.status();
        if !status.is_terminal() {
            return None;
        }
        let ended = EndedRun { status, version: run.version(), start_hash: start_hash(run.workflow(), run.input()) };
        for forgotten in self.ended.remember(id, ended, run.is_keyed(), commit.time, &self.bounds) {
            self.keyed.remove(&forgotten.cause());
        }
        self.runs.remove(&id);
        Some((id, status))
    }

    /// Appends what follows from a commit. Called before [`Self::book`] lets an ended run go.
    pub(super) fn react(&self, commit: &Commit, reactions: &mut Reactions) {
        let effects = &mut reactions.effects;
        let mut revision = commit.revision;
        for event in &commit.events {
            match (&commit.aggregate, event) {
                (AggregateId::Run(id), Event::Run(event)) => {
                    if let Some(run) = self.runs.get(id) {
                        let mut follows = |effect| effects.push(Effect::of_run(run, revision, effect));
                        crate::run::react(run, event, commit.time, &mut follows);
                    }
                }
                (AggregateId::Asset(key), Event::Asset(event)) => {
                    if let Some(asset) = self.assets.get(key) {
                        let mut follows = |effect| effects.push(Effect::of_asset(key, revision, effect));
                        crate::asset::react(asset, event, commit.time, &mut follows);
                    }
                }
                (AggregateId::Workflow(key), Event::Workflow(event)) => {
                    if let Some(workflow) = self.workflows.get(key) {
                        reactions
                            .later
                            .extend(crate::workflow::news(workflow, event, revision).map(|news| (effects.len(), news)));
                    }
                }
                (
                    AggregateId::Run(_)
                    | AggregateId::Asset(_)
                    | AggregateId::Workflow(_)
                    | AggregateId::Definition(..),
                    Event::Run(_)
                    | Event::Asset(_)
                    | Event::Workflow(_)
                    | Event::DefinitionAdopted { .. }
                    | Event::Released(_),
                ) => {}
            }
            revision = revision.next();
        }
    }
}

/// Tells one start from another that claims the same run id. Checkpoints keep it, so it is the same in every release.
pub(super) fn start_hash(workflow: &Slug, input: &Json) -> u64 {
    stable_hash(&[workflow.as_str(), input.as_str()])
}
