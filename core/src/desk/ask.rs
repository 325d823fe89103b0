//! What the engine's own processes ask of a shard.

use std::time::Duration;

use super::line::{Arrival, Sender};
use super::{Asker, Caller, Desk, FramePlace, Moment, Output};
use crate::asset::Asset;
use crate::protocol::{ShardReply, ShardRequest};
use crate::shard::Rejection;

/// How long an append that landed proves that the next one would.
const PROOF_LASTS: Duration = Duration::from_secs(1);
/// An append that has been on its way for so long is not only slow.
const STALLED_AFTER: Duration = Duration::from_millis(1500);

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
        let frame = self.commands.open(reply, requests.len());
        let overloaded = self.is_overloaded();
        for (index, request) in requests.into_iter().enumerate() {
            let place = FramePlace { frame, index };
            if overloaded {
                self.refuse_command(place, Rejection::Overloaded, out);
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
        match asked {
            ShardRequest::Submit(submission) => self.submit(Asker::Shard(place), *submission, at, out),
            ShardRequest::AwaitRun { run } => self.await_run(place, run, at, out),
            ShardRequest::DescribeAsset { key } => {
                let asset = self.owner.shard().asset(&key);
                let declarations = asset.into_iter().flat_map(Asset::declarations).cloned().collect();
                self.reply(place, ShardReply::Asset { declarations }, out);
            }
            ShardRequest::DescribeQueue { workspace, queue } => {
                let shard = self.owner.shard();
                let waiting = shard.waiting_for(&workspace, &queue) as u64;
                let held = shard.held_of(&workspace, &queue) as u64;
                self.reply(place, ShardReply::Queue { waiting, held }, out);
            }
            ShardRequest::ListQuarantine { aggregate } => self.list_quarantine(place, aggregate.as_ref(), out),
            ShardRequest::Release { id, aggregate, by, actor } => {
                self.begin_release(place, id, aggregate, by, actor, out);
            }
            ShardRequest::NameHeard { of } => {
                let (heard, incarnation) = (self.owner.shard().heard(of), self.owner.shard().lanes().incarnation());
                self.reply(place, ShardReply::Heard { place: heard, incarnation }, out);
            }
            ShardRequest::NameEpoch { prove } => self.name_epoch(place, prove, at, out),
        }
    }

    /// Answers at once, or, to who wants proof that the shard can append, when an append has landed: one a second at most.
    fn name_epoch(&mut self, place: FramePlace, prove: bool, at: Moment, out: &mut Vec<Output<R, T>>) {
        let epoch = self.owner.epoch();
        let pending = self.appending_since.map(|since| at.steady.saturating_sub(since));
        let is_proven = self.appended_at.is_some_and(|last| at.steady.saturating_sub(last) < PROOF_LASTS);
        match pending {
            Some(pending) if pending >= STALLED_AFTER => {
                let appending_ms = u64::try_from(pending.as_millis()).ok();
                self.reply(place, ShardReply::Driven { epoch, appending_ms }, out);
            }
            _ if prove && !is_proven => self.owner.hold(Caller(Asker::Prober(place))),
            _ => self.reply(place, ShardReply::Driven { epoch, appending_ms: None }, out),
        }
    }
}
