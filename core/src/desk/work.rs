//! What workers ask of a shard, and what each question means for it.

use super::{Asker, Caller, Desk, Lease, Moment, Output, Place};
use crate::protocol::{Held, Task, WorkFrame, WorkReply, WorkRequest};
use crate::run::{RunCommand, task_of};
use crate::shard::{Command, Rejection, Submission};
use crate::{CommandId, WorkerId};

impl<R, T> Desk<R, T> {
    pub(super) fn take_work(&mut self, frame: WorkFrame, reply: R, at: Moment, out: &mut Vec<Output<R, T>>) {
        let WorkFrame { worker, workspace, queues, free_slots, requests } = frame;
        let Some(frame) = self.work.open(reply, requests.len()) else { return };
        let overloaded = self.is_overloaded();
        // Each report frees the slot its attempt had.
        let reports = requests.iter().filter(|request| matches!(request, WorkRequest::Report { .. })).count();
        let slots = free_slots.saturating_add(u32::try_from(reports).unwrap_or(u32::MAX));
        self.rooms.prefer(&worker, &workspace, &queues, slots, at.steady);
        for (index, request) in requests.into_iter().enumerate() {
            let place = Place { frame, index };
            if overloaded {
                self.reply_work(place, WorkReply::Refused { rejection: Rejection::Overloaded }, out);
            } else {
                self.take_request(place, &worker, request, at, out);
            }
        }
        self.rooms.settle(&worker, free_slots);
    }

    fn take_request(
        &mut self,
        place: Place,
        worker: &WorkerId,
        request: WorkRequest,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        let caller = Asker::Work { place, worker: worker.clone() };
        match request {
            WorkRequest::Report { id, run, report } => {
                self.leases.release(report.lease);
                let command = Command::Run { run, command: RunCommand::ReportAttempt(report) };
                self.submit(caller, Submission { id, command }, at, out);
            }
            WorkRequest::Started { run, node, attempt, lease: token, started_at } => {
                let (seen, worker) = (at.steady, worker.clone());
                self.hold(Lease { run, node: node.clone(), attempt, token, worker: worker.clone(), seen });
                let id = CommandId::derived(&[b"started", run.as_uuid().as_bytes(), &token.bits().to_be_bytes()]);
                let command = RunCommand::StartAttempt { node, attempt, lease: token, worker, started_at };
                self.submit(caller, Submission { id, command: Command::Run { run, command } }, at, out);
            }
            WorkRequest::Claim { run, node, attempt, lease: token } => {
                let held = Lease { run, node, attempt, token, worker: worker.clone(), seen: at.steady };
                match self.claim(held) {
                    Some(task) => self.reply_work(place, WorkReply::Granted { task }, out),
                    None => self.owner.hold(Caller(Asker::Claim(place))),
                }
            }
            WorkRequest::Heartbeat { held } => {
                let mut cancelled = Vec::new();
                for Held { run, node, attempt, lease: token, progress: _ } in held {
                    let lease = Lease { run, node, attempt, token, worker: worker.clone(), seen: at.steady };
                    if !self.hold(lease) {
                        cancelled.push(token);
                    }
                }
                if cancelled.is_empty() {
                    self.reply_work(place, WorkReply::Alive { cancelled }, out);
                } else {
                    self.owner.hold(Caller(Asker::Heartbeat { place, cancelled }));
                }
            }
        }
    }

    /// Notes who holds an attempt; says no when the attempt is not current (any more).
    fn hold(&mut self, lease: Lease) -> bool {
        let run = self.owner.shard().run(lease.run);
        let current = run.and_then(|run| run.current_lease(&lease.node)) == Some((lease.attempt, lease.token));
        if current {
            self.leases.hold(lease);
        }
        current
    }

    /// Grants an attempt to the first who asks; the holder itself may ask again.
    fn claim(&mut self, lease: Lease) -> Option<Task> {
        let task = self.owner.shard().run(lease.run).and_then(|run| task_of(run, &lease.node));
        let free = self.leases.holder(lease.token).is_none_or(|holder| *holder == lease.worker);
        task.filter(|_| free && self.hold(lease))
    }
}
