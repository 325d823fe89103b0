//! Who waits for what an update is answered with.

use super::{Asker, Caller, Desk, FramePlace, Moment, Output};
use crate::protocol::ShardReply;
use crate::run::{Reply, RunRejection, UpdateStanding, standing_of_update};
use crate::shard::{Position, Rejection};
use crate::{CommandId, RunId, Sequence, WorkspaceId};

/// Answers who asks for a reply when that is durable, or keeps the question until there is one.
pub(super) fn await_reply<R, T>(
    desk: &mut Desk<R, T>,
    place: FramePlace,
    (workspace, run, update): (&WorkspaceId, RunId, CommandId),
    at: Moment,
    out: &mut Vec<Output<R, T>>,
) {
    let shard = desk.owner.shard();
    let refused = |rejection| ShardReply::Refused { rejection: Rejection::Run(rejection) };
    let told = match shard.run(run).filter(|found| found.workspace() == workspace) {
        Some(found) => match standing_of_update(found, update) {
            UpdateStanding::Replied(reply) => {
                // Of the bundle that the answer leaves with.
                let ahead = 1 + u64::from(desk.owner.is_appending());
                let sequence = Sequence::new(desk.owner.last().get() + ahead);
                let position = Position { shard: shard.id(), sequence };
                ShardReply::Replied { reply, position }
            }
            UpdateStanding::Waits => return desk.answers.listen(run, update, place, at.steady, out),
            UpdateStanding::Forgotten => refused(RunRejection::ReplyForgotten),
            UpdateStanding::Unknown => refused(RunRejection::UpdateNotFound),
        },
        None if shard.is_quarantined(run) => {
            let reason = "its state is not known".to_owned();
            ShardReply::Refused { rejection: Rejection::Quarantined { reason } }
        }
        None => match shard.ended_run(run) {
            Some(ended) => {
                refused(RunRejection::RunClosed { status: ended.status, successor: shard.successor_of(run) })
            }
            None => refused(RunRejection::RunNotFound),
        },
    };
    // What stands behind it may not be durable yet, and a refusal never is before an append (`SHD-4`).
    desk.owner.hold(Caller(Asker::Reader { place, told: Box::new(told) }));
}

/// Updates were answered in the bundle that has just landed.
pub(super) fn replied<R, T>(
    desk: &mut Desk<R, T>,
    replied: Vec<(RunId, CommandId, Reply)>,
    out: &mut Vec<Output<R, T>>,
) {
    let position = Position { shard: desk.owner.shard().id(), sequence: desk.owner.last() };
    for (run, update, reply) in replied {
        for place in desk.answers.take_listeners(run, update) {
            let reply = reply.clone();
            desk.answers.reply(place, ShardReply::Replied { reply, position }, out);
        }
    }
}
