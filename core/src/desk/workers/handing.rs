//! How tasks reach the workers they were granted to: with the answer to a report, or by a message of their own; again when nobody
//! speaks of them.

use super::{Lease, Workers};
use crate::credit::Standing;
use crate::desk::{Moment, Output};
use crate::protocol::{Handed, Task, WorkReply};
use crate::run::{Report, ReportOutcome, RunCommand, task_of};
use crate::shard::{Command, HandedTasks, Shard};
use crate::{SessionId, WorkerId, WorkspaceId};

/// How many tasks go to a worker in one message.
const TASKS_AT_ONCE: usize = 32;

impl Workers {
    /// From now on the workers hold these attempts, or lose them by silence. Returns the tasks that go with the answer to
    /// `own`; the others are handed over when the answers are out.
    pub fn hold(&mut self, shard: &Shard, tasks: HandedTasks, own: Option<SessionId>, at: Moment) -> Vec<Task> {
        let mut next = Vec::new();
        for (session, task) in tasks {
            let worker = self.rooms.hands.get(session).map(|hand| hand.worker.clone());
            let Some(worker) = worker.or_else(|| holder_of(shard, &task)) else { continue };
            self.leases.hold(Lease {
                run: task.run,
                node: task.node.clone(),
                attempt: task.attempt,
                token: task.lease,
                worker,
                session: Some(session),
                given: at.steady,
                seen: at.steady,
                unheard_since: Some(at.steady),
            });
            if own == Some(session) {
                next.push(task);
            } else {
                self.handed.entry(session).or_default().push(task);
            }
        }
        next
    }

    /// Takes out what is to be handed to a worker, for it to go with an answer.
    pub fn take_handed(&mut self, session: SessionId) -> impl Iterator<Item = Task> + use<> {
        self.handed.remove(&session).into_iter().flatten()
    }

    /// Returns how this shard stands with a worker that is answered so.
    pub fn standing_with(&mut self, shard: &Shard, session: SessionId, replies: &[WorkReply]) -> Option<Standing> {
        let carries = |reply: &WorkReply| matches!(reply, WorkReply::Accepted { next } if !next.is_empty());
        if replies.iter().any(carries) {
            self.number(session);
        }
        self.is_open.then(|| self.standing(shard, session))
    }

    /// Hands over by themselves the tasks that an answer had no room for.
    pub fn hand_beside(&mut self, session: SessionId, spilled: Vec<Task>) {
        if !spilled.is_empty() {
            self.handed.entry(session).or_default().extend(spilled);
        }
    }

    /// Hands tasks to the workers they were granted to.
    pub fn hand_over<R, T>(&mut self, shard: &Shard, out: &mut Vec<Output<R, T>>) {
        for (session, tasks) in std::mem::take(&mut self.handed) {
            // A session that was forgotten loses its attempts by silence.
            let Some(hand) = self.rooms.hands.get(session) else { continue };
            let (workspace, worker) = (hand.workspace.clone(), hand.worker.clone());
            let mut message = Vec::new();
            let mut bytes = 0;
            for task in tasks {
                let more = bytes_of(&task);
                if message.len() >= TASKS_AT_ONCE || !message.is_empty() && bytes + more > self.message_bytes_max {
                    self.send_tasks(shard, &workspace, &worker, session, std::mem::take(&mut message), out);
                    bytes = 0;
                }
                bytes += more;
                message.push(task);
            }
            self.send_tasks(shard, &workspace, &worker, session, message, out);
        }
    }

    /// Numbers a message with tasks.
    fn number(&mut self, session: SessionId) {
        if let Some(room) = self.rooms.hands.room(session) {
            room.number();
        }
    }

    /// Sends one message with tasks, under a number of its own.
    fn send_tasks<R, T>(
        &mut self,
        shard: &Shard,
        workspace: &WorkspaceId,
        worker: &WorkerId,
        session: SessionId,
        tasks: Vec<Task>,
        out: &mut Vec<Output<R, T>>,
    ) {
        self.number(session);
        let handed = Handed { shard: self.shard, standing: self.standing(shard, session), tasks };
        out.push(Output::Hand { workspace: workspace.clone(), worker: worker.clone(), session, handed });
    }

    /// Hands again what nobody has spoken of, to the same session and under the same lease.
    pub fn hand_again<R, T>(&mut self, shard: &Shard, at: Moment, out: &mut Vec<Output<R, T>>) {
        // An owner before may still decide as long as this one has not landed.
        if !self.is_open {
            return;
        }
        for lease in self.leases.unheard(at.steady) {
            let run = shard.run(lease.run);
            let task = run.and_then(|run| task_of(run, &lease.node)).filter(|task| task.lease == lease.token);
            match (lease.session, task) {
                (Some(session), Some(task)) => self.handed.entry(session).or_default().push(task),
                (_, None) => {
                    self.leases.release(lease.token);
                    self.spoken_of(&lease);
                }
                (None, Some(_)) => {}
            }
        }
        self.hand_over(shard, out);
    }

    /// What it means for attempts that their tasks fit no message: each of several gets one of its own, and one alone has
    /// failed; returns that.
    pub fn take_too_large<R, T>(
        &mut self,
        shard: &Shard,
        tasks: Vec<Task>,
        bytes: usize,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) -> Option<Command> {
        let tasks = match <[Task; 1]>::try_from(tasks) {
            Ok([task]) => return self.take_back(task, bytes, at),
            Err(tasks) => tasks,
        };
        for task in tasks {
            let Some(lease) = self.leases.get_mut(task.lease).map(|lease| lease.clone()) else { continue };
            let Some(hand) = lease.session.and_then(|session| self.rooms.hands.get(session)) else { continue };
            let (workspace, session) = (hand.workspace.clone(), hand.session);
            self.send_tasks(shard, &workspace, &lease.worker, session, vec![task], out);
        }
        None
    }

    /// Takes back a task that fits no message. Returns how its attempt has failed, where somebody holds it: trying again is
    /// useless.
    fn take_back(&mut self, task: Task, bytes: usize, at: Moment) -> Option<Command> {
        let lease = self.leases.release(task.lease)?;
        self.spoken_of(&lease);
        let assets: usize = task.assets.iter().map(|consumed| consumed.payload.len_bytes()).sum();
        let message = format!(
            "the task has {bytes} bytes, at most {} can be given to a worker: {} are its input, {assets} the payloads of the {} \
             asset(s) it consumes; let them carry an address instead of the data, or consume fewer in one node",
            self.message_bytes_max,
            task.input.len_bytes(),
            task.assets.len(),
        );
        let report = Report {
            node: task.node,
            attempt: task.attempt,
            lease: task.lease,
            worker: lease.worker,
            started_at: at.wall,
            outcome: ReportOutcome::failed("task_too_large", message, true),
        };
        Some(Command::Run { run: task.run, command: RunCommand::ReportAttempt(report) })
    }
}

/// The worker that the run says holds the task: for a session that was forgotten meanwhile.
fn holder_of(shard: &Shard, task: &Task) -> Option<WorkerId> {
    let run = shard.run(task.run)?;
    run.held().find(|held| held.lease == task.lease).map(|held| held.worker)
}

/// Estimates what a task takes in a message, rather more than less.
fn bytes_of(task: &Task) -> usize {
    const NAMES: usize = 2_048;
    let assets: usize = task.assets.iter().map(|consumed| NAMES + consumed.payload.len_bytes()).sum();
    NAMES + task.input.len_bytes() + assets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::frames::tests::task;
    use crate::expr::ConsumedAsset;
    use crate::{Json, Version};

    fn asset(payload: usize) -> ConsumedAsset {
        let payload = Json::of(&"x".repeat(payload));
        ConsumedAsset { asset: "a.b".parse().unwrap(), partition: None, version: Version::FIRST, payload }
    }

    #[test]
    fn a_task_is_taken_to_be_a_little_larger_than_it_is() {
        for (input, payloads) in [(0, &[][..]), (9_000, &[]), (9, &[9]), (9_000, &[9, 5_000, 70_000])] {
            let task = Task { assets: payloads.iter().map(|bytes| asset(*bytes)).collect(), ..task(1, input) };
            let written = serde_json::to_vec(&task).unwrap().len();
            let little = 2_048 * (1 + payloads.len());
            assert!((written..written + little).contains(&bytes_of(&task)), "{input} {payloads:?}");
        }
    }
}
