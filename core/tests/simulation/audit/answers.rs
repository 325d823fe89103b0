//! What answers may say, as they leave.

use headwater_core::LeaseToken;
use headwater_core::protocol::{ShardReply, WorkReply, WorkRequest};
use headwater_core::run::{Report, RunCommand, RunStatus};
use headwater_core::shard::{Command, Position, Rejection, Submission};

use super::Audit;
use crate::cluster::{Said, Wish};
use crate::journal::Journal;

impl Audit {
    /// A command is said to be granted: that must be in the journal.
    fn granted(&self, submission: &Submission, position: Position, journals: &[Journal]) {
        let number = usize::from(position.shard.number());
        assert!(position.sequence <= journals[number].end(), "an answer names a place that is there");
        match &submission.command {
            Command::Run { run, command: RunCommand::StartRun(_) } => {
                assert!(self.runs.contains_key(run), "{run} is said to have started, and the journal does not say so");
            }
            // With a grace it is later.
            Command::Run {
                run,
                command: RunCommand::CancelRun { grace_ms: 0, .. } | RunCommand::CancelRunKeeping { grace_ms: 0, .. },
            } => {
                let books = &self.runs[run];
                let is_cancelled = books.end.or(books.ending) == Some(RunStatus::Cancelled);
                // One that goes on as another lets go of that.
                assert!(is_cancelled || self.chains.has_let_go(*run), "{run} is said to be cancelled");
            }
            Command::Run { run, command: RunCommand::Signal { signal, .. } } => {
                assert!(
                    self.signals.has(*run, *signal),
                    "{run} is said to have {signal}, and the journal does not say so"
                );
            }
            Command::Run { run, command: RunCommand::AnswerPerson { answer, .. } } => {
                assert!(
                    self.people.has(*run, *answer),
                    "{run} is said to have the answer {answer}, and the journal does not say so"
                );
            }
            Command::Run { .. }
            | Command::Asset { .. }
            | Command::Workflow { .. }
            | Command::Action { .. }
            | Command::Memo { .. }
            | Command::AdoptDefinition { .. } => {}
        }
    }

    /// An answer leaves, whoever gives it. What it says is not so (any more) is not so by the journal, and stays so.
    pub fn said(&mut self, wish: &Wish, said: &Said, journals: &[Journal]) {
        match (wish, said) {
            (Wish::Submit(submission), Said::Shard(ShardReply::Done { position, .. })) => {
                self.granted(submission, *position, journals);
            }
            (Wish::Await(run), Said::Shard(ShardReply::Ended { status, .. })) => {
                assert_eq!(self.end_of(*run), Some(*status), "who is told of an end finds it in the journal");
            }
            (Wish::Work { request: Some(request), .. }, Said::Work(answer)) => {
                answer.replies.iter().for_each(|reply| self.replied(request, reply));
            }
            _ => {}
        }
    }

    fn replied(&self, request: &WorkRequest, reply: &WorkReply) {
        match (request, reply) {
            (WorkRequest::Report { id, run, report }, WorkReply::Accepted { next }) => {
                let known = self.shards[usize::from(run.shard().number())].commands.contains(id);
                assert!(known, "a report on {} of {run} is accepted before it is in the journal", report.node);
                next.iter().for_each(|task| self.task(task));
            }
            (
                WorkRequest::Report { report: Report { lease, .. }, .. }
                | WorkRequest::Started { lease, .. }
                | WorkRequest::Return { lease, .. },
                WorkReply::Refused { rejection: Rejection::Run(_) },
            ) => self.given_up(*lease),
            (_, WorkReply::Alive { cancelled, .. }) => cancelled.iter().for_each(|lease| self.given_up(*lease)),
            (_, WorkReply::Accepted { .. } | WorkReply::Refused { .. } | WorkReply::Malformed { .. }) => {}
        }
    }

    fn given_up(&self, lease: LeaseToken) {
        let (id, node, attempt) = self.leases.get(&lease).expect("workers know of attempts from the journal");
        let shard = &self.shards[usize::from(id.shard().number())].folded;
        let current = shard.run(*id).and_then(|run| run.current_lease(node));
        assert_ne!(current, Some((*attempt, lease)), "SHD-4: attempt {attempt} of {node} of {id} is given up");
    }
}
