//! What may happen when a command comes.
//!
//! A decision evolves the run as it goes and returns the events it emitted: folding them from before gives the
//! same state (`RUN-2`). A refusal leaves the run untouched, so every refusal stands before the first event.

use std::sync::Arc;

use super::command::{Report, ReportOutcome, RunCommand, RunRejection, StartRun};
use super::evolve::evolve;
use super::produce;
use super::state::{Phase, Run, Timer};
use super::{RunEvent, RunFailure, RunStatus};
use crate::credit::Hands;
use crate::definition::{Definition, NodeIx};
use crate::expr::{ConsumedAsset, Work};
use crate::{AssetId, Attempt, Json, LeaseToken, NodeId, QueueName, RunId, Timestamp, WorkspaceId};

/// How many bytes of facts one decision may make. With the ends of 2,000 nodes beside them and a bundle that is nearly
/// full before them, they fit one message of the broker (8 MiB).
pub const DECISION_BYTES_MAX: usize = 3 << 20;
/// How many bytes a run's input may have, defaults included.
pub const INPUT_BYTES_MAX: usize = 1 << 20;
/// How many bytes of a worker's or a caller's words are kept.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
const CODE_CHARS_MAX: usize = 200;

/// What a decision stands on besides the state.
pub struct Ground<'a> {
    /// The shard's clock: never earlier than any commit before.
    pub now: Timestamp,
    /// The workers that can take what becomes ready, and the secret that leases are made from.
    pub hands: &'a mut Hands,
    /// Whether attempts of other runs wait for the queue: then what becomes ready waits behind them.
    pub is_contended: &'a dyn Fn(&WorkspaceId, &QueueName) -> bool,
}

/// A decision under way: the run as it already is, and the events that made it so.
pub(super) struct Decision<'r, 'g, 'h> {
    pub run: &'r mut Run,
    pub ground: &'g mut Ground<'h>,
    pub events: Vec<RunEvent>,
    /// Nodes that ended and whose transitions have not been followed yet.
    pub ended: Vec<NodeIx>,
    /// Of the events, about.
    pub bytes: usize,
    /// What everything evaluated here may still do. Where it runs out, the node that needs more fails
    /// (`decision_limit`): an agenda that goes on in another decision would ask it in [`Self::settle`] instead.
    pub work: Work,
}

impl Decision<'_, '_, '_> {
    /// Takes a fact down; one that would make the commit too large ends the run instead (`decision_too_large`).
    /// After the end there are no facts (`RUN-1`): what the decision goes on to say is dropped.
    pub fn emit(&mut self, event: RunEvent) {
        if self.run.status.is_terminal() {
            return;
        }
        let bytes = event.weight_bytes();
        if bytes > 0 && self.bytes + bytes > DECISION_BYTES_MAX {
            return self.fail_run(match event.node() {
                Some(node) => too_large().at(node, None),
                None => too_large(),
            });
        }
        self.bytes += bytes;
        evolve(self.run, &event, self.ground.now);
        self.events.push(event);
    }

    pub fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.run.definition)
    }
}

pub(super) fn too_large() -> RunFailure {
    let message = format!("what follows from one step has more than {DECISION_BYTES_MAX} bytes");
    RunFailure::new("decision_too_large", message)
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
    let work = Work::of_a_decision();
    let input = complete_input_within(&input, definition, &work)?;
    let event = RunEvent::RunStarted { workspace, workflow, version, input, trigger, keyed };
    let mut run = Run::started(id, Arc::clone(definition), &event, ground.now);
    let bytes = event.weight_bytes();
    let mut decision = Decision { run: &mut run, ground, events: vec![event], ended: Vec::new(), bytes, work };
    for ix in &definition.starts {
        if decision.run.status.is_terminal() {
            break;
        }
        decision.begin(*ix);
    }
    decision.settle();
    let events = decision.events;
    Ok((run, events))
}

/// Fills in the defaults and checks the schema, as the only thing a decision does.
pub(crate) fn complete_input(input: &Json, definition: &Definition) -> Result<Json, RunRejection> {
    complete_input_within(input, definition, &Work::of_a_decision())
}

fn complete_input_within(input: &Json, definition: &Definition, work: &Work) -> Result<Json, RunRejection> {
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
    let work = Work::of_a_decision();
    let mut decision = Decision { run, ground, events: Vec::new(), ended: Vec::new(), bytes: 0, work };
    match command {
        // The shard answers a repeated start from what it knows; here it changes nothing.
        RunCommand::StartRun(_) => {}
        RunCommand::ReportAttempt(report) => decision.report(report)?,
        RunCommand::GrantAttempts { grants } => grants.into_iter().for_each(|grant| decision.grant(grant)),
        RunCommand::ReturnAttempt { node, attempt, lease } => {
            let ix = decision.current_of(&node, attempt, lease)?;
            decision.take_back(ix);
        }
        RunCommand::StartAttempt { node, attempt, lease, worker, started_at } => {
            let ix = decision.current_of(&node, attempt, lease)?;
            if decision.run.current(ix).is_some_and(|current| !current.started) {
                let started_at = started_at.min(decision.ground.now);
                decision.emit(RunEvent::AttemptStarted { node, attempt, worker, started_at });
            }
        }
        RunCommand::LoseAttempt { node, attempt, lease } => {
            let ix = decision.current_of(&node, attempt, lease)?;
            let failure = RunFailure::new("worker_lost", "the worker that held the attempt fell silent");
            decision.fail_attempt(ix, failure, false, None);
        }
        RunCommand::CancelRun { workspace: _, reason } => {
            decision.cancel_active();
            decision.emit(RunEvent::RunCancelled { reason: shortened(reason) });
        }
        RunCommand::FireTimers {} => decision.fire_timers(),
        RunCommand::ResolveAsset { node, asset, chosen } => decision.resolve_asset(node, asset, chosen),
        RunCommand::RefuseAsset { node, asset, failure } => {
            if let Some(ix) = decision.awaiting(&node, &asset) {
                decision.fail_node(ix, failure.at(&node, None));
            }
        }
        RunCommand::AcknowledgeAsset { node, asset, partition, version } => {
            let waits = |(ix, id, key): &(NodeIx, AssetId, _)| {
                decision.run.definition.node(*ix).id == node && *id == asset && *key == partition
            };
            if decision.run.unrecorded.iter().any(waits) {
                decision.emit(RunEvent::AssetRecorded { node, asset, partition, version });
            }
        }
    }
    decision.settle();
    Ok(decision.events)
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
    fn current_of(&self, node: &NodeId, attempt: Attempt, lease: LeaseToken) -> Result<NodeIx, RunRejection> {
        let ix = self.run.definition.find(node).ok_or(RunRejection::StaleAttempt)?;
        match self.run.current(ix) {
            Some(current) if current.attempt == attempt && current.lease == lease => Ok(ix),
            Some(_) | None => Err(RunRejection::StaleAttempt),
        }
    }

    fn report(&mut self, report: Report) -> Result<(), RunRejection> {
        let ix = self.current_of(&report.node, report.attempt, report.lease)?;
        // By the worker's clock, which may be ahead: no attempt begins after it was reported.
        let seen = Some((report.worker, report.started_at.min(self.ground.now)));
        match report.outcome {
            ReportOutcome::Succeeded { output, assets } => {
                let fits = produce::check_size(&output, &assets);
                let assets = match fits.and_then(|()| produce::check_times(assets, self.ground.now)) {
                    Ok(assets) => assets,
                    Err(failure) => {
                        self.fail_attempt(ix, failure, true, seen);
                        return Ok(());
                    }
                };
                let definition = self.definition();
                match produce::check(definition.node(ix), assets, &self.work) {
                    Ok(assets) => self.succeed_node(ix, report.attempt, output, assets, seen),
                    Err(failure) => self.fail_attempt(ix, failure, false, seen),
                }
            }
            ReportOutcome::Failed { code, message, permanent } => {
                let code: String = code.chars().filter(|c| *c != '\0').take(CODE_CHARS_MAX).collect();
                let failure = RunFailure::new(&code, shortened(message));
                self.fail_attempt(ix, failure, permanent, seen);
            }
        }
        Ok(())
    }

    /// Finds a node that still waits for that asset.
    fn awaiting(&self, node: &NodeId, asset: &AssetId) -> Option<NodeIx> {
        let ix = self.run.definition.find(node)?;
        match &self.run.node(ix).phase {
            Phase::AwaitingAssets { missing } if missing.iter().any(|need| need.asset == *asset) => Some(ix),
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

    fn resolve_asset(&mut self, node: NodeId, asset: AssetId, chosen: Option<ConsumedAsset>) {
        let Some(ix) = self.awaiting(&node, &asset) else { return };
        self.emit(RunEvent::AssetResolved { node, asset, chosen });
        if matches!(&self.run.node(ix).phase, Phase::AwaitingAssets { missing } if missing.is_empty()) {
            self.schedule(ix);
        }
    }

    fn fire_timers(&mut self) {
        let now = self.ground.now;
        while let Some((_, timer)) = self.run.timers.first().copied().filter(|(due, _)| *due <= now) {
            // What is still due stays due: the next decision goes on.
            if self.run.status.is_terminal() || self.bytes > DECISION_BYTES_MAX / 2 || self.work.is_half_spent() {
                return;
            }
            match timer {
                Timer::AttemptTimeout(ix) => {
                    self.fail_attempt(ix, RunFailure::new("timeout", "the attempt took too long"), false, None);
                }
                Timer::Retry(ix) => self.schedule_again(ix),
                Timer::Wake(ix) => {
                    let attempt = self.run.current(ix).map_or(Attempt::FIRST, |current| current.attempt);
                    self.succeed_node(ix, attempt, Json::null(), Vec::new(), None);
                }
                Timer::RunTimeout => self.fail_run(RunFailure::new("run_timeout", "the run took too long")),
            }
            self.settle();
        }
    }
}
