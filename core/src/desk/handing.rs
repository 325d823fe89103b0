//! How tasks reach the workers they were granted to: with the answer to a report, or by a message of their own; again when nobody
//! speaks of them.

use super::{Asker, Desk, Lease, Moment, Output};
use crate::protocol::{Handed, Task};
use crate::run::{Report, ReportOutcome, RunCommand, task_of};
use crate::shard::{Command, HandedTasks};
use crate::{SessionId, WorkerId, WorkspaceId};

/// How many tasks go to a worker in one message.
const TASKS_AT_ONCE: usize = 32;

impl<R, T> Desk<R, T> {
    /// From now on the workers hold these attempts, or lose them by silence. Returns the tasks that go with the answer to
    /// `own`; the others are handed over when the answers are out.
    pub(super) fn hold_granted(&mut self, tasks: HandedTasks, own: Option<SessionId>, at: Moment) -> Vec<Task> {
        let mut next = Vec::new();
        for (session, task) in tasks {
            let worker = self.rooms.hands.get(session).map(|hand| hand.worker.clone());
            let Some(worker) = worker.or_else(|| self.holder_of(&task)) else { continue };
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

    /// The worker that the run says holds the task: for a session that was forgotten meanwhile.
    fn holder_of(&self, task: &Task) -> Option<WorkerId> {
        let run = self.owner.shard().run(task.run)?;
        run.held().find(|held| held.lease == task.lease).map(|held| held.worker)
    }

    /// Hands tasks to the workers they were granted to.
    pub(super) fn hand_over(&mut self, out: &mut Vec<Output<R, T>>) {
        for (session, tasks) in std::mem::take(&mut self.handed) {
            // A session that was forgotten loses its attempts by silence.
            let Some(hand) = self.rooms.hands.get(session) else { continue };
            let (workspace, worker) = (hand.workspace.clone(), hand.worker.clone());
            let mut message = Vec::new();
            let mut bytes = 0;
            for task in tasks {
                let more = bytes_of(&task);
                if message.len() >= TASKS_AT_ONCE
                    || !message.is_empty() && bytes + more > self.settings.message_bytes_max
                {
                    self.send_tasks(&workspace, &worker, session, std::mem::take(&mut message), out);
                    bytes = 0;
                }
                bytes += more;
                message.push(task);
            }
            self.send_tasks(&workspace, &worker, session, message, out);
        }
    }

    /// Sends one message with tasks, under a number of its own.
    fn send_tasks(
        &mut self,
        workspace: &WorkspaceId,
        worker: &WorkerId,
        session: SessionId,
        tasks: Vec<Task>,
        out: &mut Vec<Output<R, T>>,
    ) {
        if let Some(room) = self.rooms.hands.room(session) {
            room.number();
        }
        let handed = Handed { shard: self.owner.shard().id(), standing: self.standing(session), tasks };
        out.push(Output::Hand { workspace: workspace.clone(), worker: worker.clone(), session, handed });
    }

    /// Hands again what nobody has spoken of, to the same session and under the same lease.
    pub(super) fn hand_again(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        // An owner before may still decide as long as this one has not landed.
        if !self.is_open {
            return;
        }
        for lease in self.leases.unheard(at.steady) {
            let run = self.owner.shard().run(lease.run);
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
        self.hand_over(out);
    }

    /// Notes that the worker of a lease has spoken of it, or is not expected to any more.
    pub(super) fn spoken_of(&mut self, lease: &Lease) {
        if lease.unheard_since.is_some()
            && let Some(room) = lease.session.and_then(|session| self.rooms.hands.room(session))
        {
            room.heard();
        }
    }

    /// What it means for attempts that their tasks fit no message: each of several gets one of its own, and one alone has
    /// failed, and trying again is useless.
    pub(super) fn split_or_fail(&mut self, tasks: Vec<Task>, bytes: usize, at: Moment, out: &mut Vec<Output<R, T>>) {
        match <[Task; 1]>::try_from(tasks) {
            Ok([task]) => self.fail_too_large(task, bytes, at),
            Err(tasks) => {
                for task in tasks {
                    let Some(lease) = self.leases.get_mut(task.lease).map(|lease| lease.clone()) else { continue };
                    let Some(hand) = lease.session.and_then(|session| self.rooms.hands.get(session)) else { continue };
                    let (workspace, session) = (hand.workspace.clone(), hand.session);
                    self.send_tasks(&workspace, &lease.worker, session, vec![task], out);
                }
            }
        }
    }

    fn fail_too_large(&mut self, task: Task, bytes: usize, at: Moment) {
        let Some(worker) = self.leases.release(task.lease).map(|lease| {
            self.spoken_of(&lease);
            lease.worker
        }) else {
            return;
        };
        let assets: usize = task.assets.iter().map(|consumed| consumed.payload.len_bytes()).sum();
        let message = format!(
            "the task has {bytes} bytes, at most {} can be given to a worker: {} are its input, {assets} the payloads of the {} \
             asset(s) it consumes; let them carry an address instead of the data, or consume fewer in one node",
            self.settings.message_bytes_max,
            task.input.len_bytes(),
            task.assets.len(),
        );
        let report = Report {
            node: task.node,
            attempt: task.attempt,
            lease: task.lease,
            worker,
            started_at: at.wall,
            outcome: ReportOutcome::Failed { code: "task_too_large".to_owned(), message, permanent: true },
        };
        self.decide(Asker::Nobody, Command::Run { run: task.run, command: RunCommand::ReportAttempt(report) }, at);
    }
}

/// Estimates what a task takes in a message, rather more than less.
fn bytes_of(task: &Task) -> usize {
    const NAMES: usize = 2_048;
    let assets: usize = task.assets.iter().map(|consumed| NAMES + consumed.payload.len_bytes()).sum();
    NAMES + task.input.len_bytes() + assets
}
