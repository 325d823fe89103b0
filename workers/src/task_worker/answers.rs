//! What the answers of shards mean for the attempts that are held.

use headwater_core::LeaseToken;
use headwater_core::protocol::{Held, WorkAnswer, WorkReply, WorkRequest};
use headwater_core::run::{ReportOutcome, RunRejection};
use headwater_core::shard::Rejection;
use tokio::time::Instant;

use super::attempts::Stage;
use super::drive::TaskWorker;
use super::frame::Answered;
use super::outbox::{Entry, Outbox};

impl TaskWorker {
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { shard, frame, give_up_at, answer } = answered;
        let Some(WorkAnswer { standing, replies, .. }) = answer else {
            self.outboxes.entry(shard).or_insert_with(Outbox::new).answered(true);
            for request in frame.requests {
                self.abandon(request);
            }
            return;
        };
        // The tasks of an answer that is not news were heard of in a later one: they come again if they are wanted.
        let is_news = standing.is_some_and(|standing| self.lending.lender.is_news(shard, standing));
        if let Some(standing) = standing {
            self.lending.lender.answered(shard, frame.credit, standing);
        }
        let now = Instant::now();
        let mut again = Vec::new();
        for ((request, give_up_at), reply) in frame.requests.into_iter().zip(give_up_at).zip(replies) {
            match reply {
                WorkReply::Refused { rejection: Rejection::NotOwner | Rejection::Overloaded } => {
                    match request {
                        // The next one says it better.
                        WorkRequest::Heartbeat { .. } => {}
                        request if now >= give_up_at => self.abandon(request),
                        request => again.push(Entry { request, give_up_at }),
                    }
                }
                WorkReply::Accepted { .. } if !is_news => {
                    self.answer(request, WorkReply::Accepted { next: Vec::new() });
                }
                reply => self.answer(request, reply),
            }
        }
        let outbox = self.outboxes.entry(shard).or_insert_with(Outbox::new);
        outbox.answered(again.is_empty());
        if !again.is_empty() {
            outbox.take_back(again, now);
        }
    }

    fn answer(&mut self, request: WorkRequest, reply: WorkReply) {
        match (request, reply) {
            (WorkRequest::Report { report, .. }, WorkReply::Accepted { next }) => {
                self.done_with(report.lease);
                next.into_iter().for_each(|task| self.accept(task));
            }
            (WorkRequest::Return { lease, .. }, WorkReply::Accepted { .. }) => self.done_with(lease),
            (WorkRequest::Report { run, report, .. }, WorkReply::Refused { rejection }) => {
                tracing::debug!(%run, node = %report.node, attempt = %report.attempt, %rejection, "report refused");
                self.done_with(report.lease);
            }
            (WorkRequest::Return { lease, .. }, WorkReply::Refused { .. }) => self.done_with(lease),
            (WorkRequest::Report { report, .. }, WorkReply::Malformed(malformed)) => {
                tracing::error!(node = %report.node, %malformed, "the report could not be read");
                let is_result = matches!(report.outcome, ReportOutcome::Succeeded { .. });
                if is_result {
                    let message = format!("the result could not be read: {malformed}");
                    self.report(report.lease, ReportOutcome::failed("result_invalid", message, true));
                } else {
                    self.done_with(report.lease);
                }
            }
            (WorkRequest::Heartbeat { held }, WorkReply::Alive { cancelled, unclear, stopping }) => {
                for Held { lease, .. } in held {
                    if cancelled.contains(&lease) {
                        self.cancel(lease);
                    } else if stopping.contains(&lease) {
                        self.come_to_an_end(lease);
                    } else if !unclear.contains(&lease) {
                        self.go_on(lease);
                    }
                }
            }
            (WorkRequest::Started { lease, .. }, WorkReply::Refused { rejection: Rejection::Run(rejection) }) => {
                tracing::debug!(%lease, %rejection, "the attempt is not wanted any more");
                if matches!(rejection, RunRejection::StaleAttempt | RunRejection::RunClosed { .. }) {
                    self.cancel(lease);
                }
            }
            (WorkRequest::Started { .. }, WorkReply::Accepted { .. } | WorkReply::Refused { .. })
            | (WorkRequest::Heartbeat { .. }, WorkReply::Refused { .. }) => {}
            (request, reply) => {
                tracing::warn!(?request, ?reply, "an answer to another question");
                self.abandon(request);
            }
        }
    }

    /// The run was cancelled with a grace: the handler is told, and what it makes of it is reported; what has not begun is given
    /// back.
    fn come_to_an_end(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease).filter(|attempt| !attempt.reported) else { return };
        match attempt.stage {
            Stage::Running(_) => attempt.context.cancel(),
            Stage::Waiting | Stage::Asking => self.give_back(lease),
            Stage::Ended => {}
        }
    }

    /// The shard still wants an attempt: what waited for that begins.
    fn go_on(&mut self, lease: LeaseToken) {
        if self.attempts.get_mut(lease).is_some_and(|attempt| matches!(attempt.stage, Stage::Asking)) {
            self.begin(lease);
        }
    }

    /// Nothing more is to be said of an attempt: when its handler has ended it is forgotten.
    fn done_with(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.answered = true;
        if !matches!(attempt.stage, Stage::Running(_)) {
            self.remove(lease);
        }
    }

    /// Stops an attempt the shard does not want any more.
    fn cancel(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        if attempt.reported {
            // Its report is on its way; the answer to that is the end of it.
            return;
        }
        attempt.context.cancel();
        self.attempts.drop_at(lease, Instant::now() + self.settings.cancel_grace);
        self.done_with(lease);
    }

    /// The patience with a shard is over: the attempt is lost by silence, and the shard tries it again.
    fn abandon(&mut self, request: WorkRequest) {
        let lease = match request {
            WorkRequest::Report { run, report, .. } => {
                tracing::error!(%run, node = %report.node, attempt = %report.attempt, "the report could not be delivered");
                report.lease
            }
            WorkRequest::Return { lease, .. } => lease,
            WorkRequest::Started { .. } | WorkRequest::Heartbeat { .. } => return,
        };
        self.remove(lease);
    }

    /// The worker stops: what has not begun is given back, what runs is stopped and reported as that.
    pub(super) fn hand_back(&mut self) {
        for lease in self.attempts.leases() {
            let Some(attempt) = self.attempts.get_mut(lease) else { continue };
            if attempt.reported || attempt.answered {
                continue;
            }
            match &attempt.stage {
                Stage::Running(abort) => {
                    attempt.context.cancel();
                    abort.abort();
                    attempt.stage = Stage::Ended;
                    self.report(lease, ReportOutcome::failed("worker_stopped", "the worker was stopped", false));
                }
                Stage::Waiting | Stage::Asking | Stage::Ended => self.give_back(lease),
            }
        }
    }
}
