//! The history of one quarantined aggregate, folded anew beside its shard: what a release is made of.
//!
//! Whoever drives the shard reads its journal and gives every bundle up to the quarantine, in order; which of it counts is
//! decided here.

use std::collections::{BTreeMap, BTreeSet};

use super::compiled::{Compiler, compiled_by};
use super::kinds::{self, start_hash};
use super::poison;
use super::quarantine::{Release, ReleaseBy};
use super::reactions::Reactions;
use super::release::Refolded;
use super::state::Shard;
use super::story::Story;
use super::{AggregateId, AssetKey, Bundle, Command, Commit, Effect, Event, Record, ShardMap, Submission, WorkflowKey};
use crate::asset::{AssetCommand, ProducerEnd, Waiter};
use crate::dialogue::{Asker, ChildEnd, MemoCommand, ToRun};
use crate::memo::MemoKey;
use crate::run::{RunEvent, RunFailure, RunStatus, Trigger, answer_to_caller};
use crate::{AssetId, DefinitionVersion, Json, Revision, RunId, Sequence, ShardId};

/// How many events one release leaves out at most.
pub const SKIPPED_MAX: usize = 64;

/// What is to be folded anew, up to which entry of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct RefoldOrder {
    pub aggregate: AggregateId,
    pub by: ReleaseBy,
    /// The first entry with a commit that was not folded.
    pub at: Option<Sequence>,
    pub through: Sequence,
}

/// A refold under way.
#[derive(Debug)]
pub struct Refolding {
    order: RefoldOrder,
    /// Holds nothing but the aggregate, and the definition of a run.
    shard: Shard,
    /// Of the commits that nobody folded.
    effects: Vec<Effect>,
    documents: BTreeMap<(WorkflowKey, DefinitionVersion), Json>,
    skipped: BTreeSet<Revision>,
    last: Revision,
    story: Story,
    /// Why the history cannot be folded: the first thing in the way.
    broken: Option<String>,
}

impl Refolding {
    /// Begins with nothing.
    ///
    /// # Errors
    /// Why this cannot be done to such an aggregate.
    pub fn new(order: RefoldOrder, shard: ShardId, map: ShardMap) -> Result<Self, String> {
        let skipped = match &order.by {
            ReleaseBy::Skip { revisions } if revisions.is_empty() || revisions.len() > SKIPPED_MAX => {
                return Err(format!("1 to {SKIPPED_MAX} events can be skipped, not {}", revisions.len()));
            }
            ReleaseBy::Skip { revisions } => revisions.iter().copied().collect(),
            ReleaseBy::Refold {} => BTreeSet::new(),
            ReleaseBy::End {} => {
                order.aggregate.can_end()?;
                BTreeSet::new()
            }
        };
        Ok(Self {
            order,
            shard: Shard::new(shard, map),
            effects: Vec::new(),
            documents: BTreeMap::new(),
            skipped,
            last: Revision::new(0),
            story: Story::default(),
            broken: None,
        })
    }

    /// Has definitions compiled so.
    #[must_use]
    pub fn compiling(mut self, compiler: &Compiler) -> Self {
        self.shard = compiled_by(compiler, self.shard);
        self
    }

    /// Takes the next bundle, by its number in the stream.
    pub fn fold(&mut self, sequence: Sequence, bundle: &Bundle) {
        let sequence = sequence.within(bundle.epoch.incarnation());
        if sequence > self.order.through {
            return;
        }
        for commit in &bundle.commits {
            if let (AggregateId::Definition(key, version), Some(Event::DefinitionAdopted { document })) =
                (&commit.aggregate, commit.events.first())
            {
                self.documents.insert((key.clone(), *version), document.clone());
            }
            if commit.aggregate == self.order.aggregate {
                self.last = self.last.max(commit.revision.after(commit.events.len().saturating_sub(1) as u64));
                self.take(sequence, commit);
            }
        }
    }

    fn take(&mut self, sequence: Sequence, commit: &Commit) {
        for event in &commit.events {
            if let Event::Run(event) = event {
                self.story.follow(event);
            } else if let Event::Released(release) = event {
                // What was released once stands as that says, and what was owed was asked then.
                self.story.follow_release(release);
                let empty = Shard::new(self.shard.id(), self.shard.map.clone());
                self.shard = compiled_by(&self.shard.definitions.compiler, empty);
                (self.effects, self.broken) = (Vec::new(), None);
            }
        }
        match &self.order.by {
            ReleaseBy::End {} => {}
            ReleaseBy::Refold {} | ReleaseBy::Skip { .. } if self.broken.is_some() => {}
            ReleaseBy::Refold {} | ReleaseBy::Skip { .. } => {
                let folded = poison::caught(|| self.refold(sequence, commit)).flatten();
                if let Err(reason) = folded {
                    self.broken = Some(format!("entry {sequence}, revision {}: {reason}", commit.revision));
                }
            }
        }
    }

    fn refold(&mut self, sequence: Sequence, commit: &Commit) -> Result<(), String> {
        if let Some(Event::Released(_)) = commit.events.first() {
            self.adopt_any()?;
            return self.shard.fold_release(commit, &mut Vec::new()).map(drop);
        }
        if commit.events.is_empty() && self.skipped.contains(&commit.revision) {
            return Ok(());
        }
        if let (AggregateId::Run(_), Some(Event::Run(RunEvent::RunStarted { workspace, workflow, version, .. }))) =
            (&commit.aggregate, commit.events.first())
        {
            let key = WorkflowKey { workspace: workspace.clone(), workflow: workflow.clone() };
            self.adopt(&key, *version)?;
        }
        for event in &commit.events {
            if let (Event::Run(RunEvent::RunMigrated { version, .. }), Some(key)) = (event, self.workflow_of_run()) {
                self.adopt(&key, *version)?;
            }
        }
        if commit.events.is_empty() {
            return Err("a commit without events".to_owned());
        }
        let mut reactions = Reactions::default();
        for (revision, events) in self.kept(commit) {
            if events.is_empty() {
                kinds::stand_at(&mut self.shard, &commit.aggregate, revision);
                continue;
            }
            let piece = Commit { revision, events, ..commit.clone() };
            self.shard.fold_commit(&piece, Some(&mut reactions))?;
        }
        if self.order.at.is_some_and(|at| sequence >= at) {
            self.effects.append(&mut reactions.worked_out(&self.shard.definitions.compiler));
        }
        Ok(())
    }

    /// The stretches of a commit between what is skipped: where each begins, its events; a skipped event as none, at its own
    /// revision.
    fn kept(&self, commit: &Commit) -> Vec<(Revision, Vec<Event>)> {
        let mut pieces: Vec<(Revision, Vec<Event>)> = Vec::new();
        let mut goes_on = false;
        for (at, event) in (0..).zip(&commit.events) {
            let revision = commit.revision.after(at);
            if self.skipped.contains(&revision) {
                pieces.push((revision, Vec::new()));
                goes_on = false;
                continue;
            }
            match pieces.last_mut().filter(|_| goes_on) {
                Some((_, events)) => events.push(event.clone()),
                None => pieces.push((revision, vec![event.clone()])),
            }
            goes_on = true;
        }
        pieces
    }

    fn adopt(&mut self, key: &WorkflowKey, version: DefinitionVersion) -> Result<(), String> {
        if self.shard.definition(key, version).is_some() {
            return Ok(());
        }
        let Some(document) = self.documents.get(&(key.clone(), version)) else {
            return Err(format!("{} was not adopted before", AggregateId::Definition(key.clone(), version)));
        };
        self.shard.definitions.adopt(key.clone(), version, document.clone());
        Ok(())
    }

    fn workflow_of_run(&self) -> Option<WorkflowKey> {
        let Some(RunEvent::RunStarted { workspace, workflow, .. }) = &self.story.start else { return None };
        Some(WorkflowKey { workspace: workspace.clone(), workflow: workflow.clone() })
    }

    /// Adopts the definition that the run was at when its record was made.
    fn adopt_any(&mut self) -> Result<(), String> {
        let (Some(key), Some(version)) = (self.workflow_of_run(), self.story.version) else { return Ok(()) };
        self.adopt(&key, version)
    }

    /// Returns what to release the aggregate with.
    ///
    /// # Errors
    /// Why its history still cannot be folded.
    pub fn finish(mut self) -> Result<Refolded, String> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        let RefoldOrder { aggregate, by, .. } = self.order.clone();
        if let Some(revision) = self.skipped.iter().find(|revision| **revision > self.last) {
            return Err(format!("it has no event {revision}: the last one is {}", self.last));
        }
        let (record, owed, events) = match &by {
            ReleaseBy::End {} => self.ended(&aggregate),
            ReleaseBy::Refold {} | ReleaseBy::Skip { .. } => {
                let record = kinds::record(&mut self.shard, &aggregate, self.story.is_keyed())?;
                kinds::owed(&self.shard, &aggregate, &mut self.effects);
                (record, self.effects, Vec::new())
            }
        };
        let compiled = self.shard.definitions.kept().into();
        Ok(Refolded { aggregate, release: Release { by, record, owed }, last: self.last, events, compiled })
    }

    /// What such an end says to other runs: to the one that called it, and those that it has called.
    fn said_to_runs(&self, id: RunId, trigger: &Trigger, failure: &RunFailure, first: u64) -> Vec<Effect> {
        let ended = self.story.child_end.clone().unwrap_or_else(|| ChildEnd::Failed { failure: failure.clone() });
        let known = self.story.known_as(id);
        let reason = format!("the run {id} does not wait for it any more");
        let withdraw = |child: &RunId| (*child, ToRun::Withdraw { reason: reason.clone(), keeps: false });
        // Whether it was told of the start already is not known; the first answer counts.
        let told = [ChildEnd::Started {}, ended].into_iter().filter_map(|end| answer_to_caller(known, trigger, end));
        let told = told.filter(|_| !self.story.goes_on);
        let said = told.chain(self.story.children.values().chain(&self.story.successor).map(withdraw));
        let submit = |(index, (run, said)): (u64, (RunId, ToRun))| {
            let command = Command::Run { run, command: said.into() };
            Effect::Submit(Box::new(Submission::following(&AggregateId::Run(id), self.last.next(), index, command)))
        };
        (first..).zip(said).map(submit).collect()
    }

    /// The end of a run that nobody can fold: those who wait for it and those it waits for are told, as at any end.
    fn ended(&self, aggregate: &AggregateId) -> (Record, Vec<Effect>, Vec<Event>) {
        let AggregateId::Run(id) = aggregate else { return (Record::Unknown {}, Vec::new(), Vec::new()) };
        let Some(RunEvent::RunStarted { workspace, workflow, version, input, trigger, keyed, targets, continued }) =
            &self.story.start
        else {
            return (Record::Unknown {}, Vec::new(), Vec::new());
        };
        let failure = RunFailure::new("quarantined", "its history could not be gone on from, and it was ended");
        let end = self.story.ended.clone().unwrap_or_else(|| ProducerEnd::Failed { failure: failure.clone() });
        let mut owed = Vec::new();
        let mut to_asset = |asset: &AssetId, command: AssetCommand| {
            let command =
                Command::Asset { key: AssetKey { workspace: workspace.clone(), asset: asset.clone() }, command };
            let index = owed.len() as u64;
            owed.push(Effect::Submit(Box::new(Submission::following(aggregate, self.last.next(), index, command))));
        };
        for (node, asset) in &self.story.needs {
            to_asset(asset, AssetCommand::ForgetWaiter { waiter: Waiter { run: *id, node: node.clone() } });
        }
        match trigger {
            Trigger::Materialize { asset, .. } if !self.story.goes_on => {
                to_asset(asset, AssetCommand::EndProducer { run: self.story.known_as(*id), end });
            }
            Trigger::Materialize { .. } | Trigger::Manual {} | Trigger::Call(_) => {}
        }
        // Of one that has landed the memo takes no notice.
        for (node, digest) in &self.story.asked {
            let Some(memo) = MemoKey::of(digest) else { continue };
            let asker = Asker { run: *id, node: node.clone() };
            let command = MemoCommand::Land { digest: digest.clone(), asker, output: None, assets: Vec::new() };
            let command = Command::Memo { memo, command };
            let index = owed.len() as u64;
            owed.push(Effect::Submit(Box::new(Submission::following(aggregate, self.last.next(), index, command))));
        }
        owed.extend(self.said_to_runs(*id, trigger, &failure, owed.len() as u64));
        let active = &self.story.active;
        owed.extend(active.iter().map(|node| Effect::CancelTasks {
            workspace: workspace.clone(),
            run: *id,
            node: node.clone(),
        }));
        let cancelled = active.iter().map(|node| RunEvent::NodeCancelled { node: node.clone() });
        let events = match self.story.status {
            Some(_) => Vec::new(),
            None => cancelled.chain([RunEvent::RunFailed { failure }]).map(Event::Run).collect(),
        };
        let status = self.story.status.unwrap_or(RunStatus::Failed);
        let start_hash = start_hash(workflow, input, targets, continued.as_deref());
        let record = Record::Ended { status, version: *version, start_hash, keyed: *keyed };
        (record, owed, events)
    }
}
