//! Which requests came together and are answered together.

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::protocol::{ShardReply, Task, WorkReply};
use crate::shard::Rejection;

/// One place in the answer to a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
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

    /// Opens a frame of `count` requests and returns its number; one without requests is not answered.
    pub fn open(&mut self, reply: R, count: usize) -> Option<u64> {
        if count == 0 {
            return None;
        }
        let frame = self.next;
        self.next += 1;
        let answers = std::iter::repeat_with(|| None).take(count).collect();
        self.open.insert(frame, Open { reply, answers, missing: count });
        self.waiting += count;
        Some(frame)
    }

    /// Fills in one answer; returns the frame when it was the last.
    pub fn answer(&mut self, place: Place, answer: A) -> Option<Complete<R, A>> {
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

impl<R> Complete<R, WorkReply> {
    /// Returns where the answers go, the answers as they are sent, and the tasks that did not fit, which then need
    /// another way to a worker.
    pub fn written(self, bytes_max: usize) -> (R, Vec<u8>, Vec<Task>) {
        let (bytes, spilled) = fit(self.answers, bytes_max);
        (self.reply, bytes, spilled)
    }
}
/// Brings answers below what the broker takes: without the tasks that come with them, which are returned, and if that
/// is not enough with fewer claims granted, the last first. Who is refused holds its attempt, and asks again: the first
/// is always granted, because one task alone came through the queue, which takes less.
fn fit(mut replies: Vec<WorkReply>, bytes_max: usize) -> (Vec<u8>, Vec<Task>) {
    let whole = json(&replies);
    let mut spilled = Vec::new();
    if whole.len() <= bytes_max {
        return (whole, spilled);
    }
    for reply in &mut replies {
        if let WorkReply::Accepted { next } = reply {
            spilled.append(next);
        }
    }
    let mut bytes = json(&replies).len();
    for reply in replies.iter_mut().rev() {
        if bytes > bytes_max && matches!(reply, WorkReply::Granted { .. }) {
            let refused = WorkReply::Refused { rejection: Rejection::Overloaded };
            bytes = bytes + json(&refused).len() - json(reply).len();
            *reply = refused;
        }
    }
    (json(&replies), spilled)
}

fn json(replies: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(replies).expect("replies have text keys only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Work;
    use crate::{Attempt, Json, LeaseToken, RunId, ShardId, Timestamp};

    fn task(n: u64, input_bytes: usize) -> Task {
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
            deadline: None,
            heartbeat_timeout_ms: None,
            claim_first: false,
        }
    }

    fn leases<'t>(tasks: impl IntoIterator<Item = &'t Task>) -> Vec<u64> {
        tasks.into_iter().map(|task| task.lease.bits()).collect()
    }

    fn read(bytes: &[u8]) -> Vec<WorkReply> {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn an_answer_that_is_too_large_returns_every_task_it_carried() {
        let replies = vec![
            WorkReply::Accepted { next: vec![task(1, 3_000), task(2, 3_000)] },
            WorkReply::Alive { cancelled: Vec::new() },
            WorkReply::Accepted { next: vec![task(3, 3_000)] },
        ];
        let (bytes, spilled) = fit(replies.clone(), 20_000);
        assert_eq!((read(&bytes), spilled), (replies.clone(), Vec::new()));
        let (bytes, spilled) = fit(replies, 8_000);
        assert_eq!(leases(&spilled), [1, 2, 3]);
        let nothing = || WorkReply::Accepted { next: Vec::new() };
        assert_eq!(read(&bytes), [nothing(), WorkReply::Alive { cancelled: Vec::new() }, nothing()]);
    }

    #[test]
    fn of_claims_that_are_too_large_together_the_first_are_granted_and_the_others_ask_again() {
        let mut asked: Vec<u64> = (1..=5).collect();
        let mut rounds = Vec::new();
        while !asked.is_empty() {
            let granted = asked.iter().map(|n| WorkReply::Granted { task: task(*n, 3_000) });
            let carried = WorkReply::Accepted { next: vec![task(9, 3_000)] };
            let (bytes, spilled) = fit(granted.chain([carried]).collect(), 8_000);
            assert!(bytes.len() <= 8_000);
            let replies = read(&bytes);
            let granted: Vec<u64> = replies
                .iter()
                .filter_map(
                    |reply| if let WorkReply::Granted { task } = reply { Some(task.lease.bits()) } else { None },
                )
                .collect();
            let again = WorkReply::Refused { rejection: Rejection::Overloaded };
            assert!(replies[granted.len()..asked.len()].iter().all(|reply| *reply == again));
            assert!(spilled.is_empty() || leases(&spilled) == [9]);
            asked.retain(|n| !granted.contains(n));
            rounds.push(granted);
        }
        assert_eq!(rounds, [vec![1, 2], vec![3, 4], vec![5]]);
    }
}
