//! What a run's events mean for `workflow_runs` and `traces`; for `branches` see there.

use headwater_core::run::{RunEvent, RunFailure, RunStatus};
use headwater_core::shard::Stored;
use headwater_core::{Attempt, Json, NodeAddress, RunId, Timestamp};

use super::{Changes, CommitHead};
use crate::tables::{RunEnd, RunStart, SettledNode, TraceChange, TraceStatus, Value};

impl Changes {
    /// Folds events, the first of which has this number in its commit; `stored` says where the large values of those are.
    pub(super) fn fold_run(
        &mut self,
        head: CommitHead<'_>,
        run: RunId,
        (first, events): (usize, Vec<RunEvent>),
        stored: Option<&Stored>,
    ) {
        let time = head.time;
        // What the same commit said before about an attempt: its failure, or that an awaited row is there to be filled.
        let mut failed: Vec<(NodeAddress, Attempt)> = Vec::new();
        let mut resolved: Vec<NodeAddress> = Vec::new();
        let mut returned: Vec<NodeAddress> = Vec::new();
        let mut made: Option<Value> = None;
        // Nodes that somebody ends by hand, and why.
        let mut overruled: Vec<(NodeAddress, RunFailure)> = Vec::new();
        for (number, event) in (first..).zip(events) {
            let value = |json| Value::of(stored, number, json);
            match event {
                RunEvent::RunStarted { workspace, workflow, version, input, trigger, keyed: _, targets, continued } => {
                    self.runs.start(
                        run,
                        RunStart {
                            shard: head.shard,
                            workspace,
                            workflow,
                            version,
                            trigger,
                            input: value(input),
                            started_at: time,
                            started_by: head.by.cloned(),
                            targets: (!targets.is_empty()).then(|| Json::of(&targets)),
                            continued: continued.as_deref().map(Json::of),
                        },
                    );
                }
                RunEvent::RunDescribed { description } => self.runs.of(run).described.learn(&description),
                RunEvent::NodeAwaitedAssets { node, needs: _ } => {
                    self.traces.opened(run, &node, Attempt::FIRST.get(), TraceStatus::Waiting);
                }
                RunEvent::AssetResolved { node, .. } => resolved.push(node),
                RunEvent::MemoAsked { node, digest: _, max_age_ms: _, input } => {
                    // It may have waited for assets.
                    let row = self.traces.of(run, &node, Attempt::FIRST.get(), TraceStatus::Waiting);
                    row.input = input.map(value).or(row.input.take());
                }
                RunEvent::MemoCleared { node } => resolved.push(node),
                // What comes of it stands in the next event.
                RunEvent::MemoLeft { .. } | RunEvent::SignalReceived { .. } | RunEvent::SignalTaken { .. } => {}
                // What undoes the node says with what it was given once that happens.
                RunEvent::CompensationKept { .. } | RunEvent::ResultsRecalled { .. } => {}
                // Whoever asks for it reads the event.
                RunEvent::SignalAnswered { .. } => {}
                RunEvent::CallbackAwaited { node, attempt } => {
                    self.traces.of(run, &node, attempt.get(), TraceStatus::Waiting);
                }
                // What he says stands in other events.
                RunEvent::CallbackHeard { .. } | RunEvent::CallbackAnswered { .. } => {}
                RunEvent::PersonAsked { .. }
                | RunEvent::PersonAnswered { .. }
                | RunEvent::PersonReassigned { .. }
                | RunEvent::PersonReminded { .. } => self.fold_people(run, event, time),
                RunEvent::AttemptScheduled {
                    node,
                    attempt,
                    lease: _,
                    input,
                    wakes_at,
                    handed_to,
                    session: _,
                    child,
                    signals,
                } => {
                    let status = match (&wakes_at, &handed_to, &child) {
                        _ if !signals.is_empty() => TraceStatus::Waiting,
                        (Some(_), _, _) => TraceStatus::Waiting,
                        (None, Some(_), _) | (None, None, Some(_)) => TraceStatus::Running,
                        (None, None, None) => TraceStatus::Queued,
                    };
                    // A first attempt makes its row unless the node has waited for assets.
                    let first = attempt == Attempt::FIRST && !resolved.contains(&node) || returned.contains(&node);
                    let row = if first {
                        self.traces.opened(run, &node, attempt.get(), status)
                    } else {
                        self.traces.of(run, &node, attempt.get(), status)
                    };
                    row.scheduled_at = Some(time);
                    // Absent: the run's input, which is read from the run.
                    row.input = input.map(value).or(row.input.take());
                    row.wakes_at = wakes_at.or(row.wakes_at);
                    row.worker = handed_to.or(row.worker.take());
                    row.child = child.or(row.child);
                }
                RunEvent::AttemptGranted { node, attempt, lease: _, worker, session: _ } => {
                    self.traces.of(run, &node, attempt.get(), TraceStatus::Running).worker = Some(worker);
                }
                RunEvent::AttemptReturned { node, attempt, worker } => {
                    let row = self.traces.of(run, &node, attempt.get(), TraceStatus::Cancelled);
                    row.finished_at = Some(time);
                    row.worker = Some(worker);
                    row.failure = Some(RunFailure::new("returned", "its worker gave it back without having begun it"));
                    returned.push(node);
                }
                RunEvent::AttemptStarted { node, attempt, worker, started_at } => {
                    let row = self.traces.of(run, &node, attempt.get(), TraceStatus::Running);
                    row.worker = Some(worker);
                    row.started_at = Some(started_at);
                }
                RunEvent::AttemptFailed { node, attempt, failure, worker, started_at } => {
                    let row = self.traces.of(run, &node, attempt.get(), TraceStatus::Failed);
                    row.finished_at = Some(time);
                    row.failure = Some(failure);
                    row.worker = worker.or(row.worker.take());
                    row.started_at = started_at.or(row.started_at);
                    failed.push((node, attempt));
                }
                RunEvent::RetryArmed { node, attempt, due_at } => {
                    let last = failed.iter().rev().find(|(of, _)| *of == node);
                    let next = last.map_or(attempt, |(_, last)| last.next());
                    let row = self.traces.opened(run, &node, next.get(), TraceStatus::Waiting);
                    row.wakes_at = Some(due_at);
                }
                RunEvent::NodeSucceeded {
                    node,
                    attempt,
                    output,
                    assets: _,
                    worker,
                    started_at,
                    taken: _,
                    reused,
                    landed: _,
                } => {
                    let row = self.traces.of(run, &node, attempt.get(), TraceStatus::Succeeded);
                    row.finished_at = Some(time);
                    made = Some(value(output));
                    row.output.clone_from(&made);
                    row.reused = reused.map(|by| *by);
                    row.worker = worker.or(row.worker.take());
                    row.started_at = started_at.or(row.started_at);
                }
                RunEvent::NodeFailed { node, failure, taken: _, tolerated } => {
                    let tolerated = tolerated.then_some(true);
                    // Its last attempt's row says that it failed already where one did.
                    match failed.iter().rev().find(|(of, _)| *of == node) {
                        Some((_, attempt)) => {
                            self.traces.of(run, &node, attempt.get(), TraceStatus::Failed).tolerated = tolerated;
                        }
                        None => {
                            let (status, failure) = (TraceStatus::Failed, Some(failure));
                            self.close_attempt(SettledNode {
                                run,
                                node,
                                status,
                                finished_at: time,
                                failure,
                                tolerated,
                            });
                        }
                    }
                }
                RunEvent::RunPaused { node: None, .. } => self.runs.of(run).standing = Some(RunStatus::Paused),
                RunEvent::RunResumed { node: None, .. } => self.runs.of(run).standing = Some(RunStatus::Running),
                // What is paused of a run is told by its shard.
                RunEvent::RunPaused { node: Some(_), .. }
                | RunEvent::RunResumed { node: Some(_), .. }
                | RunEvent::RunTerminated { .. } => {}
                // It ends later, perhaps in a commit that nobody asked for.
                RunEvent::RunStopping { .. } => self.cancelled_by(run, head),
                // It parts the batch.
                RunEvent::RunMigrated { .. } => {}
                RunEvent::NodeOverruled { node, reason } => {
                    let reason = reason.unwrap_or_else(|| "somebody ended the node by hand".to_owned());
                    overruled.push((node, RunFailure::new("by_hand", reason)));
                }
                RunEvent::TimerChanged { operation: _, node, attempt, due_at, reason: _ } => {
                    self.traces.of(run, &node, attempt.get(), TraceStatus::Waiting).wakes_at = Some(due_at);
                }
                RunEvent::NodeSkipped { node } if overruled.iter().any(|(of, _)| *of == node) => {
                    let failure = overruled.iter().rev().find(|(of, _)| *of == node).map(|(_, why)| why.clone());
                    let (status, finished_at) = (TraceStatus::Skipped, time);
                    self.close_attempt(SettledNode { run, node, status, finished_at, failure, tolerated: None });
                }
                RunEvent::NodeSkipped { node } => {
                    let row = self.traces.opened(run, &node, TraceChange::UNTRIED, TraceStatus::Skipped);
                    row.finished_at = Some(time);
                }
                RunEvent::NodeCancelled { node } => {
                    let status = TraceStatus::Cancelled;
                    self.close_attempt(SettledNode {
                        run,
                        node,
                        status,
                        finished_at: time,
                        failure: None,
                        tolerated: None,
                    });
                }
                // Where a run stands changes with its end, which follows, perhaps in a commit that nobody asked for.
                RunEvent::RunEnding { ending } => {
                    // One that was paused is on its way to its end.
                    self.runs.of(run).standing = Some(RunStatus::Running);
                    if ending.status() == RunStatus::Cancelled {
                        self.cancelled_by(run, head);
                    }
                }
                RunEvent::ItemsListed { node, items } => {
                    let row = self.traces.of(run, &node, Attempt::FIRST.get(), TraceStatus::Running);
                    row.scheduled_at = Some(time);
                    row.input = Some(value(items));
                }
                // The attempt's row names its child, whose rows say the rest.
                RunEvent::ChildCalled { .. } | RunEvent::ChildWithdrawn { .. } => {}
                // Its end names it.
                RunEvent::SuccessorChosen { .. } | RunEvent::SuccessorCalled { .. } => {}
                RunEvent::SuccessorWithdrawn { .. } => self.cancelled_by(run, head),
                RunEvent::SignalInherited { .. } => {}
                RunEvent::BranchesOpened { node, kind, first, from, count } => {
                    self.open_branches(run, &node, kind, (first, from, count), time);
                }
                RunEvent::BranchEnded { branch, outcome } => {
                    self.end_branch(run, branch, outcome, (value, made.take()), time);
                }
                // The ends of what is withdrawn follow.
                RunEvent::BranchClosing { .. } | RunEvent::JoinClosing { .. } => {}
                // The version's own row comes from the asset's journal.
                RunEvent::AssetRecorded { .. } => {}
                RunEvent::RunSucceeded { output, successor } => {
                    self.end(run, RunStatus::Succeeded, time, Some(value(output)), None);
                    if let Some(end) = &mut self.runs.of(run).end {
                        end.successor = successor;
                    }
                }
                RunEvent::RunFailed { failure } => self.end(run, RunStatus::Failed, time, None, Some(failure)),
                RunEvent::RunCancelled { reason } => {
                    self.cancelled_by(run, head);
                    let failure = RunFailure::new("cancelled", reason);
                    self.end(run, RunStatus::Cancelled, time, None, Some(failure));
                }
            }
        }
    }

    fn cancelled_by(&mut self, run: RunId, head: CommitHead<'_>) {
        if let Some(by) = head.by {
            self.runs.of(run).cancelled_by = Some(by.clone());
        }
    }

    fn end(
        &mut self,
        run: RunId,
        status: RunStatus,
        completed_at: Timestamp,
        output: Option<Value>,
        failure: Option<RunFailure>,
    ) {
        let error = failure.map(|failure| Json::of(&failure));
        let row = self.runs.of(run);
        // As in a row that is there: what an end that is not the first leaves open stays.
        let before = row.end.take().map(|before| (before.output, before.error, before.successor));
        let (said, why, successor) = before.unwrap_or_default();
        row.end = Some(RunEnd { status, completed_at, output: output.or(said), error: error.or(why), successor });
    }

    /// Closes the attempt a node is at, wherever the row of that attempt is.
    fn close_attempt(&mut self, end: SettledNode) {
        let Some(highest) = self.traces.highest(end.run, &end.node) else {
            // Said twice in one batch: the first has closed what was open, wherever that was.
            let Some(end) = self.settled.insert(end) else { return };
            return self.close(TraceChange::UNTRIED, end);
        };
        let attempt = if highest.status.is_open() { highest.attempt } else { TraceChange::UNTRIED };
        self.close(attempt, end);
    }

    fn close(&mut self, attempt: u32, end: SettledNode) {
        let SettledNode { run, node, status, finished_at, failure, tolerated } = end;
        let row = self.traces.of(run, &node, attempt, status);
        row.finished_at = Some(finished_at);
        row.failure = failure.or(row.failure.take());
        row.tolerated = tolerated.or(row.tolerated);
    }
}
