//! What workers say of attempts, and what it means.

use super::Workers;
use crate::desk::Moment;
use crate::protocol::{Held, WorkRequest};
use crate::run::{Report, ReportOutcome, Run, RunCommand};
use crate::shard::{Command, Shard, Submission};
use crate::{Attempt, CommandId, LeaseToken, NodeAddress, RunId, SessionId, WorkerId, WorkspaceId};

/// Who sends a frame.
#[derive(Debug)]
pub(in crate::desk) struct Speaker {
    pub workspace: WorkspaceId,
    pub worker: WorkerId,
    pub session: SessionId,
}

/// What a request of a worker means.
pub(in crate::desk) enum Heard {
    /// A run is to decide.
    Wish(Submission),
    /// It speaks of what is not of its workspace.
    Stranger,
    /// It holds on. These are not its own any more, of those it cannot be said, and others are to come to an end.
    Alive { cancelled: Vec<LeaseToken>, unclear: Vec<LeaseToken>, stopping: Vec<LeaseToken> },
}

impl Workers {
    /// Lets a worker that speaks come first for what that makes ready. One that reports quickly gathers more of its queue.
    pub fn prefer(&mut self, shard: &Shard, speaker: &Speaker, request: &WorkRequest, at: Moment) {
        self.rooms.hands.prefer(Some(speaker.session));
        if let WorkRequest::Report { run, report, .. } = request {
            let quick = matches!(report.outcome, ReportOutcome::Succeeded { .. })
                && self.leases.is_fresh(report.lease, at.steady);
            let run = shard.run(*run).filter(|_| quick);
            self.rooms.hands.speak(speaker.session, run.and_then(|run| run.queue_of(&report.node)));
        }
    }

    /// Lets nobody come first any more.
    pub fn prefer_nobody(&mut self) {
        self.rooms.hands.prefer(None);
    }

    /// Takes in what a worker says.
    pub fn hear(&mut self, shard: &Shard, speaker: &Speaker, request: WorkRequest, at: Moment) -> Heard {
        let of = |run: RunId, id: CommandId, command: RunCommand| {
            Heard::Wish(Submission::new(id, Command::Run { run, command }))
        };
        match request {
            WorkRequest::Report { run, .. } | WorkRequest::Return { run, .. } | WorkRequest::Started { run, .. }
                if !is_of(shard, run, &speaker.workspace) =>
            {
                Heard::Stranger
            }
            WorkRequest::Report { id, run, report } => {
                let Report { node, attempt, lease, .. } = &report;
                self.let_go(shard, run, node, *attempt, *lease);
                of(run, id, RunCommand::ReportAttempt(report))
            }
            WorkRequest::Return { id, run, node, attempt, lease } => {
                self.let_go(shard, run, &node, attempt, lease);
                of(run, id, RunCommand::ReturnAttempt { node, attempt, lease })
            }
            WorkRequest::Started { run, node, attempt, lease, started_at } => {
                self.still_holds(shard, run, &node, attempt, lease, at);
                let id = CommandId::derived(&[b"started", run.as_uuid().as_bytes(), &lease.bits().to_be_bytes()]);
                let worker = speaker.worker.clone();
                of(run, id, RunCommand::StartAttempt { node, attempt, lease, worker, started_at })
            }
            WorkRequest::Heartbeat { held } => {
                let (mut cancelled, mut unclear, mut stopping) = (Vec::new(), Vec::new(), Vec::new());
                for Held { run, node, attempt, lease, progress: _ } in held {
                    if shard.is_quarantined(run) {
                        unclear.push(lease);
                    } else if !is_of(shard, run, &speaker.workspace)
                        || !self.still_holds(shard, run, &node, attempt, lease, at)
                    {
                        cancelled.push(lease);
                    } else if shard.run(run).is_some_and(Run::is_stopping) {
                        stopping.push(lease);
                    }
                }
                Heard::Alive { cancelled, unclear, stopping }
            }
        }
    }

    /// Waits no longer for who holds an attempt; as long as it is current under another name, its holder is waited for.
    fn let_go(&mut self, shard: &Shard, run: RunId, node: &NodeAddress, attempt: Attempt, token: LeaseToken) {
        let is_current = |run: &Run| run.current_lease(node) == Some((attempt, token));
        if shard.run(run).is_none_or(is_current)
            && let Some(lease) = self.leases.release(token)
        {
            self.spoken_of(&lease);
        }
    }

    /// Notes that an attempt is held; says no when it is not current (any more).
    fn still_holds(
        &mut self,
        shard: &Shard,
        run: RunId,
        node: &NodeAddress,
        attempt: Attempt,
        token: LeaseToken,
        at: Moment,
    ) -> bool {
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

    /// Whoever speaks of an attempt in what waits is not silent.
    pub fn hear_of(&mut self, waiting: impl Iterator<Item = (RunId, LeaseToken)>, at: Moment) {
        for (run, token) in waiting {
            if let Some(lease) = self.leases.get_mut(token).filter(|lease| lease.run == run) {
                lease.seen = at.steady;
            }
        }
    }
}

/// Whether a run may be one of the workspace: one that is not active is answered by the rules.
fn is_of(shard: &Shard, run: RunId, workspace: &WorkspaceId) -> bool {
    shard.run(run).is_none_or(|run| run.workspace() == workspace)
}
