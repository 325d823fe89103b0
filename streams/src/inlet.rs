//! What has come and is not taken yet, bounded in bytes.
//!
//! The client keeps messages by their number, whatever their size: tens of thousands of large ones, from somebody who
//! sends faster than they are taken, are more than a process has. So what waits is moved here whenever there is time,
//! and what does not fit is dropped: nothing rests on its arrival, whoever sent it sends it again.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::Broker;
use crate::complaints::Complaints;

/// What may wait on one connection, all its inlets together.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// What keeping a message takes beside its payload.
const MESSAGE_BYTES: usize = 512;

/// What waits on a connection, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Backlog(AtomicUsize);

impl Backlog {
    fn free(&self) -> usize {
        WAITING_BYTES_MAX.saturating_sub(self.0.load(Ordering::Relaxed))
    }
}

/// The messages of one subscription, in their order.
///
/// A subject may have as many bytes waiting as are free: one that floods leaves half of the room to the others, and
/// two a third. However many subjects somebody invents, all together have no more, and what is small finds room.
pub(crate) struct Inlet {
    subscriber: Subscriber,
    messages: VecDeque<Message>,
    by_subject: HashMap<Box<str>, usize>,
    all: Arc<Backlog>,
}

impl Inlet {
    pub(crate) fn new(subscriber: Subscriber, all: Arc<Backlog>) -> Self {
        Self { subscriber, messages: VecDeque::new(), by_subject: HashMap::new(), all }
    }

    /// Waits for the next message; `None` when the connection is closed for good.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        if let Some(message) = self.try_next() {
            return Some(message);
        }
        self.subscriber.next().await
    }

    /// Returns the next message if one has arrived; what has arrived behind it is moved here.
    pub(crate) fn try_next(&mut self) -> Option<Message> {
        let first = self.take().or_else(|| self.subscriber.next().now_or_never()?);
        self.absorb(&mut Context::from_waker(Waker::noop()));
        first
    }

    /// Moves here what arrives, for as long as this is polled; never done.
    pub(crate) async fn keep(&mut self) {
        poll_fn(|cx| {
            self.absorb(cx);
            Poll::Pending
        })
        .await
    }

    /// Lets nothing more arrive; what has arrived can still be taken.
    pub(crate) async fn stop(&mut self, broker: &Broker) {
        if let Err(error) = self.subscriber.unsubscribe().await {
            tracing::debug!(%error, "the connection is closed already");
        }
        // So that who asks from now on hears at once that nobody listens.
        if let Err(error) = broker.flush().await {
            tracing::debug!(%error, "the broker will notice by itself");
        }
    }

    fn absorb(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(message)) = self.subscriber.poll_next_unpin(cx) {
            self.admit(message);
        }
    }

    fn admit(&mut self, message: Message) {
        let bytes = cost(&message);
        let free = self.all.free();
        let waiting = self.by_subject.get(message.subject.as_str()).copied().unwrap_or_default();
        if waiting + bytes > free {
            static DROPPED: Complaints = Complaints::new();
            if let Some(count) = DROPPED.due() {
                tracing::warn!(subject = %message.subject, count, "more comes than is taken; messages are dropped");
            }
            return;
        }
        *self.by_subject.entry(message.subject.as_str().into()).or_default() += bytes;
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
        self.messages.push_back(message);
    }

    fn take(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        let bytes = cost(&message);
        self.all.0.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(waiting) = self.by_subject.get_mut(message.subject.as_str()) {
            *waiting -= bytes;
            if *waiting == 0 {
                self.by_subject.remove(message.subject.as_str());
            }
        }
        Some(message)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

fn cost(message: &Message) -> usize {
    message.payload.len() + message.subject.len() + MESSAGE_BYTES
}
