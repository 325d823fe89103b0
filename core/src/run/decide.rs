//! What may happen when a command comes.
//!
//! A decision evolves the run as it goes and returns the events it emitted: folding them from before gives the
//! same state (`RUN-2`). A refusal leaves the run untouched, so every refusal stands before the first event.

use std::sync::Arc;

use super::budget::{Budget, Later, Standing};
use super::command::{Report, ReportOutcome, RunCommand, RunRejection};
use super::evolve::evolve;
use super::legal;
use super::produce;
use super::state::{Phase, Place, Run, Timer};
use super::{Ending, RunEvent, RunFailure, RunStatus};
use crate::credit::Hands;
use crate::definition::Definition;
use crate::dialogue::{INPUT_BYTES_MAX, StartRun};
use crate::expr::{ConsumedAsset, Work};
use crate::{AssetId, Attempt, Json, LeaseToken, NodeAddress, QueueName, RunId, Timestamp, WorkspaceId};

/// How many bytes of a worker's or a caller's words are kept.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
const CODE_CHARS_MAX: usize = 200;
/// What a fact costs whoever waits meanwhile, in units of work, and how many of its bytes are a unit more: to be folded,
/// written and reacted to.
const FACT_WORK: u64 = 100;
const FACT_BYTES_PER_UNIT: u64 = 16;

/// What a decision stands on besides the state.
pub struct Ground<'a> {
    /// The shard's clock: never earlier than any commit before.
    pub now: Timestamp,
    /// The workers that can take what becomes ready, and the secret that leases are made from.
    pub hands: &'a mut Hands,
    /// Whether attempts of other runs wait for the queue: then what becomes ready waits behind them.
    pub is_contended: &'a dyn Fn(&WorkspaceId, &QueueName) -> bool,
    /// What the decision may take.
    pub budget: Budget,
    /// How much it did, refused or not, in units of work: what was evaluated, and what its facts cost. To be read off
    /// afterwards.
    pub spent: u64,
}

/// A decision under way: the run as it already is, and the events that made it so.
pub(super) struct Decision<'r, 'g, 'h> {
    pub run: &'r mut Run,
    pub ground: &'g mut Ground<'h>,
    pub events: Vec<RunEvent>,
    /// Of the events, about.
    pub bytes: usize,
    pub budget: Budget,
    /// What everything evaluated here may still do. A step that it does not suffice for waits for the next decision; one that
    /// a whole decision does not suffice for fails its node (`decision_limit`).
    pub work: Work,
    pub standing: Standing,
    /// Whether others wait for their turn, so that little of the agenda is done now.
    pub is_narrow: bool,
}

impl<'r, 'g, 'h> Decision<'r, 'g, 'h> {
    fn of(run: &'r mut Run, ground: &'g mut Ground<'h>, work: Work) -> Self {
        let budget = ground.budget;
        Self { run, ground, events: Vec::new(), bytes: 0, budget, work, standing: Standing::Fresh, is_narrow: false }
    }

    /// Takes a fact down; whether one of any size fits, [`Self::check_room`] has said before.
    /// After the end there are no facts (`RUN-1`): what the decision goes on to say is dropped.
    pub fn emit(&mut self, event: RunEvent) {
        if self.run.status.is_terminal() {
            return;
        }
        debug_assert_eq!(legal::check(self.run, &event), Ok(()));
        self.bytes += event.weight_bytes();
        evolve(self.run, &event, self.ground.now);
        self.events.push(event);
    }

    pub fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.run.definition)
    }
}

/// Starts a run.
///
/// # Errors
/// [`RunRejection::InputInvalid`] when the input, with the defaults filled in, breaks the definition's schema.
pub fn start(
    id: RunId,
    definition: &Arc<Definition>,
    command: StartRun,
    ground: &mut Ground<'_>,
) -> Result<(Run, Vec<RunEvent>), RunRejection> {
    let StartRun { workspace, workflow, version, input, trigger, keyed } = command;
    let work = Work::of(ground.budget.work);
    let input = complete_input_within(&input, definition, &work);
    ground.spent = work.spent();
    let input = input?;
    let event = RunEvent::RunStarted { workspace, workflow, version, input, trigger, keyed };
    let mut run = Run::started(id, Arc::clone(definition), &event, ground.now);
    let mut decision = Decision::of(&mut run, ground, work);
    decision.bytes = event.weight_bytes();
    decision.events.push(event);
    decision.narrow();
    let events = decision.settled();
    Ok((run, events))
}

/// Fills in the defaults and checks the schema.
pub(crate) fn complete_input_within(input: &Json, definition: &Definition, work: &Work) -> Result<Json, RunRejection> {
    let invalid = |message: String| RunRejection::InputInvalid { message };
    if !input.as_str().trim_start().starts_with('{') {
        return Err(invalid("the input must be a JSON object".to_owned()));
    }
    let complete = if definition.defaults.as_str() == "{}" {
        input.clone()
    } else {
        let mut merged = definition.defaults.to_value();
        if let (Some(merged), serde_json::Value::Object(given)) = (merged.as_object_mut(), input.to_value()) {
            merged.extend(given);
        }
        Json::of(&merged)
    };
    if complete.len_bytes() > INPUT_BYTES_MAX {
        return Err(invalid(format!("it has more than {INPUT_BYTES_MAX} bytes")));
    }
    if let Some(schema) = &definition.input_schema {
        schema.check_within(&complete, work).map_err(|breach| invalid(breach.to_string()))?;
    }
    Ok(complete)
}

/// Decides a command for a run that exists. No events: the command changes nothing (any more), which is no refusal.
///
/// # Errors
/// The fact in the way; the run is as it was.
pub fn decide(run: &mut Run, command: RunCommand, ground: &mut Ground<'_>) -> Result<Vec<RunEvent>, RunRejection> {
    if let RunCommand::CancelRun { workspace: Some(asker), .. } = &command
        && *asker != run.workspace
    {
        return Err(RunRejection::RunNotFound);
    }
    if run.status.is_terminal() {
        return refuse_closed(run.status, &command);
    }
    // How it ends is certain, and nothing can come between but what is left of that.
    if let Some(ending) = run.ending.as_ref().filter(|_| command != RunCommand::Continue {}) {
        return refuse_closed(ending.status(), &command);
    }
    let work = Work::of(ground.budget.work);
    let mut decision = Decision::of(run, ground, work);
    match decision.take(command) {
        Ok(step) => step.expect("the first step of a decision waits for no other"),
        Err(rejection) => {
            decision.ground.spent = decision.work.spent();
            return Err(rejection);
        }
    }
    Ok(decision.settled())
}

impl Decision<'_, '_, '_> {
    /// Does what a command asks for, before anything that follows from it.
    fn take(&mut self, command: RunCommand) -> Result<Result<(), Later>, RunRejection> {
        let step = match command {
            // It has a turn of its own, with all there is.
            RunCommand::Continue {} => return Ok(Ok(())),
            // The shard answers a repeated start from what it knows; here it changes nothing.
            RunCommand::StartRun(_) => Ok(()),
            RunCommand::ReportAttempt(report) => self.report(report)?,
            RunCommand::GrantAttempts { grants } => {
                grants.into_iter().for_each(|grant| self.grant(grant));
                Ok(())
            }
            RunCommand::ReturnAttempt { node, attempt, lease } => {
                let place = self.current_of(&node, attempt, lease)?;
                self.take_back(place)
            }
            RunCommand::StartAttempt { node, attempt, lease, worker, started_at } => {
                let place = self.current_of(&node, attempt, lease)?;
                if self.run.current(place).is_some_and(|current| !current.is_started()) {
                    let started_at = started_at.min(self.ground.now);
                    self.emit(RunEvent::AttemptStarted { node, attempt, worker, started_at });
                }
                Ok(())
            }
            RunCommand::LoseAttempt { node, attempt, lease } => {
                let place = self.current_of(&node, attempt, lease)?;
                let failure = RunFailure::new("worker_lost", "the worker that held the attempt fell silent");
                self.fail_attempt(place, failure, false, None)
            }
            RunCommand::CancelRun { workspace: _, reason } => {
                self.end(Ending::Cancelled { reason: shortened(reason) });
                Ok(())
            }
            RunCommand::FireTimers {} => {
                self.fire_timers();
                Ok(())
            }
            RunCommand::ResolveAsset { node, asset, chosen } => self.resolve_asset(node, asset, chosen),
            RunCommand::RefuseAsset { node, asset, failure } => match self.awaiting(&node, &asset) {
                Some(place) => self.fail_node(place, failure.at(&node, None)),
                None => Ok(()),
            },
            RunCommand::AcknowledgeAsset { node, asset, partition, version } => {
                if self.run.awaits_record(&node, &asset, &partition) {
                    self.emit(RunEvent::AssetRecorded { node, asset, partition, version });
                }
                Ok(())
            }
        };
        self.narrow();
        Ok(step)
    }

    /// Does of the agenda what this decision has room for, and returns the facts.
    fn settled(mut self) -> Vec<RunEvent> {
        self.settle();
        let facts = FACT_WORK * self.events.len() as u64 + self.bytes as u64 / FACT_BYTES_PER_UNIT;
        self.ground.spent = self.work.spent() + facts;
        self.events
    }
}

/// Cuts words from outside, and leaves out what the database cannot keep.
fn shortened(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(MESSAGE_BYTES_MAX));
    if words.contains('\0') { words.replace('\0', "") } else { words }
}

/// A run that has ended refuses, except what can only be late news.
fn refuse_closed(status: RunStatus, command: &RunCommand) -> Result<Vec<RunEvent>, RunRejection> {
    match command {
        RunCommand::StartRun(_)
        | RunCommand::GrantAttempts { .. }
        | RunCommand::FireTimers {}
        | RunCommand::Continue {}
        | RunCommand::ResolveAsset { .. }
        | RunCommand::RefuseAsset { .. }
        | RunCommand::AcknowledgeAsset { .. } => Ok(Vec::new()),
        RunCommand::ReportAttempt(_)
        | RunCommand::ReturnAttempt { .. }
        | RunCommand::StartAttempt { .. }
        | RunCommand::LoseAttempt { .. }
        | RunCommand::CancelRun { .. } => Err(RunRejection::RunClosed { status }),
    }
}

impl Decision<'_, '_, '_> {
    /// Finds the node whose current attempt this is (`RUN-3`).
    fn current_of(&self, node: &NodeAddress, attempt: Attempt, lease: LeaseToken) -> Result<Place, RunRejection> {
        let place = self.run.find(node).ok_or(RunRejection::StaleAttempt)?;
        match self.run.current(place) {
            Some(current) if current.attempt == attempt && current.lease == lease => Ok(place),
            Some(_) | None => Err(RunRejection::StaleAttempt),
        }
    }

    fn report(&mut self, report: Report) -> Result<Result<(), Later>, RunRejection> {
        let place = self.current_of(&report.node, report.attempt, report.lease)?;
        // By the worker's clock, which may be ahead: no attempt begins after it was reported.
        let seen = Some((report.worker, report.started_at.min(self.ground.now)));
        Ok(match report.outcome {
            ReportOutcome::Succeeded { output, assets } => {
                let fits = produce::check_size(&output, &assets);
                let assets = match fits.and_then(|()| produce::check_times(assets, self.ground.now)) {
                    Ok(assets) => assets,
                    Err(failure) => return Ok(self.fail_attempt(place, failure, true, seen)),
                };
                let definition = self.definition();
                match produce::check(definition.node(place.node), assets, &self.work) {
                    Ok(assets) => self.succeed_node(place, report.attempt, output, assets, seen),
                    Err(failure) => self.fail_attempt(place, failure, false, seen),
                }
            }
            ReportOutcome::Failed { code, message, permanent } => {
                let code: String = code.chars().filter(|c| *c != '\0').take(CODE_CHARS_MAX).collect();
                let failure = RunFailure::new(&code, shortened(message));
                self.fail_attempt(place, failure, permanent, seen)
            }
        })
    }

    /// Finds a node that still waits for that asset.
    fn awaiting(&self, node: &NodeAddress, asset: &AssetId) -> Option<Place> {
        let place = self.run.find(node)?;
        match &self.run.node(place).phase {
            Phase::AwaitingAssets { missing } if missing.iter().any(|need| need.asset == *asset) => Some(place),
            Phase::AwaitingAssets { .. }
            | Phase::Pending
            | Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => None,
        }
    }

    fn resolve_asset(&mut self, node: NodeAddress, asset: AssetId, chosen: Option<ConsumedAsset>) -> Result<(), Later> {
        let Some(place) = self.awaiting(&node, &asset) else { return Ok(()) };
        let event = RunEvent::AssetResolved { node: node.clone(), asset, chosen };
        if !self.check_room(event.weight_bytes())? {
            let failure = self.too_large(event.weight_bytes()).at(&node, None);
            return self.fail_node(place, failure);
        }
        self.emit(event);
        Ok(())
    }

    /// Does what is due, as far as there is room. What is still due stays due: the next decision goes on.
    fn fire_timers(&mut self) {
        let now = self.ground.now;
        while let Some((_, timer)) = self.run.timers.first().copied().filter(|(due, _)| *due <= now) {
            if !self.may_begin() {
                return;
            }
            let step = match timer {
                Timer::AttemptTimeout(place) => {
                    self.fail_attempt(place, RunFailure::new("timeout", "the attempt took too long"), false, None)
                }
                Timer::Retry(place) => self.schedule_again(place),
                Timer::Wake(place) => {
                    let attempt = self.run.current(place).map_or(Attempt::FIRST, |current| current.attempt);
                    self.succeed_node(place, attempt, Json::null(), Vec::new(), None)
                }
                Timer::RunTimeout => {
                    self.fail_run(RunFailure::new("run_timeout", "the run took too long"));
                    Ok(())
                }
            };
            if step.is_err() {
                return;
            }
            self.narrow();
            self.settle();
            if self.run.has_agenda() {
                return;
            }
        }
    }
}
