//! Aggregates whose history cannot be gone on from: set aside as a fact of the journal, with what is asked of them meanwhile,
//! until somebody releases them (ADR 17, `SHD-8`).

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::kinds::{self, holder_of, worker_bytes};
use super::state::Shard;
use super::{AggregateId, Command, Decided, Effect, Record, Rejection, Submission, WorkflowKey};
use crate::run::RunCommand;
use crate::{CommandId, DefinitionVersion, Revision, RunId, Sequence};

/// Why an aggregate is quarantined, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    pub reason: String,
    /// The first entry of the journal with a commit of it that is not folded. Absent: its history is right, and a command
    /// that the shard gives to itself made deciding panic, or its document, a definition's, does not compile any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Sequence>,
    /// The revision of the last event that the journal holds of it.
    pub last: Revision,
    /// The entry that says so. Absent: it is not journaled yet, or this is that entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Sequence>,
}

/// What a bundle says of quarantine. Who ignores it would fold what is not to be folded, and forget what was asked: a bundle
/// with any needs format 3.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aside {
    /// From here on nothing of these is folded but a [`Release`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<(AggregateId, Quarantine)>,
    /// What was asked of quarantined aggregates and is decided after their release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<(AggregateId, Submission)>,
    /// What had been parked and is decided with this bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_up: Vec<TakenUp>,
}

impl Aside {
    /// Returns whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.quarantined.is_empty() && self.parked.is_empty() && self.taken_up.is_empty()
    }
}

/// That a parked wish was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenUp {
    pub id: CommandId,
    /// What follows because it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Submission>,
}

/// How an aggregate leaves quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ReleaseBy {
    /// Its history is folded anew by the release that runs now.
    Refold {},
    /// The same without the events of these revisions, 1 to 64.
    Skip { revisions: Vec<Revision> },
    /// A run ends, failed with the code `quarantined`. Nothing else ends.
    End {},
}

/// The fact that an aggregate left quarantine, with all that folding on takes: what came before is not looked at again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    pub by: ReleaseBy,
    pub record: Record,
    /// What may not have been delivered of its commits that nobody folded, and what it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Effect>,
}

/// How many reports and returns of workers are parked for one aggregate; of other wishes each comes once. Whoever comes after
/// them is refused, and the attempt is lost when its time is over.
const REPORTS_PARKED_MAX: usize = 256;
/// How many bytes of results these may have together.
const REPORTED_BYTES_MAX: usize = 16 << 20;
/// How much of a panic's words are kept.
const REASON_BYTES_MAX: usize = 2_000;

/// What is asked of one quarantined aggregate, in order.
pub(super) type Parked = VecDeque<Submission>;

/// Aggregates whose history breaks the rules, and what was asked of them.
#[derive(Debug, Default)]
pub(super) struct Quarantined {
    pub(super) by_id: FxHashMap<AggregateId, Quarantine>,
    /// Of those that were released a moment ago too, in order.
    pub(super) parked: BTreeMap<AggregateId, Parked>,
}

impl Quarantined {
    /// Returns whether nothing is set aside and nobody waits.
    fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.parked.is_empty()
    }
}

/// Returns the next wish that need not wait for a release any longer.
pub fn next_released(shard: &Shard) -> Option<&Submission> {
    let Quarantined { by_id, parked } = &shard.quarantined;
    parked.iter().find(|(aggregate, _)| !by_id.contains_key(aggregate))?.1.front()
}

impl Shard {
    /// Returns the aggregates that are quarantined, and why.
    pub fn quarantined(&self) -> impl ExactSizeIterator<Item = (&AggregateId, &Quarantine)> {
        self.quarantined.by_id.iter()
    }

    /// Returns why an aggregate is quarantined, if it is.
    pub fn quarantine(&self, aggregate: &AggregateId) -> Option<&Quarantine> {
        self.quarantined.by_id.get(aggregate)
    }

    /// Returns whether a command was granted, as long as that is remembered.
    pub fn has_granted(&self, id: CommandId) -> bool {
        self.memory.granted(id).is_some()
    }

    /// Returns whether a run is quarantined: what it was is not known here.
    pub fn is_quarantined(&self, run: RunId) -> bool {
        !self.quarantined.by_id.is_empty() && self.quarantined.by_id.contains_key(&AggregateId::Run(run))
    }

    /// Returns whether a definition version is.
    pub fn is_definition_quarantined(&self, key: &WorkflowKey, version: DefinitionVersion) -> bool {
        !self.quarantined.by_id.is_empty()
            && self.quarantined.by_id.contains_key(&AggregateId::Definition(key.clone(), version))
            && self.definition(key, version).is_none()
    }

    /// Returns how many wishes wait for the release of an aggregate.
    pub fn parked_for(&self, aggregate: &AggregateId) -> usize {
        self.quarantined.parked.get(aggregate).map_or(0, VecDeque::len)
    }

    /// Quarantines an aggregate. It goes with everything it has due and waits for.
    pub(super) fn set_aside(&mut self, aggregate: &AggregateId, mut quarantine: Quarantine) {
        quarantine.reason.truncate(quarantine.reason.floor_char_boundary(REASON_BYTES_MAX));
        quarantine.last = quarantine.last.max(kinds::forget(self, aggregate));
        self.quarantined.by_id.insert(aggregate.clone(), quarantine);
    }

    /// Returns what is quarantined without a bundle that says so.
    pub(super) fn unsaid(&self) -> Vec<AggregateId> {
        let unsaid = self.quarantined.by_id.iter().filter(|(_, quarantine)| quarantine.since.is_none());
        let mut unsaid: Vec<_> = unsaid.map(|(aggregate, _)| aggregate.clone()).collect();
        unsaid.sort_unstable();
        unsaid
    }

    /// Returns these as a bundle says them.
    pub(super) fn quarantine_of(&self, aggregates: Vec<AggregateId>) -> Vec<(AggregateId, Quarantine)> {
        let known = aggregates.into_iter().filter_map(|aggregate| {
            let quarantine = self.quarantined.by_id.get(&aggregate)?.clone();
            Some((aggregate, quarantine))
        });
        known.collect()
    }

    /// Notes that a bundle which says so is durable.
    pub(super) fn quarantined_since(&mut self, sequence: Sequence, aside: &Aside) {
        for (aggregate, _) in &aside.quarantined {
            if let Some(quarantine) = self.quarantined.by_id.get_mut(aggregate) {
                quarantine.since = Some(sequence);
            }
        }
    }

    /// Returns the quarantined aggregate that a command has to wait for.
    fn awaited_by(&self, command: &Command) -> Option<AggregateId> {
        if self.quarantined.by_id.is_empty() {
            return None;
        }
        let target = command.target();
        if self.quarantined.by_id.contains_key(&target) {
            return Some(target);
        }
        let Command::Run { run, command: RunCommand::StartRun(start) } = command else { return None };
        let holder = holder_of(self, *run, start);
        if self.is_quarantined(holder) {
            return Some(AggregateId::Run(holder));
        }
        let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
        let waits = self.is_definition_quarantined(&key, start.version);
        waits.then_some(AggregateId::Definition(key, start.version))
    }

    /// Parks a command that has to wait for a release. `None`: it has not.
    pub(super) fn park(&mut self, submission: &Submission) -> Option<Result<Decided, Rejection>> {
        if self.quarantined.is_empty() {
            return None;
        }
        let awaited = self.awaited_by(&submission.command);
        let is_kept = submission.command.is_kept();
        // Behind what waits already, so that the order stays.
        let behind = || {
            Some(submission.command.target()).filter(|target| is_kept && self.quarantined.parked.contains_key(target))
        };
        let aggregate = awaited.clone().or_else(behind)?;
        let waiting = self.quarantined.parked.get(&aggregate);
        if waiting.is_some_and(|waiting| waiting.iter().any(|parked| parked.id == submission.id)) {
            return Some(Ok(Decided::default()));
        }
        let is_one_too_many = worker_bytes(&submission.command).is_some_and(|bytes| {
            let before = || waiting.into_iter().flatten().filter_map(|parked| worker_bytes(&parked.command));
            before().count() >= REPORTS_PARKED_MAX || before().sum::<usize>() + bytes > REPORTED_BYTES_MAX
        });
        if !is_kept || is_one_too_many {
            let reason = self.quarantined.by_id.get(&aggregate).map(|quarantine| quarantine.reason.clone());
            return Some(Err(Rejection::Quarantined { reason: reason.unwrap_or_default() }));
        }
        let kept = Submission { from: None, ..submission.clone() };
        self.quarantined.parked.entry(aggregate.clone()).or_default().push_back(kept.clone());
        Some(Ok(Decided { parked: Some(Box::new((aggregate, kept))), ..Decided::default() }))
    }

    /// Takes out what [`next_released`] returns.
    pub(super) fn take_released(&mut self) -> Option<Submission> {
        let aggregate =
            self.quarantined.parked.keys().find(|aggregate| !self.quarantined.by_id.contains_key(aggregate))?.clone();
        let waiting = self.quarantined.parked.get_mut(&aggregate)?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.quarantined.parked.remove(&aggregate);
        }
        next
    }

    /// Folds what a bundle says before its commits.
    pub(super) fn fold_aside(&mut self, sequence: Sequence, aside: &Aside) {
        for (aggregate, quarantine) in &aside.quarantined {
            self.set_aside(aggregate, Quarantine { since: Some(sequence), ..quarantine.clone() });
        }
        for (aggregate, submission) in &aside.parked {
            self.quarantined.parked.entry(aggregate.clone()).or_default().push_back(submission.clone());
        }
    }

    /// Folds what a bundle says of wishes that are decided with it; appends what follows from their refusals.
    pub(super) fn fold_taken_up(&mut self, aside: &Aside, mut effects: Option<&mut Vec<Effect>>) {
        for TakenUp { id, then } in &aside.taken_up {
            for waiting in self.quarantined.parked.values_mut() {
                waiting.retain(|parked| parked.id != *id);
            }
            if let Some(effects) = effects.as_deref_mut() {
                effects.extend(then.clone().map(|then| Effect::Submit(Box::new(then))));
            }
        }
        self.quarantined.parked.retain(|_, waiting| !waiting.is_empty());
    }
}
