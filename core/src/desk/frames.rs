//! Which requests came together and are answered together.

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::protocol::{ShardReply, Task, WorkAnswer, WorkReply};

/// One place in the answer to a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramePlace {
    pub frame: u64,
    pub index: usize,
}

#[derive(Debug)]
struct Open<R, A> {
    reply: R,
    answers: Vec<Option<A>>,
    missing: usize,
}

/// The frames of one kind that have not been answered whole. `R` is where an answer goes, `A` what one request is told.
#[derive(Debug)]
pub(super) struct Frames<R, A> {
    next: u64,
    open: FxHashMap<u64, Open<R, A>>,
    waiting: usize,
}

/// A frame whose last answer is in.
pub(super) struct Complete<R, A> {
    pub reply: R,
    pub answers: Vec<A>,
}

impl<R, A> Frames<R, A> {
    pub fn new() -> Self {
        Self { next: 0, open: FxHashMap::default(), waiting: 0 }
    }

    /// Opens a frame of `count` requests, at least one, and returns its number.
    pub fn open(&mut self, reply: R, count: usize) -> u64 {
        let frame = self.next;
        self.next += 1;
        let answers = std::iter::repeat_with(|| None).take(count).collect();
        self.open.insert(frame, Open { reply, answers, missing: count });
        self.waiting += count;
        frame
    }

    /// Fills in one answer; returns the frame when it was the last.
    pub fn answer(&mut self, place: FramePlace, answer: A) -> Option<Complete<R, A>> {
        let open = self.open.get_mut(&place.frame)?;
        let slot = open.answers.get_mut(place.index)?;
        if slot.replace(answer).is_some() {
            return None;
        }
        open.missing -= 1;
        self.waiting -= 1;
        if open.missing > 0 {
            return None;
        }
        let Open { reply, answers, .. } = self.open.remove(&place.frame)?;
        Some(Complete { reply, answers: answers.into_iter().flatten().collect() })
    }

    /// Returns how many requests wait for their answer.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

impl<R> Complete<R, ShardReply> {
    /// Returns where the answers go, and the answers as they are sent.
    pub fn written(self) -> (R, Vec<u8>) {
        (self.reply, json(&self.answers))
    }
}

/// Brings an answer below what the broker takes: without the tasks that come with it, which are returned and then need a
/// message of their own.
pub(super) fn fit(mut answer: WorkAnswer, bytes_max: usize) -> (Vec<u8>, Vec<Task>) {
    let whole = json(&answer);
    let mut spilled = Vec::new();
    if whole.len() <= bytes_max {
        return (whole, spilled);
    }
    for reply in &mut answer.replies {
        if let WorkReply::Accepted { next } = reply {
            spilled.append(next);
        }
    }
    (json(&answer), spilled)
}

fn json(answer: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(answer).expect("answers have text keys only")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::protocol::Work;
    use crate::{Attempt, Json, LeaseToken, RunId, ShardId, Timestamp};

    /// A task under the lease `n`, with an input a little larger than that.
    pub(in crate::desk) fn task(n: u64, input_bytes: usize) -> Task {
        Task {
            workspace: "acme".parse().unwrap(),
            workflow: "w".parse().unwrap(),
            run: RunId::new(ShardId::new(0).unwrap(), Timestamp::from_micros(1), 1),
            node: "n".parse().unwrap(),
            attempt: Attempt::FIRST,
            lease: LeaseToken::from_bits(n),
            queue: "work".parse().unwrap(),
            work: Work::Job("work".parse().unwrap()),
            input: Json::of(&"x".repeat(input_bytes)),
            assets: Vec::new(),
            effects_key: None,
            deadline: None,
            heartbeat_timeout_ms: None,
        }
    }

    fn leases<'t>(tasks: impl IntoIterator<Item = &'t Task>) -> Vec<u64> {
        tasks.into_iter().map(|task| task.lease.bits()).collect()
    }

    fn answer(replies: Vec<WorkReply>) -> WorkAnswer {
        WorkAnswer { shard: ShardId::new(0).unwrap(), standing: None, replies, malformed: None }
    }

    #[test]
    fn an_answer_that_is_too_large_returns_every_task_it_carried() {
        let replies = vec![
            WorkReply::Accepted { next: vec![task(1, 3_000), task(2, 3_000)] },
            WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() },
            WorkReply::Accepted { next: vec![task(3, 3_000)] },
        ];
        let read = |bytes: &[u8]| serde_json::from_slice::<WorkAnswer>(bytes).unwrap().replies;
        let (bytes, spilled) = fit(answer(replies.clone()), 20_000);
        assert_eq!((read(&bytes), spilled), (replies.clone(), Vec::new()));
        let (bytes, spilled) = fit(answer(replies), 8_000);
        assert_eq!(leases(&spilled), [1, 2, 3]);
        let nothing = || WorkReply::Accepted { next: Vec::new() };
        assert_eq!(
            read(&bytes),
            [
                nothing(),
                WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() },
                nothing()
            ]
        );
    }
}
