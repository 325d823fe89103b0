//! One frame there and back: offered again until it is answered (`WRK-1`).

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use headwater_core::protocol::{WorkAnswer, WorkFrame};
use headwater_core::{ShardId, WorkspaceId};
use headwater_streams::backoff::Backoff;
use headwater_streams::requests;
use headwater_streams::subject::work_subject;
use headwater_streams::{Broker, Disposition};
use tokio::time::Instant;

use super::outbox::Entry;

/// How long one try waits for the shard's answer: longer than a slow disk, shorter than a change of owner.
const TRY_WAIT: Duration = Duration::from_secs(5);

/// A frame and what became of it.
pub(super) struct Answered {
    pub(super) shard: ShardId,
    pub(super) frame: WorkFrame,
    pub(super) give_up_at: Vec<Instant>,
    /// One for each request, in order; `None` when the shard did not answer in the time it was given.
    pub(super) answer: Option<WorkAnswer>,
}

/// The frames that are on their way.
pub(super) type UnderWay = FuturesUnordered<BoxFuture<'static, Answered>>;

/// Returns a set of frames that never is empty. One that has polled every future it holds wakes its task again, in vain:
/// with a single frame on its way that doubled the turns of the loop, and each second one woke another thread.
pub(super) fn under_way() -> UnderWay {
    std::iter::once(std::future::pending().boxed()).collect()
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
pub(super) async fn offer(
    broker: Broker,
    workspace: WorkspaceId,
    shard: ShardId,
    frame: WorkFrame,
    give_up_at: Vec<Instant>,
) -> Answered {
    let subject = work_subject(&workspace, shard);
    let bytes: Bytes = serde_json::to_vec(&frame).expect("a frame has text keys only").into();
    let last = give_up_at.iter().copied().max().unwrap_or_else(Instant::now);
    let mut backoff = Backoff::of_exchange();
    let answer = loop {
        match requests::request(&broker, &subject, bytes.clone(), TRY_WAIT).await {
            Ok(answer) => match serde_json::from_slice::<WorkAnswer>(&answer) {
                Ok(WorkAnswer { malformed: Some(malformed), .. }) => {
                    tracing::error!(%shard, %malformed, "the shard cannot read what this worker says");
                    break None;
                }
                Ok(answer) if answer.replies.len() == frame.requests.len() => break Some(answer),
                Ok(answer) => {
                    tracing::warn!(%shard, asked = frame.requests.len(), got = answer.replies.len(), "wrong answer")
                }
                Err(error) => tracing::warn!(%shard, %error, "a malformed answer"),
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
        let pause = backoff.pause();
        if Instant::now() + pause >= last {
            break None;
        }
        tokio::time::sleep(pause).await;
    };
    Answered { shard, frame, give_up_at, answer }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use futures_util::Stream as _;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often waiting for a single frame wakes the one who waits, although nothing has happened.
    fn woken_in_vain(mut frames: UnderWay) -> usize {
        // What has been in the set for a while was polled before.
        let _ = Pin::new(&mut frames).poll_next(&mut Context::from_waker(Waker::noop()));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        frames.push(std::future::pending().boxed());
        assert!(Pin::new(&mut frames).poll_next(&mut context).is_pending());
        woken.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_frame_on_its_way_does_not_wake_the_loop_before_it_is_answered() {
        assert_eq!(woken_in_vain(UnderWay::new()), 1, "else the set could be a plain one");
        assert_eq!(woken_in_vain(under_way()), 0);
    }
}
