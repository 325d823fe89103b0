//! Who hears of what was decided, and how: answers to frames, tasks to workers.

use super::frames::{Complete, fit};
use super::{Asker, Caller, Desk, FramePlace, Moment, Output};
use crate::SessionId;
use crate::protocol::{ShardReply, WorkAnswer, WorkReply};
use crate::run::RunRejection;
use crate::shard::{Answer, Outcome, Rejection};

impl<R, T> Desk<R, T> {
    pub(super) fn answer(&mut self, answer: Answer<Caller<T>>, at: Moment, out: &mut Vec<Output<R, T>>) {
        let Answer { caller: Caller(asker), outcome } = answer;
        match asker {
            Asker::Work { place, session, brings } => {
                let reply = match outcome {
                    Ok(Outcome { tasks, .. }) => {
                        let mut next = self.hold_granted(tasks, Some(session), at);
                        if brings {
                            next.extend(self.handed.remove(&session).into_iter().flatten());
                        }
                        WorkReply::Accepted { next }
                    }
                    Err(rejection) => {
                        self.refusals += 1;
                        WorkReply::Refused { rejection }
                    }
                };
                self.reply_work(place, reply, out);
            }
            Asker::Shard(place) => match outcome {
                Ok(Outcome { position, granted, tasks }) => {
                    self.hold_granted(tasks, None, at);
                    self.reply(place, ShardReply::Done { position, granted }, out);
                }
                Err(rejection) => self.refuse_command(place, rejection, out),
            },
            Asker::Effect { ticket, submission } => {
                let outcome = outcome.map(|granted| self.hold_granted(granted.tasks, None, at));
                match outcome.err().and_then(|rejection| submission.refused(&rejection)) {
                    // The bundle is delivered only when the consequence is durable too.
                    Some(submission) => self.follow(submission, ticket, at, out),
                    None => out.push(Output::Done(ticket)),
                }
            }
            Asker::Stranger { place, rejection } => {
                self.refusals += 1;
                self.reply_work(place, WorkReply::Refused { rejection }, out);
            }
            Asker::Heartbeat { place, cancelled, unclear } => {
                self.reply_work(place, WorkReply::Alive { cancelled, unclear }, out);
            }
            Asker::Watcher(place) => self.refuse_command(place, Rejection::Run(RunRejection::RunNotFound), out),
            Asker::Prober(place) => {
                let epoch = self.owner.epoch();
                self.reply(place, ShardReply::Driven { epoch, appending_ms: None }, out);
            }
            Asker::Adoption => out.extend(outcome.err().map(Output::Unadoptable)),
            Asker::Nobody => {
                if let Ok(Outcome { tasks, .. }) = outcome {
                    self.hold_granted(tasks, None, at);
                }
            }
        }
    }

    pub(super) fn refuse_command(&mut self, place: FramePlace, rejection: Rejection, out: &mut Vec<Output<R, T>>) {
        self.refusals += 1;
        self.reply(place, ShardReply::Refused { rejection }, out);
    }

    pub(super) fn reply(&mut self, place: FramePlace, reply: ShardReply, out: &mut Vec<Output<R, T>>) {
        if let Some(complete) = self.commands.answer(place, reply) {
            let (reply, bytes) = complete.written();
            out.push(Output::Answer { reply, bytes });
        }
    }

    pub(super) fn reply_work(&mut self, place: FramePlace, reply: WorkReply, out: &mut Vec<Output<R, T>>) {
        if let Some(Complete { reply: (reply, session), answers }) = self.work.answer(place, reply) {
            self.send_answer(reply, session, answers, out);
        }
    }

    /// Sends an answer to a worker, with how this shard stands with it.
    pub(super) fn send_answer(
        &mut self,
        reply: R,
        session: SessionId,
        replies: Vec<WorkReply>,
        out: &mut Vec<Output<R, T>>,
    ) {
        let carries = |reply: &WorkReply| matches!(reply, WorkReply::Accepted { next } if !next.is_empty());
        if replies.iter().any(carries)
            && let Some(room) = self.rooms.hands.room(session)
        {
            room.number();
        }
        let (shard, standing) = (self.owner.shard().id(), self.is_open.then(|| self.standing(session)));
        let (bytes, spilled) =
            fit(WorkAnswer { shard, standing, replies, malformed: None }, self.settings.message_bytes_max);
        out.push(Output::Answer { reply, bytes });
        // What did not fit goes by itself.
        if !spilled.is_empty() {
            self.handed.entry(session).or_default().extend(spilled);
        }
    }
}
