//! What the engine's own processes ask of a shard.

use super::{Asker, Desk, Moment, Output, Place};
use crate::asset::Asset;
use crate::protocol::{ShardReply, ShardRequest};
use crate::shard::Rejection;

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
            let place = Place { frame, index };
            match request {
                _ if overloaded => self.refuse_command(place, Rejection::Overloaded, out),
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
                ShardRequest::NameEpoch {} => {
                    let epoch = self.owner.epoch();
                    self.reply(place, ShardReply::Driven { epoch }, out);
                }
            }
        }
    }
}
