//! Who hears of what was decided: answers to frames, tasks to workers.

use super::frames::Complete;
use super::{Asker, Caller, Desk, FramePlace, Moment, Output, withheld};
use crate::SessionId;
use crate::protocol::{ShardReply, WorkReply};
use crate::run::RunRejection;
use crate::shard::{Answer, Outcome, Rejection};

impl<R, T> Desk<R, T> {
    pub(super) fn answer(&mut self, answer: Answer<Caller<T>>, at: Moment, out: &mut Vec<Output<R, T>>) {
        let Answer { caller: Caller(asker), outcome } = answer;
        // Whoever asked, those that were granted something hold it from now on.
        let outcome = outcome.map(|Outcome { position, granted, tasks }| {
            (position, granted, self.workers.hold(self.owner.shard(), tasks, asker.session(), at))
        });
        match asker {
            Asker::Work { place, session, brings } => {
                let reply = match outcome {
                    Ok((_, _, mut next)) => {
                        if brings {
                            next.extend(self.workers.take_handed(session));
                        }
                        WorkReply::Accepted { next }
                    }
                    Err(rejection) => self.answers.refused_work(rejection),
                };
                self.reply_work(place, reply, out);
            }
            Asker::Shard(place) => match outcome {
                Ok((position, granted, _)) => self.answers.reply(place, ShardReply::Done { position, granted }, out),
                Err(rejection) => self.answers.refuse(place, rejection, out),
            },
            Asker::Effect { ticket, submission } => {
                let follows = match outcome {
                    Ok((_, granted, _)) => granted.and_then(|granted| submission.granted(&granted)),
                    Err(rejection) => submission.refused(&rejection),
                };
                match follows {
                    // The bundle is delivered only when the consequence is durable too.
                    Some(submission) => self.follow(submission, ticket, at, out),
                    None => out.push(Output::Done(ticket)),
                }
            }
            Asker::Inquirer(asker) => {
                let outcome = outcome.map(|(position, granted, _)| (position, granted));
                withheld::answer(self, *asker, outcome, at, out);
            }
            Asker::Stranger { place, rejection } => {
                let reply = self.answers.refused_work(rejection);
                self.reply_work(place, reply, out);
            }
            Asker::Heartbeat { place, cancelled, unclear, stopping } => {
                self.reply_work(place, WorkReply::Alive { cancelled, unclear, stopping }, out);
            }
            Asker::Watcher(place) => self.answers.refuse(place, Rejection::Run(RunRejection::RunNotFound), out),
            Asker::Reader { place, told } => self.answers.reply(place, *told, out),
            Asker::Prober(place) => {
                let epoch = self.owner.epoch();
                self.answers.reply(place, ShardReply::Driven { epoch, appending_ms: None }, out);
            }
            Asker::Adoption => out.extend(outcome.err().map(Output::Unadoptable)),
            Asker::Nobody => {}
        }
    }

    pub(super) fn reply_work(&mut self, place: FramePlace, reply: WorkReply, out: &mut Vec<Output<R, T>>) {
        if let Some(Complete { reply: (reply, session), answers }) = self.answers.reply_work(place, reply) {
            self.send_answer(reply, session, answers, out);
        }
    }

    /// Sends an answer to a worker, with how this shard stands with it. What does not fit goes by itself.
    pub(super) fn send_answer(
        &mut self,
        reply: R,
        session: SessionId,
        replies: Vec<WorkReply>,
        out: &mut Vec<Output<R, T>>,
    ) {
        let standing = self.workers.standing_with(self.owner.shard(), session, &replies);
        let spilled = self.answers.send(reply, standing, replies, out);
        self.workers.hand_beside(session, spilled);
    }
}
