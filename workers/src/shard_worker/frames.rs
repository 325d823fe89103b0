//! Which requests came together and are answered together: one message there, one back.

use std::collections::HashMap;

use headwater_core::protocol::{ShardReply, Task, WorkReply};
use headwater_streams::requests::ReplyTo;

/// One place in the answer to a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub frame: u64,
    pub index: usize,
}

#[derive(Debug)]
struct Open<R> {
    reply: ReplyTo,
    replies: Vec<Option<R>>,
    missing: usize,
}

/// The frames of one kind that have not been answered whole.
#[derive(Debug)]
pub(super) struct Frames<R> {
    next: u64,
    open: HashMap<u64, Open<R>>,
    waiting: usize,
}

/// A frame whose last answer is in.
pub(super) struct Complete<R> {
    pub reply: ReplyTo,
    pub replies: Vec<R>,
}

impl<R> Frames<R> {
    pub fn new() -> Self {
        Self { next: 0, open: HashMap::new(), waiting: 0 }
    }

    /// Opens a frame of `count` requests and returns its number.
    pub fn open(&mut self, reply: ReplyTo, count: usize) -> u64 {
        let frame = self.next;
        self.next += 1;
        let replies = std::iter::repeat_with(|| None).take(count).collect();
        self.open.insert(frame, Open { reply, replies, missing: count });
        self.waiting += count;
        frame
    }

    /// Fills in one answer; returns the frame when it was the last.
    pub fn answer(&mut self, place: Place, answer: R) -> Option<Complete<R>> {
        let open = self.open.get_mut(&place.frame)?;
        let slot = open.replies.get_mut(place.index)?;
        if slot.replace(answer).is_some() {
            return None;
        }
        open.missing -= 1;
        self.waiting -= 1;
        if open.missing > 0 {
            return None;
        }
        let Open { reply, replies, .. } = self.open.remove(&place.frame)?;
        Some(Complete { reply, replies: replies.into_iter().flatten().collect() })
    }

    /// Returns how many requests wait for their answer.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

impl Complete<ShardReply> {
    /// Sends the answers.
    pub async fn send(self) {
        let bytes = serde_json::to_vec(&self.replies).expect("replies have text keys only");
        if let Err(error) = self.reply.send(bytes.into()).await {
            tracing::debug!(%error, "an answer could not be sent; the caller will ask again");
        }
    }
}

impl Complete<WorkReply> {
    /// Sends the answers; returns the tasks that did not fit, which then need another way to a worker.
    pub async fn send(mut self, bytes_max: usize) -> Vec<Task> {
        let mut bytes = serde_json::to_vec(&self.replies).expect("replies have text keys only");
        let mut spilled = Vec::new();
        if bytes.len() > bytes_max {
            for reply in &mut self.replies {
                if let WorkReply::Accepted { next } = reply {
                    spilled.append(next);
                }
            }
            bytes = serde_json::to_vec(&self.replies).expect("replies have text keys only");
        }
        if let Err(error) = self.reply.send(bytes.into()).await {
            tracing::debug!(%error, "an answer could not be sent; the worker will ask again");
        }
        spilled
    }
}
