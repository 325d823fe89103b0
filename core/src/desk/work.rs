//! What comes from workers.

use std::sync::Arc;

use super::line::{Arrival, LINE_OF_SENDER_MAX, Sender};
use super::workers::{Heard, Speaker};
use super::{Asker, Caller, Desk, FramePlace, Moment, Output};
use crate::WorkspaceId;
use crate::protocol::{Malformed, ReadFrame, WorkReply, WorkRequest};
use crate::run::RunRejection;
use crate::shard::Rejection;

impl<R, T> Desk<R, T> {
    pub(super) fn take_work(
        &mut self,
        workspace: WorkspaceId,
        frame: ReadFrame,
        reply: R,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        if !self.workers.take_credit(&workspace, &frame, at) {
            let reason = "the shard knows as many workers, and queues of theirs, as it takes".to_owned();
            let malformed = Malformed { path: "/session".to_owned(), reason };
            return self.answers.refuse_frame(malformed, reply, out);
        }
        let ReadFrame { worker, session, requests, .. } = frame;
        if requests.is_empty() {
            // Credit alone needs no fence: it is the worker's own word, and what was handed out under it is counted.
            return self.send_answer(reply, session, Vec::new(), out);
        }
        let frame = self.answers.open_work(reply, session, requests.len());
        let sender = Sender::Worker(session);
        let overloaded = self.is_overloaded() || self.line.of(sender) > LINE_OF_SENDER_MAX;
        let speaker = Arc::new(Speaker { workspace, worker, session });
        for (index, request) in requests.into_iter().enumerate() {
            let place = FramePlace { frame, index };
            match request {
                Err(malformed) => self.reply_work(place, WorkReply::Malformed(malformed), out),
                Ok(_) if overloaded => {
                    self.reply_work(place, WorkReply::Refused { rejection: Rejection::Overloaded }, out);
                }
                Ok(request) => {
                    self.come(sender, Arrival::Work { place, speaker: speaker.clone(), request }, at, out);
                }
            }
        }
        self.serve(at, out);
    }

    pub(super) fn take_request(
        &mut self,
        place: FramePlace,
        speaker: &Speaker,
        request: WorkRequest,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        let brings = matches!(request, WorkRequest::Report { .. });
        match self.workers.hear(self.owner.shard(), speaker, request, at) {
            Heard::Wish(submission) => {
                self.submit(Asker::Work { place, session: speaker.session, brings }, submission, None, at, out);
            }
            // A run of another workspace is not there.
            Heard::Stranger => {
                let rejection = Rejection::Run(RunRejection::RunNotFound);
                self.owner.hold(Caller(Asker::Stranger { place, rejection }));
            }
            Heard::Alive { cancelled, unclear, stopping } if cancelled.is_empty() && stopping.is_empty() => {
                self.reply_work(place, WorkReply::Alive { cancelled, unclear, stopping }, out);
            }
            Heard::Alive { cancelled, unclear, stopping } => {
                self.owner.hold(Caller(Asker::Heartbeat { place, cancelled, unclear, stopping }));
            }
        }
    }
}
