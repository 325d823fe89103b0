//! What the engine's own processes ask of a shard.

use super::appends::Writable;
use super::line::{Arrival, Sender};
use super::quarantine::listed;
use super::releases::Releasing;
use super::{Asker, Caller, Desk, FramePlace, Moment, Output, updates};
use crate::action::Action;
use crate::asset::Asset;
use crate::protocol::{RUNS_LISTED_MAX, ShardReply, ShardRequest};
use crate::run::{Run, RunDigest, RunRejection, RunStatus, RunsWanted, callbacks_listed, digest_of, live_context};
use crate::shard::{AssetKey, Position, QueueKey, Rejection, Shard};
use crate::{BranchId, DefinitionVersion, RunId, ShardId, WorkspaceId};

impl<R, T> Desk<R, T> {
    pub(super) fn take_commands(
        &mut self,
        requests: Vec<ShardRequest>,
        reply: R,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        if requests.is_empty() {
            return out.push(Output::Answer { reply, bytes: b"[]".to_vec() });
        }
        let frame = self.answers.open_commands(reply, requests.len());
        let overloaded = self.is_overloaded();
        for (index, request) in requests.into_iter().enumerate() {
            let place = FramePlace { frame, index };
            if overloaded {
                self.answers.refuse(place, Rejection::Overloaded, out);
                continue;
            }
            let sender = Sender::of_asked(frame, &request);
            self.come(sender, Arrival::Shard { place, request }, at, out);
        }
        self.serve(at, out);
    }

    pub(super) fn take_asked(
        &mut self,
        place: FramePlace,
        asked: ShardRequest,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        let shard = self.owner.shard();
        let told = match asked {
            ShardRequest::Submit(submission) => return self.submit(Asker::Shard(place), *submission, None, at, out),
            ShardRequest::AwaitRun { run } => return await_run(self, place, run, at, out),
            ShardRequest::AwaitReply { workspace, run, update } => {
                return updates::await_reply(self, place, (&workspace, run, update), at, out);
            }
            ShardRequest::Release { id, aggregate, by, actor } => {
                return self.begin_release(aggregate, by, Releasing { id, actor, place }, out);
            }
            ShardRequest::NameEpoch { prove } => return name_epoch(self, place, prove, at, out),
            ShardRequest::DescribeAsset { key } => described(shard, &key),
            ShardRequest::DescribeAction { key, version, content_hash } => {
                version_of(shard.action(&key), version, content_hash.as_deref())
            }
            ShardRequest::DescribeRun { workspace, run, branch } => {
                return tell_of_run(self, place, |shard| seen(shard, &workspace, run, branch), out);
            }
            ShardRequest::DigestRun { workspace, run } => {
                return tell_of_run(self, place, |shard| digest(shard, &workspace, run), out);
            }
            ShardRequest::ListCallbacks { workspace, run } => {
                return tell_of_run(self, place, |shard| called_back(shard, &workspace, run), out);
            }
            ShardRequest::ListRuns { workspace, wanted, after, most } => runs(shard, &workspace, &wanted, after, most),
            ShardRequest::DescribeQueue { workspace, queue } => counted(shard, &(workspace, queue)),
            ShardRequest::ListQuarantine { aggregate } => listed(shard, aggregate.as_ref()),
            ShardRequest::NameHeard { of } => heard(shard, of),
        };
        self.answers.reply(place, told, out);
    }
}

/// Tells how a run has ended, now or once it has.
fn await_run<R, T>(desk: &mut Desk<R, T>, place: FramePlace, run: RunId, at: Moment, out: &mut Vec<Output<R, T>>) {
    let shard = desk.owner.shard();
    if shard.run(run).is_some() || shard.is_quarantined(run) {
        return desk.answers.watch(run, place, at.steady, out);
    }
    match desk.owner.ended_run(run) {
        // It ended in a bundle that is not durable yet; its release answers.
        Some((_, None)) => desk.answers.watch(run, place, at.steady, out),
        Some((status, Some(position))) => {
            desk.answers.reply(place, ended(shard, run, (status, position)), out);
        }
        // Where its start is refused, whoever waits asks again and is told.
        None if desk.parking.holds_up(run) => desk.answers.watch(run, place, at.steady, out),
        None => desk.owner.hold(Caller(Asker::Watcher(place))),
    }
}

fn ended(shard: &Shard, run: RunId, (status, position): (RunStatus, Position)) -> ShardReply {
    ShardReply::Ended { status, position, successor: shard.successor_of(run) }
}

/// Answers at once, or, to who wants proof that the shard can append, when an append has landed: one a second at most.
fn name_epoch<R, T>(desk: &mut Desk<R, T>, place: FramePlace, prove: bool, at: Moment, out: &mut Vec<Output<R, T>>) {
    let appending_ms = match desk.appends.writable(at.steady) {
        Writable::Stalled(pending) => u64::try_from(pending.as_millis()).ok(),
        Writable::Unproven if prove => return desk.owner.hold(Caller(Asker::Prober(place))),
        Writable::Unproven | Writable::Proven => None,
    };
    let driven = ShardReply::Driven { epoch: desk.owner.epoch(), appending_ms };
    desk.answers.reply(place, driven, out);
}

/// Tells who asks what is seen of a run: when that is durable.
fn tell_of_run<R, T>(
    desk: &mut Desk<R, T>,
    place: FramePlace,
    tell: impl FnOnce(&Shard) -> ShardReply,
    out: &mut Vec<Output<R, T>>,
) {
    let told = tell(desk.owner.shard());
    if desk.owner.is_filling() || desk.owner.is_appending() {
        return desk.owner.hold(Caller(Asker::Reader { place, told: Box::new(told) }));
    }
    desk.answers.reply(place, told, out);
}

/// What is seen in a branch of a run, where that is told.
fn seen(shard: &Shard, workspace: &WorkspaceId, run: RunId, branch: BranchId) -> ShardReply {
    live(shard, workspace, run, |run| {
        let (context, bytes) = live_context(run, branch);
        ShardReply::Run { context, bytes }
    })
}

/// By what a run is told from another folding of it.
fn digest(shard: &Shard, workspace: &WorkspaceId, run: RunId) -> ShardReply {
    live(shard, workspace, run, |run| {
        let RunDigest { revision, digest } = digest_of(run);
        ShardReply::Digest { revision, digest }
    })
}

/// What there is to tell of an active run, where that is told.
fn live(shard: &Shard, workspace: &WorkspaceId, run: RunId, tell: impl FnOnce(&Run) -> ShardReply) -> ShardReply {
    let refused = |rejection| ShardReply::Refused { rejection: Rejection::Run(rejection) };
    match shard.run(run) {
        Some(run) if run.workspace() == workspace => tell(run),
        None if shard.is_quarantined(run) => {
            let reason = "its state is not known".to_owned();
            ShardReply::Refused { rejection: Rejection::Quarantined { reason } }
        }
        Some(_) | None => match shard.ended_run(run) {
            Some(ended) => {
                refused(RunRejection::RunClosed { status: ended.status, successor: shard.successor_of(run) })
            }
            None => refused(RunRejection::RunNotFound),
        },
    }
}

/// The attempts of a run that somebody outside ends.
fn called_back(shard: &Shard, workspace: &WorkspaceId, run: RunId) -> ShardReply {
    live(shard, workspace, run, |run| {
        let callbacks = callbacks_listed(run);
        ShardReply::Run { bytes: callbacks.len_bytes() as u64, context: Some(callbacks) }
    })
}

/// The first runs that are meant, and how many are.
fn runs(shard: &Shard, workspace: &WorkspaceId, wanted: &RunsWanted, after: Option<RunId>, most: u32) -> ShardReply {
    let is_meant = |run: &&Run| after.is_none_or(|after| run.id() > after) && wanted.means(workspace, run);
    let mut runs: Vec<_> = shard.active().filter(is_meant).map(Run::id).collect();
    let (total, most) = (runs.len() as u64, most.min(RUNS_LISTED_MAX) as usize);
    if most < runs.len() {
        runs.select_nth_unstable(most);
        runs.truncate(most);
    }
    runs.sort_unstable();
    ShardReply::Runs { runs, total }
}

fn heard(shard: &Shard, of: ShardId) -> ShardReply {
    ShardReply::Heard { place: shard.heard(of), incarnation: shard.lanes().incarnation() }
}

fn described(shard: &Shard, key: &AssetKey) -> ShardReply {
    let declarations = shard.asset(key).into_iter().flat_map(Asset::declarations).cloned().collect();
    ShardReply::Asset { declarations }
}

fn version_of(action: Option<&Action>, version: Option<DefinitionVersion>, content_hash: Option<&str>) -> ShardReply {
    let found = action.and_then(|action| {
        let version = version.or(action.current())?;
        Some((version, action.document(version)?.clone()))
    });
    let of_content =
        action.map_or(DefinitionVersion::FIRST, |action| action.version_of(content_hash.unwrap_or_default()));
    ShardReply::Action { found, of_content }
}

fn counted(shard: &Shard, (workspace, queue): &QueueKey) -> ShardReply {
    let waiting = shard.waiting_for(workspace, queue) as u64;
    ShardReply::Queue { waiting, held: shard.held_of(workspace, queue) as u64 }
}
