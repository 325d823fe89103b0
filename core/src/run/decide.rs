//! What may happen when a command comes.
//!
//! A decision evolves the run as it goes and returns the events it emitted: folding them from before gives the
//! same state (`RUN-2`). A refusal leaves the run untouched, so every refusal stands before the first event.

use std::sync::Arc;

use super::budget::{Budget, Later, Turn};
use super::command::{RunCommand, RunRejection};
use super::compensation;
use super::decision::Decision;
use super::describe;
use super::grace;
use super::migration;
use super::operate::operate;
use super::recall;
use super::state::{Run, Timer, check_targets};
use super::step::{Step, answer_call, answer_memo, call_back, hear, minds_memo, shortened};
use super::succession;
use super::{Ending, RunEvent, RunFailure, RunStatus};
use crate::credit::Hands;
use crate::definition::Definition;
use crate::dialogue::{INPUT_BYTES_MAX, MemoAnswer, StartRun};
use crate::expr::Work;
use crate::{Attempt, Json, LeaseToken, NodeAddress, QueueName, RunId, ShardId, Timestamp, WorkspaceId};

/// What a decision stands on besides the state.
pub struct Ground<'a> {
    /// The shard's clock: never earlier than any commit before.
    pub now: Timestamp,
    /// The workers that can take what becomes ready, and the secret that leases are made from.
    pub hands: &'a mut Hands,
    /// Whether attempts of other runs wait for the queue: then what becomes ready waits behind them.
    pub is_contended: &'a dyn Fn(&WorkspaceId, &QueueName) -> bool,
    /// Where a run that is called goes, by a number.
    pub shard_for: &'a dyn Fn(u64) -> ShardId,
    /// What the decision may take.
    pub budget: Budget,
    /// How much it did, refused or not, in units of work: what was evaluated, and what its facts cost. To be read off
    /// afterwards.
    pub spent: u64,
}

/// Starts a run.
///
/// # Errors
/// [`RunRejection::InputInvalid`] when the input, with the defaults filled in, breaks the definition's schema;
/// [`RunRejection::TargetInvalid`] and [`RunRejection::DescriptionInvalid`] when what it says beside cannot be.
pub fn start(
    id: RunId,
    definition: &Arc<Definition>,
    command: StartRun,
    ground: &mut Ground<'_>,
) -> Result<(Run, Vec<RunEvent>), RunRejection> {
    let StartRun { workspace, workflow, version, input, trigger, keyed, wishes } = command;
    let targets = wishes.as_ref().map(|wishes| wishes.targets.clone()).unwrap_or_default();
    let targets = check_targets(definition, targets).map_err(|message| RunRejection::TargetInvalid { message })?;
    if let Some(wishes) = &wishes {
        let invalid = |message| RunRejection::DescriptionInvalid { message };
        wishes.description.check().map_err(invalid)?;
    }
    let continued = wishes.as_ref().and_then(|wishes| wishes.continued.clone()).map(Box::new);
    recall::check(continued.as_deref()).map_err(|message| RunRejection::RecallInvalid { message })?;
    let turn = Turn::of(ground.budget);
    let input = complete_input_within(&input, definition, turn.work());
    ground.spent = turn.spent();
    let event =
        RunEvent::RunStarted { workspace, workflow, version, input: input?, trigger, keyed, targets, continued };
    let mut run = Run::started(id, Arc::clone(definition), &event, ground.now);
    let mut decision = Decision::begun_with(event, &mut run, definition, ground, turn);
    decision.turn.narrow();
    describe::describe_start(&mut decision, wishes.as_deref());
    decision.settle();
    let (events, spent) = decision.taken();
    ground.spent = spent;
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
    let asker =
        if let RunCommand::CancelRun { workspace, .. } | RunCommand::CancelRunKeeping { workspace, .. } = &command {
            workspace.as_ref()
        } else if let RunCommand::Signal { workspace, .. }
        | RunCommand::Operate { workspace, .. }
        | RunCommand::AnswerPerson { workspace, .. }
        | RunCommand::Recall { workspace, .. }
        | RunCommand::ReassignPerson { workspace, .. } = &command
        {
            Some(workspace)
        } else if let RunCommand::MigrateRun(migration) = &command {
            Some(&migration.workspace)
        } else {
            None
        };
    if asker.is_some_and(|asker| asker != run.workspace()) {
        return Err(RunRejection::RunNotFound);
    }
    if run.status.is_terminal() {
        return refuse_closed(run.status, None, &command);
    }
    // How it ends is certain, and nothing can come between but what is left of that.
    let is_cancel = matches!(command, RunCommand::CancelRun { .. } | RunCommand::CancelRunKeeping { .. });
    let is_last = matches!(&command, RunCommand::Operate { operation, .. } if operation.is_last());
    // Nothing that undoes takes a signal.
    let is_signal = matches!(command, RunCommand::Signal { .. });
    let is_under_way = run.is_at_finally() || (compensation::is_under_way(run) && !is_signal);
    let is_migration = matches!(command, RunCommand::MigrateRun(_));
    let is_open = command == RunCommand::Continue {} || is_last || (is_under_way && !is_cancel && !is_migration);
    let is_open = is_open || succession::hears(run, &command);
    if let Some(ending) = run.ending.as_ref().filter(|_| !is_open) {
        let successor = run.waiting.chain().next().map(|next| next.run);
        return refuse_closed(ending.status(), successor, &command);
    }
    if let RunCommand::MigrateRun(migration) = command {
        return migration::decide(run, migration, ground);
    }
    let definition = Arc::clone(run.origin.definition());
    let turn = Turn::of(ground.budget);
    let mut decision = Decision::of(run, &definition, ground, turn);
    let has_a_turn = matches!(command, RunCommand::Continue {} | RunCommand::FireTimers {});
    let granted = decision.take(command);
    if let Ok(step) = granted {
        step.expect("the first step of a decision waits for no other");
        // It does of the agenda what it has room for. What changes nothing does nothing of it: asked again when it is
        // forgotten, it would be decided twice (`SHD-3`).
        if has_a_turn || decision.last().is_some() {
            decision.settle();
        }
    }
    let (events, spent) = decision.taken();
    ground.spent = spent;
    granted.map(|_| events)
}

impl<'a> Decision<'a> {
    /// Does what a command asks for, before anything that follows from it.
    fn take(&mut self, command: RunCommand) -> Result<Result<(), Later>, RunRejection> {
        let step = match command {
            // It has a turn of its own, with all there is.
            RunCommand::Continue {} => return Ok(Ok(())),
            // The shard answers a repeated start from what it knows; here it changes nothing. What goes over to another version
            // has decided that before.
            RunCommand::StartRun(_) | RunCommand::MigrateRun(_) => Ok(()),
            RunCommand::Recall { workspace: _, piece, results } => Ok(recall::hear(self, piece, results)?),
            RunCommand::ReportAttempt(report) => {
                self.at_attempt(&report.node, report.attempt, report.lease)?.report(report)
            }
            RunCommand::GrantAttempts { grants } => {
                for grant in grants {
                    if let Some(mut step) = self.at(&grant.node) {
                        step.grant(grant);
                    }
                }
                Ok(())
            }
            RunCommand::ReturnAttempt { node, attempt, lease } => self.at_attempt(&node, attempt, lease)?.take_back(),
            RunCommand::StartAttempt { node, attempt, lease, worker, started_at } => {
                self.at_attempt(&node, attempt, lease)?.see_started(worker, started_at);
                Ok(())
            }
            RunCommand::LoseAttempt { node, attempt, lease } => self.at_attempt(&node, attempt, lease)?.lose(),
            RunCommand::CancelRun { reason, grace_ms, .. } => grace::cancel(self, shortened(reason), false, grace_ms),
            RunCommand::CancelRunKeeping { reason, grace_ms, .. } => {
                grace::cancel(self, shortened(reason), true, grace_ms)
            }
            said @ (RunCommand::Signal { .. }
            | RunCommand::AnswerPerson { .. }
            | RunCommand::ReassignPerson { .. }
            | RunCommand::InheritSignal(_)
            | RunCommand::HearSuccessor { .. }) => Ok(hear(self, said)?),
            RunCommand::CallBack { node, attempt, proof, said } => call_back(self, (node, attempt, proof), said)?,
            RunCommand::Operate { workspace: _, id, operation, reason } => Ok(operate(self, id, operation, reason)?),
            RunCommand::FireTimers {} => {
                fire_timers(self);
                Ok(())
            }
            RunCommand::ResolveAsset { node, asset, chosen } => {
                self.at(&node).map_or(Ok(()), |mut step| step.take_asset(asset, chosen))
            }
            RunCommand::RefuseAsset { node, asset, failure } => {
                self.at(&node).map_or(Ok(()), |mut step| step.miss_asset(&asset, failure))
            }
            RunCommand::AnswerCall { node, attempt, answer } => {
                self.at(&node).map_or(Ok(()), |mut step| answer_call(&mut step, attempt, answer))
            }
            RunCommand::AnswerMemo { node, digest, answer } => {
                let is_to_fly = answer == MemoAnswer::Fly {};
                match self.at(&node) {
                    Some(mut step) if !is_to_fly || minds_memo(&step, &digest) => {
                        answer_memo(&mut step, &digest, answer)
                    }
                    // Somebody else is to do it: what it is told stands for nothing any more.
                    Some(_) | None if is_to_fly => return Err(RunRejection::StaleAttempt),
                    Some(_) | None => Ok(()),
                }
            }
            RunCommand::WithdrawRun { reason, keeps } => {
                self.end(Ending::Cancelled { reason: shortened(reason), keeps });
                Ok(())
            }
            RunCommand::AcknowledgeAsset { node, asset, partition, version } => {
                let node = migration::address_now(self.run(), &node).unwrap_or(node);
                if self.run().awaits_record(&node, &asset, &partition) {
                    self.emit(RunEvent::AssetRecorded { node, asset, partition, version });
                }
                Ok(())
            }
        };
        self.turn.narrow();
        Ok(step)
    }

    /// Finds a node.
    fn at<'s>(&'s mut self, node: &NodeAddress) -> Option<Step<'s, 'a>> {
        let place = self.run().find(node).filter(|place| self.run().goes_on(*place));
        place.map(|place| Step::at(self, place))
    }

    /// Finds the node whose current attempt this is (`RUN-3`).
    fn at_attempt<'s>(
        &'s mut self,
        node: &NodeAddress,
        attempt: Attempt,
        lease: LeaseToken,
    ) -> Result<Step<'s, 'a>, RunRejection> {
        let place = self.run().find(node).ok_or(RunRejection::StaleAttempt)?;
        match self.run().current(place) {
            Some(current) if current.attempt == attempt && current.lease == lease => Ok(Step::at(self, place)),
            Some(_) | None => Err(RunRejection::StaleAttempt),
        }
    }
}

/// Does what is due, as far as there is room. What is still due stays due: the next decision goes on.
fn fire_timers(decision: &mut Decision<'_>) {
    let now = decision.now();
    while let Some((_, timer)) = decision.run().timers.first().copied().filter(|(due, _)| *due <= now) {
        if !decision.turn.may_begin() {
            return;
        }
        let step = match timer {
            Timer::Node(due, place) => Step::at(decision, place).wake(due),
            Timer::Recall => {
                decision.fail(recall::overdue());
                Ok(())
            }
            Timer::Stop => grace::stop(decision),
            Timer::RunTimeout => {
                decision.fail(RunFailure::new("run_timeout", "the run took too long"));
                Ok(())
            }
        };
        if step.is_err() {
            return;
        }
        decision.turn.narrow();
        decision.settle();
        if decision.run().has_agenda() {
            return;
        }
    }
}

/// A run that has ended refuses, except what can only be late news.
fn refuse_closed(
    status: RunStatus,
    successor: Option<RunId>,
    command: &RunCommand,
) -> Result<Vec<RunEvent>, RunRejection> {
    match command {
        RunCommand::StartRun(_)
        | RunCommand::GrantAttempts { .. }
        | RunCommand::FireTimers {}
        | RunCommand::Continue {}
        | RunCommand::ResolveAsset { .. }
        | RunCommand::RefuseAsset { .. }
        | RunCommand::AcknowledgeAsset { .. }
        | RunCommand::AnswerCall { .. }
        | RunCommand::InheritSignal(_)
        | RunCommand::HearSuccessor { .. }
        | RunCommand::AnswerMemo { answer: MemoAnswer::Hit { .. }, .. }
        | RunCommand::WithdrawRun { .. } => Ok(Vec::new()),
        RunCommand::CallBack { .. } => Err(RunRejection::CallbackClosed),
        RunCommand::AnswerPerson { .. } | RunCommand::ReassignPerson { .. } => Err(RunRejection::TaskClosed),
        RunCommand::ReportAttempt(_)
        | RunCommand::Recall { .. }
        | RunCommand::ReturnAttempt { .. }
        | RunCommand::StartAttempt { .. }
        | RunCommand::LoseAttempt { .. }
        | RunCommand::AnswerMemo { answer: MemoAnswer::Fly {}, .. }
        | RunCommand::Signal { .. }
        | RunCommand::Operate { .. }
        | RunCommand::MigrateRun(_)
        | RunCommand::CancelRun { .. }
        | RunCommand::CancelRunKeeping { .. } => Err(RunRejection::RunClosed { status, successor }),
    }
}
