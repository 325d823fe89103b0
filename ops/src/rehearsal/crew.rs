//! Whoever stands in for the workers: takes tasks, runs mocks, and says what came of it, or fails to.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::NodeAddress;
use headwater_core::task::{Task, Work};
use serde::Serialize;
use serde_json::Value;

use super::chance::Chance;
use super::script::{Answer, Case, Faults, Mock};

/// How long a shard waits for a worker that is silent, as where nobody has set it otherwise.
pub const LEASE: Duration = Duration::from_secs(15);
/// After how long a worker says that an attempt runs.
const STARTED_AFTER: Duration = Duration::from_millis(250);
/// After how long a report that was not answered is said again.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What a shard hears of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    Started,
    Reported(Value),
    /// Nothing, for as long as a lease lasts.
    Silence,
}

/// What is heard of one attempt, each so long after it was begun.
pub type Words = Vec<(Duration, Word)>;

/// A fault as it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub node: String,
    pub attempt: u32,
    pub fault: &'static str,
}

/// One time that a handler had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Occurrence {
    pub attempt: u32,
    /// Why it was not the last: what became of the report.
    pub fault: Option<&'static str>,
}

/// What an effect was made of more often than the mock allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repetition {
    pub node: String,
    pub workflow: String,
    pub idempotency_key: String,
    pub allowed: u32,
    pub occurrences: Vec<Occurrence>,
}

#[derive(Debug)]
struct Effects {
    node: NodeAddress,
    workflow: String,
    allowed: Option<u32>,
    occurrences: Vec<Occurrence>,
}

/// The workers of a case.
#[derive(Debug)]
pub struct Crew<'c> {
    case: &'c Case,
    /// By idempotency key.
    effects: BTreeMap<String, Effects>,
    /// By idempotency key.
    losses: BTreeMap<String, u32>,
    faults: Vec<Fault>,
}

/// Says that a case does not say what a handler answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingMock(pub String);

impl<'c> Crew<'c> {
    /// Gathers the workers of a case, which have done nothing so far.
    pub fn of(case: &'c Case) -> Self {
        Self { case, effects: BTreeMap::new(), losses: BTreeMap::new(), faults: Vec::new() }
    }

    /// Takes a task of a node, which happens for the item at a position, and runs its mock.
    ///
    /// # Errors
    /// There is no mock for it.
    pub fn take(&mut self, task: &Task, item: Option<u32>) -> Result<Words, MissingMock> {
        let job = if let Work::Job(job) = &task.work { Some(job.as_str()) } else { None };
        let mock = self.case.mocks.find(task.workflow.as_str(), &task.node, job);
        let answer = mock.and_then(|mock| mock.of_item(item).answer(task.attempt.get()));
        let (Some(mock), Some(answer)) = (mock, answer) else { return Err(missing(task, item)) };
        let fault = self.case.faults.and_then(|faults| self.fault(&faults, task));
        if fault != Some(Kind::Before) && answer.has_effect() {
            self.executed(task, mock, fault);
        }
        Ok(self.words(task, answer, fault))
    }

    fn executed(&mut self, task: &Task, mock: &Mock, fault: Option<Kind>) {
        let effects = self.effects.entry(task.idempotency_key()).or_insert_with(|| Effects {
            node: task.node.clone(),
            workflow: task.workflow.to_string(),
            allowed: mock.effects,
            occurrences: Vec::new(),
        });
        effects.occurrences.push(Occurrence { attempt: task.attempt.get(), fault: fault.map(Kind::as_str) });
    }

    /// Chooses what goes wrong with an attempt, if anything does.
    fn fault(&mut self, faults: &Faults, task: &Task) -> Option<Kind> {
        let mut chance = chance(faults.seed, task);
        let shares = [
            (Kind::Before, faults.fail_before),
            (Kind::After, faults.fail_after),
            (Kind::Duplicate, faults.duplicate_deliveries),
            (Kind::Drop, faults.drop),
            (Kind::Delay, faults.delay),
        ];
        let losses = self.losses.entry(task.idempotency_key()).or_default();
        // Each is asked, so that one does not depend on the share of another.
        let chosen = shares.map(|(kind, share)| chance.is_in(share).then_some(kind));
        let kind = chosen.into_iter().flatten().find(|kind| !kind.is_loss() || *losses < faults.losses_max)?;
        *losses += u32::from(kind.is_loss());
        let (node, attempt) = (task.node.to_string(), task.attempt.get());
        self.faults.push(Fault { node, attempt, fault: kind.as_str() });
        Some(kind)
    }

    fn words(&self, task: &Task, answer: &Answer, fault: Option<Kind>) -> Words {
        let started = (answer.delay > STARTED_AFTER).then_some((STARTED_AFTER, Word::Started));
        let report = |after: Duration| (after, Word::Reported(answer.outcome.clone()));
        let (span, is_odd) = match &self.case.faults {
            Some(faults) => {
                let mut chance = chance(!faults.seed, task);
                (chance.span(faults.delay_max), chance.is_in(0.5))
            }
            None => (Duration::ZERO, false),
        };
        let said = match fault {
            None => vec![report(answer.delay)],
            Some(Kind::Before) => return vec![(LEASE, Word::Silence)],
            // It says that it lives until it ends.
            Some(Kind::After) => vec![(answer.delay + LEASE, Word::Silence)],
            Some(Kind::Duplicate) => vec![(LEASE, Word::Silence), report(answer.delay + LEASE + span)],
            // The report is lost, or the answer to it.
            Some(Kind::Drop) if is_odd => vec![report(answer.delay + SAID_AGAIN_AFTER)],
            Some(Kind::Drop) => vec![report(answer.delay), report(answer.delay + SAID_AGAIN_AFTER)],
            Some(Kind::Delay) => vec![report(answer.delay + span)],
        };
        started.into_iter().chain(said).collect()
    }

    /// Returns what went wrong so far, in the order it did.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Returns the effects that happened more often than they may.
    pub fn repetitions(&self) -> Vec<Repetition> {
        let repeated = self.effects.iter().filter_map(|(key, effects)| {
            let allowed = effects.allowed?;
            (effects.occurrences.len() > usize::try_from(allowed).unwrap_or(usize::MAX)).then(|| Repetition {
                node: effects.node.to_string(),
                workflow: effects.workflow.clone(),
                idempotency_key: key.clone(),
                allowed,
                occurrences: effects.occurrences.clone(),
            })
        });
        repeated.collect()
    }
}

/// What can go wrong with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Before,
    After,
    Duplicate,
    Drop,
    Delay,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Before => "failBefore",
            Self::After => "failAfter",
            Self::Duplicate => "duplicateDeliveries",
            Self::Drop => "drop",
            Self::Delay => "delay",
        }
    }

    fn is_loss(self) -> bool {
        match self {
            Self::Before | Self::After | Self::Duplicate => true,
            Self::Drop | Self::Delay => false,
        }
    }
}

/// The same run of the same case has the same ids.
fn chance(seed: u64, task: &Task) -> Chance {
    Chance::of(seed, &[&task.idempotency_key(), &task.attempt.to_string()])
}

fn missing(task: &Task, item: Option<u32>) -> MissingMock {
    let node = task.node.node();
    let item = item.map(|item| format!(" for item {item}")).unwrap_or_default();
    let (what, where_to) = match &task.work {
        Work::Job(job) => (format!("runs the job `{job}`"), format!("mocks.nodes.{node} or mocks.jobs.{job}")),
        Work::BuiltIn(action) => {
            let kind = serde_json::to_value(action).ok();
            let kind = kind.as_ref().and_then(Value::as_str).unwrap_or("an action").to_owned();
            (format!("is `{kind}`, which is not carried out here"), format!("mocks.nodes.{node}"))
        }
    };
    MissingMock(format!(
        "there is no mock for the node `{}` of `{}`{item}: it {what}; say in {where_to} what it answers",
        task.node, task.workflow
    ))
}
