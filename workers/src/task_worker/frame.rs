//! One frame there and back: offered again until it is answered (`WRK-1`).

use std::time::Duration;

use bytes::Bytes;
use headwater_core::ShardId;
use headwater_core::protocol::{WorkFrame, WorkReply};
use headwater_streams::requests;
use headwater_streams::subject::work_subject;
use headwater_streams::{Broker, Disposition};
use tokio::time::Instant;

use super::outbox::Entry;

/// How long one try waits for the shard's answer: longer than a slow disk, shorter than a change of owner.
const TRY_WAIT: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A frame and what became of it.
pub(super) struct Answered {
    pub(super) shard: ShardId,
    pub(super) frame: WorkFrame,
    pub(super) give_up_at: Vec<Instant>,
    /// One for each request, in order; `None` when the shard did not answer in the time it was given.
    pub(super) replies: Option<Vec<WorkReply>>,
}

/// Builds the frame of what waits.
pub(super) fn split(entries: Vec<Entry>, mut frame: WorkFrame) -> (WorkFrame, Vec<Instant>) {
    let mut give_up_at = Vec::with_capacity(entries.len());
    frame.requests.reserve_exact(entries.len());
    for Entry { request, give_up_at: at } in entries {
        frame.requests.push(request);
        give_up_at.push(at);
    }
    (frame, give_up_at)
}

/// Offers a frame to its shard until it is answered or nobody wants an answer any more.
pub(super) async fn offer(broker: Broker, shard: ShardId, frame: WorkFrame, give_up_at: Vec<Instant>) -> Answered {
    let subject = work_subject(shard);
    let bytes: Bytes = serde_json::to_vec(&frame).expect("a frame has text keys only").into();
    let last = give_up_at.iter().copied().max().unwrap_or_else(Instant::now);
    let mut pause = PAUSE_MIN;
    let replies = loop {
        match requests::request(&broker, &subject, bytes.clone(), TRY_WAIT).await {
            Ok(answer) => match serde_json::from_slice::<Vec<WorkReply>>(&answer) {
                Ok(replies) if replies.len() == frame.requests.len() => break Some(replies),
                Ok(replies) => {
                    tracing::warn!(%shard, asked = frame.requests.len(), got = replies.len(), "wrong answer")
                }
                Err(error) => tracing::warn!(%shard, %error, "an answer that is none"),
            },
            Err(error) => match error.disposition() {
                Disposition::Unavailable | Disposition::Indeterminate => {
                    tracing::debug!(%shard, %error, "the shard does not answer; asking again");
                }
                Disposition::Rejection | Disposition::Conflict | Disposition::Malformed | Disposition::Corrupt => {
                    tracing::error!(%shard, %error, "the frame cannot be sent");
                    break None;
                }
            },
        }
        if Instant::now() + pause >= last {
            break None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    };
    Answered { shard, frame, give_up_at, replies }
}
