//! Who hears of what was decided, and how: answers to frames, tasks to workers.

use super::{Asker, Caller, Desk, Lease, Moment, Output, Place};
use crate::protocol::{ShardReply, Task, WorkReply};
use crate::run::RunRejection;
use crate::shard::{Answer, Effect, HandedTasks, Outcome, Rejection};
use crate::{Sequence, WorkerId};

impl<R, T> Desk<R, T> {
    pub(super) fn answer(&mut self, answer: Answer<Caller<T>>, at: Moment, out: &mut Vec<Output<R, T>>) {
        let Answer { caller: Caller(asker), outcome } = answer;
        match asker {
            Asker::Work { place, worker } => {
                let reply = match outcome {
                    Ok(Outcome { tasks, .. }) => WorkReply::Accepted { next: self.hand(tasks, Some(&worker), at) },
                    Err(rejection) => {
                        self.refusals += 1;
                        WorkReply::Refused { rejection }
                    }
                };
                self.reply_work(place, reply, out);
            }
            Asker::Shard(place) => match outcome {
                Ok(Outcome { position, granted, tasks }) => {
                    self.hand(tasks, None, at);
                    self.reply(place, ShardReply::Done { position, granted }, out);
                }
                Err(rejection) => self.refuse_command(place, rejection, out),
            },
            Asker::Effect { ticket, submission } => {
                let outcome = outcome.map(|granted| self.hand(granted.tasks, None, at));
                match outcome.err().and_then(|rejection| submission.refused(&rejection)) {
                    // The bundle is delivered only when the consequence is durable too.
                    Some(submission) => self.follow(submission, ticket, at, out),
                    None => out.push(Output::Done(ticket)),
                }
            }
            Asker::Claim(place) => {
                let rejection = Rejection::Run(RunRejection::StaleAttempt);
                self.reply_work(place, WorkReply::Refused { rejection }, out);
            }
            Asker::Heartbeat { place, cancelled } => self.reply_work(place, WorkReply::Alive { cancelled }, out),
            Asker::Watcher(place) => self.refuse_command(place, Rejection::Run(RunRejection::RunNotFound), out),
            Asker::Adoption => out.extend(outcome.err().map(Output::Unadoptable)),
            Asker::Nobody => {
                if let Ok(Outcome { tasks, .. }) = outcome {
                    self.hand(tasks, None, at);
                }
            }
        }
    }

    /// From now on the workers hold these attempts, or lose them by silence. Returns the tasks that go with the answer to
    /// `own`; the others are handed over when the answers are out.
    fn hand(&mut self, tasks: HandedTasks, own: Option<&WorkerId>, at: Moment) -> Vec<Task> {
        let mut next = Vec::new();
        for (worker, task) in tasks {
            let (run, node, attempt) = (task.run, task.node.clone(), task.attempt);
            let lease = Lease { run, node, attempt, token: task.lease, worker: worker.clone(), seen: at.steady };
            self.leases.hold(lease);
            if own == Some(&worker) {
                next.push(task);
            } else {
                self.handed.push((worker, task));
            }
        }
        next
    }

    /// Puts a task that was handed over on its queue: whoever takes it asks first.
    pub(super) fn queue_instead(&mut self, task: Task, out: &mut Vec<Output<R, T>>) {
        self.leases.release(task.lease);
        let task = Task { claim_first: true, ..task };
        out.push(Output::Deliver { sequence: Sequence::ZERO, effects: vec![Effect::OfferTask(task)] });
    }

    pub(super) fn refuse_command(&mut self, place: Place, rejection: Rejection, out: &mut Vec<Output<R, T>>) {
        self.refusals += 1;
        self.reply(place, ShardReply::Refused { rejection }, out);
    }

    pub(super) fn reply(&mut self, place: Place, reply: ShardReply, out: &mut Vec<Output<R, T>>) {
        if let Some(complete) = self.commands.answer(place, reply) {
            let (reply, bytes) = complete.written();
            out.push(Output::Answer { reply, bytes });
        }
    }

    pub(super) fn reply_work(&mut self, place: Place, reply: WorkReply, out: &mut Vec<Output<R, T>>) {
        if let Some(complete) = self.work.answer(place, reply) {
            let (reply, bytes, spilled) = complete.written(self.settings.answer_bytes_max);
            out.push(Output::Answer { reply, bytes });
            for task in spilled {
                self.queue_instead(task, out);
            }
        }
    }
}
