//! What the answers of shards mean for the attempts that are held.

use std::time::Duration;

use headwater_core::LeaseToken;
use headwater_core::protocol::{WorkReply, WorkRequest};
use headwater_core::run::ReportOutcome;
use headwater_core::shard::Rejection;
use tokio::time::Instant;

use super::attempts::Stage;
use super::drive::TaskWorker;
use super::frame::Answered;
use super::outbox::{Entry, Outbox};

/// How soon what could not be reported is handed out again.
const ABANDONED_PAUSE: Duration = Duration::from_secs(5);

impl TaskWorker {
    pub(super) async fn answered(&mut self, answered: Answered) {
        let Answered { shard, frame, give_up_at, replies } = answered;
        let Some(replies) = replies else {
            self.outboxes.entry(shard).or_insert_with(Outbox::new).answered(true);
            for request in frame.requests {
                self.abandon(request).await;
            }
            return;
        };
        let now = Instant::now();
        let mut again = Vec::new();
        for ((request, give_up_at), reply) in frame.requests.into_iter().zip(give_up_at).zip(replies) {
            match reply {
                WorkReply::Refused { rejection: Rejection::NotOwner | Rejection::Overloaded } => {
                    match request {
                        // The next one says it better.
                        WorkRequest::Heartbeat { .. } => {}
                        request if now >= give_up_at => self.abandon(request).await,
                        request => again.push(Entry { request, give_up_at }),
                    }
                }
                reply => self.answer(request, reply).await,
            }
        }
        let outbox = self.outboxes.entry(shard).or_insert_with(Outbox::new);
        outbox.answered(again.is_empty());
        if !again.is_empty() {
            outbox.take_back(again, now);
        }
    }

    async fn answer(&mut self, request: WorkRequest, reply: WorkReply) {
        match (request, reply) {
            (WorkRequest::Report { report, .. }, WorkReply::Accepted { next }) => {
                self.settle(report.lease).await;
                for task in next {
                    if task.claim_first {
                        self.claim(task, None);
                    } else {
                        self.accept(task, None).await;
                    }
                }
            }
            (WorkRequest::Report { run, report, .. }, WorkReply::Refused { rejection }) => {
                tracing::debug!(%run, node = %report.node, attempt = %report.attempt, %rejection, "report refused");
                self.settle(report.lease).await;
            }
            (WorkRequest::Claim { lease, .. }, WorkReply::Granted { task }) => {
                // Gone meanwhile: cancelled, or the worker stops.
                let Some(attempt) = self.attempts.remove(lease) else { return };
                self.accept(task, attempt.receipt).await;
            }
            (WorkRequest::Claim { lease, .. }, WorkReply::Refused { rejection }) => {
                tracing::debug!(%lease, %rejection, "claim refused");
                self.settle(lease).await;
            }
            (WorkRequest::Heartbeat { .. }, WorkReply::Alive { cancelled }) => {
                for lease in cancelled {
                    self.cancel(lease).await;
                }
            }
            (WorkRequest::Started { .. }, WorkReply::Accepted { .. } | WorkReply::Refused { .. })
            | (WorkRequest::Heartbeat { .. }, WorkReply::Refused { .. }) => {}
            (request, reply) => {
                tracing::warn!(?request, ?reply, "an answer to another question");
                self.abandon(request).await;
            }
        }
    }

    /// Nothing more is to be said of an attempt: its delivery is done with (`WRK-2`), and when its handler has ended
    /// its slot is free.
    async fn settle(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.answered = true;
        if let Some(receipt) = attempt.receipt.take() {
            receipt.ack().await;
        }
        if !matches!(attempt.stage, Stage::Running(_)) {
            self.attempts.remove(lease);
        }
    }

    /// Stops an attempt the shard does not want any more.
    async fn cancel(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        if attempt.reported {
            // Its report is on its way; the answer to that settles it.
            return;
        }
        attempt.context.cancel();
        self.attempts.drop_at(lease, Instant::now() + self.settings.cancel_grace);
        self.settle(lease).await;
    }

    /// The patience with a shard is over. What came from the queue is handed out again; the rest is lost by silence,
    /// and the shard tries it again.
    async fn abandon(&mut self, request: WorkRequest) {
        let lease = match request {
            WorkRequest::Report { run, report, .. } => {
                tracing::error!(%run, node = %report.node, attempt = %report.attempt, "the report could not be delivered");
                report.lease
            }
            WorkRequest::Claim { lease, .. } => lease,
            WorkRequest::Started { .. } | WorkRequest::Heartbeat { .. } => return,
        };
        if let Some(attempt) = self.attempts.remove(lease)
            && let Some(receipt) = attempt.receipt
        {
            receipt.retry_later(ABANDONED_PAUSE).await;
        }
    }

    /// The worker stops: what has not begun goes back to its queue, what runs is stopped and reported as that.
    pub(super) async fn hand_back(&mut self) {
        for lease in self.attempts.leases() {
            let Some(attempt) = self.attempts.get_mut(lease) else { continue };
            if attempt.reported || attempt.answered {
                continue;
            }
            let begun = match &attempt.stage {
                Stage::Running(abort) => {
                    attempt.context.cancel();
                    abort.abort();
                    attempt.stage = Stage::Ended;
                    true
                }
                Stage::Claiming | Stage::Waiting | Stage::Ended => attempt.receipt.is_none(),
            };
            if begun {
                let (code, message) = ("worker_stopped".to_owned(), "the worker was stopped".to_owned());
                self.report(lease, ReportOutcome::Failed { code, message, permanent: false });
            } else if let Some(attempt) = self.attempts.remove(lease)
                && let Some(receipt) = attempt.receipt
            {
                receipt.retry_later(Duration::ZERO).await;
            }
        }
    }
}
