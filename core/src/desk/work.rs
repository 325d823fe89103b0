//! What workers say to a shard, and what it means.

use std::sync::Arc;

use super::frames::fit;
use super::line::{Arrival, LINE_OF_SENDER_MAX, Sender};
use super::{Asker, Caller, Desk, FramePlace, Moment, Output};
use crate::protocol::{Held, Malformed, ReadFrame, WorkAnswer, WorkReply, WorkRequest};
use crate::run::{Run, RunCommand, RunRejection};
use crate::shard::{Command, Rejection, Submission};
use crate::{Attempt, CommandId, LeaseToken, NodeAddress, RunId, SessionId, WorkerId, WorkspaceId};

/// Who sends a frame.
#[derive(Debug)]
pub(super) struct Speaker {
    workspace: WorkspaceId,
    worker: WorkerId,
    pub session: SessionId,
}

impl<R, T> Desk<R, T> {
    pub(super) fn take_work(
        &mut self,
        workspace: WorkspaceId,
        frame: ReadFrame,
        reply: R,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        let ReadFrame { worker, session, queues, credit, requests } = frame;
        if !self.take_credit(&worker, session, &workspace, &queues, credit, at) {
            let reason = "the shard knows as many workers, and queues of theirs, as it takes".to_owned();
            return self.refuse_frame(Malformed { path: "/session".to_owned(), reason }, reply, out);
        }
        if requests.is_empty() {
            // Credit alone needs no fence: it is the worker's own word, and what was handed out under it is counted.
            return self.send_answer(reply, session, Vec::new(), out);
        }
        let frame = self.work.open((reply, session), requests.len());
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

    /// Tells a worker that nothing of what it said could be read.
    pub(super) fn refuse_frame(&mut self, malformed: Malformed, reply: R, out: &mut Vec<Output<R, T>>) {
        self.refusals += 1;
        let shard = self.owner.shard().id();
        let answer = WorkAnswer { shard, standing: None, replies: Vec::new(), malformed: Some(malformed) };
        let (bytes, _) = fit(answer, self.settings.message_bytes_max);
        out.push(Output::Answer { reply, bytes });
    }

    pub(super) fn take_request(
        &mut self,
        place: FramePlace,
        speaker: &Speaker,
        request: WorkRequest,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        let session = speaker.session;
        let brings = matches!(request, WorkRequest::Report { .. });
        let caller = Asker::Work { place, session, brings };
        match request {
            WorkRequest::Report { id, run, report } => {
                if !self.is_of(run, &speaker.workspace) {
                    return self.hold_unknown(place);
                }
                self.let_go(run, &report.node, report.attempt, report.lease);
                let command = Command::Run { run, command: RunCommand::ReportAttempt(report) };
                self.submit(caller, Submission::new(id, command), at, out);
            }
            WorkRequest::Return { id, run, node, attempt, lease } => {
                if !self.is_of(run, &speaker.workspace) {
                    return self.hold_unknown(place);
                }
                self.let_go(run, &node, attempt, lease);
                let command = Command::Run { run, command: RunCommand::ReturnAttempt { node, attempt, lease } };
                self.submit(caller, Submission::new(id, command), at, out);
            }
            WorkRequest::Started { run, node, attempt, lease, started_at } => {
                if !self.is_of(run, &speaker.workspace) {
                    return self.hold_unknown(place);
                }
                self.still_holds(run, &node, attempt, lease, at);
                let id = CommandId::derived(&[b"started", run.as_uuid().as_bytes(), &lease.bits().to_be_bytes()]);
                let worker = speaker.worker.clone();
                let command = RunCommand::StartAttempt { node, attempt, lease, worker, started_at };
                self.submit(caller, Submission::new(id, Command::Run { run, command }), at, out);
            }
            WorkRequest::Heartbeat { held } => {
                let (mut cancelled, mut unclear) = (Vec::new(), Vec::new());
                for Held { run, node, attempt, lease, progress: _ } in held {
                    if self.owner.shard().is_quarantined(run) {
                        unclear.push(lease);
                    } else if !self.is_of(run, &speaker.workspace) || !self.still_holds(run, &node, attempt, lease, at)
                    {
                        cancelled.push(lease);
                    }
                }
                if cancelled.is_empty() {
                    self.reply_work(place, WorkReply::Alive { cancelled, unclear }, out);
                } else {
                    self.owner.hold(Caller(Asker::Heartbeat { place, cancelled, unclear }));
                }
            }
        }
    }

    /// Whether a run may be one of the workspace: one that is not active is answered by the rules.
    fn is_of(&self, run: RunId, workspace: &WorkspaceId) -> bool {
        self.owner.shard().run(run).is_none_or(|run| run.workspace() == workspace)
    }

    /// A run of another workspace is not there.
    fn hold_unknown(&mut self, place: FramePlace) {
        self.owner.hold(Caller(Asker::Stranger { place, rejection: Rejection::Run(RunRejection::RunNotFound) }));
    }

    /// Waits no longer for who holds an attempt; as long as it is current under another name, its holder is waited for.
    fn let_go(&mut self, run: RunId, node: &NodeAddress, attempt: Attempt, token: LeaseToken) {
        let is_current = |run: &Run| run.current_lease(node) == Some((attempt, token));
        if self.owner.shard().run(run).is_none_or(is_current)
            && let Some(lease) = self.leases.release(token)
        {
            self.spoken_of(&lease);
        }
    }

    /// Notes that an attempt is held; says no when it is not current (any more).
    fn still_holds(&mut self, run: RunId, node: &NodeAddress, attempt: Attempt, token: LeaseToken, at: Moment) -> bool {
        let shard = self.owner.shard();
        if shard.run(run).and_then(|run| run.current_lease(node)) != Some((attempt, token)) {
            return false;
        }
        if let Some(lease) = self.leases.get_mut(token) {
            lease.seen = at.steady;
            let before = lease.clone();
            lease.unheard_since = None;
            self.spoken_of(&before);
        }
        true
    }
}
