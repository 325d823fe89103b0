//! Answers that name a version of a definition, which whoever hears of it has another shard look for: they leave once what was
//! decided before them is published, so that it is found there.

use std::collections::VecDeque;

use super::asker::Waits;
use super::{Caller, Desk, Moment, Output};
use crate::Sequence;
use crate::shard::{Answer, Way};

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
    pub fn abandon(self) -> impl Iterator<Item = Waits> {
        self.0.into_iter().filter_map(|(_, Answer { caller: Caller(asker), .. })| asker.waits())
    }

    /// Takes out the next, now that nothing before `first` is unpublished; `None`: nothing is.
    fn let_go(&mut self, first: Option<Sequence>) -> Option<Answer<Caller<T>>> {
        let (until, _) = self.0.front()?;
        let is_known = first.is_none_or(|first| *until < first);
        is_known.then(|| self.0.pop_front()).flatten().map(|(_, answer)| answer)
    }
}

impl<R, T> Desk<R, T> {
    /// Answers somebody who asks which version is current, or keeps the answer until that version can be found. What is applied
    /// after it is not waited for.
    pub(super) fn answer_inquirer(&mut self, answer: Answer<Caller<T>>, at: Moment, out: &mut Vec<Output<R, T>>) {
        match self.owner.undelivered(Way::Definitions) {
            Some((_, last)) if answer.outcome.is_ok() => self.withheld.0.push_back((last, answer)),
            Some(_) | None => self.answer(answer, at, out),
        }
    }

    /// Effects have been delivered: answers whose version is published by now leave.
    pub(super) fn answer_withheld(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        if self.withheld.is_empty() {
            return;
        }
        let first = self.owner.undelivered(Way::Definitions).map(|(first, _)| first);
        while let Some(answer) = self.withheld.let_go(first) {
            self.answer(answer, at, out);
        }
    }
}
