//! Answers that name a version of a definition, which whoever hears of it has another shard look for: they leave once what was
//! decided before them is published, so that it is found there.

use std::collections::VecDeque;

use super::{Asker, Caller, Desk, Moment, Output};
use crate::Sequence;
use crate::shard::{Answer, Granted, HandedTasks, Outcome, Position, Rejection, Way};

/// Such answers, in the order they were made, each with the last bundle that has to be published before.
#[derive(Debug)]
pub(super) struct Withheld<T>(VecDeque<(Sequence, Answer<Caller<T>>)>);

impl<T> Withheld<T> {
    pub fn new() -> Self {
        Self(VecDeque::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives back everybody who waits for an answer.
    pub fn abandon(self) -> impl Iterator<Item = Asker<T>> {
        self.0.into_iter().map(|(_, Answer { caller: Caller(asker), .. })| asker)
    }

    /// Takes out the next, now that nothing before `first` is unpublished; `None`: nothing is.
    fn let_go(&mut self, first: Option<Sequence>) -> Option<Answer<Caller<T>>> {
        let (until, _) = self.0.front()?;
        let is_known = first.is_none_or(|first| *until < first);
        is_known.then(|| self.0.pop_front()).flatten().map(|(_, answer)| answer)
    }
}

/// Answers somebody who asks which version is current, or keeps the answer until that version can be found. What is applied
/// after it is not waited for.
pub(super) fn answer<R, T>(
    desk: &mut Desk<R, T>,
    asker: Asker<T>,
    outcome: Result<(Position, Option<Granted>), Rejection>,
    at: Moment,
    out: &mut Vec<Output<R, T>>,
) {
    // A question hands nothing out.
    let tasks = HandedTasks::new();
    let outcome = outcome.map(|(position, granted)| Outcome { position, granted, tasks });
    let answer = Answer { caller: Caller(asker), outcome };
    match desk.owner.undelivered(Way::Definitions) {
        Some((_, last)) if answer.outcome.is_ok() => desk.parking.withheld.0.push_back((last, answer)),
        Some(_) | None => desk.answer(answer, at, out),
    }
}

/// Effects have been delivered: answers whose version is published by now leave.
pub(super) fn delivered<R, T>(
    desk: &mut Desk<R, T>,
    way: Way,
    sequence: Sequence,
    at: Moment,
    out: &mut Vec<Output<R, T>>,
) {
    desk.owner.effects_delivered(way, sequence);
    if desk.parking.withheld.is_empty() {
        return;
    }
    let first = desk.owner.undelivered(Way::Definitions).map(|(first, _)| first);
    while let Some(answer) = desk.parking.withheld.let_go(first) {
        desk.answer(answer, at, out);
    }
}
