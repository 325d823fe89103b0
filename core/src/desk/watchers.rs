//! Who waits for the end of which run.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::{Asker, Caller, Desk, FramePlace, Moment, Output};
use crate::RunId;
use crate::protocol::ShardReply;
use crate::shard::Rejection;

/// How long a question for a run's end is kept: a little longer than those who ask wait before they ask again.
const WATCH_WAIT: Duration = Duration::from_secs(12);
/// How many questions are kept. Whoever asks one more is told so, and asks again after a while.
const WATCHERS_MAX: usize = 32_768;

/// The questions for the end of runs that have not ended.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_run: FxHashMap<RunId, Vec<(FramePlace, Duration)>>,
    count: usize,
}

impl Watchers {
    pub fn add(&mut self, run: RunId, place: FramePlace, since: Duration) {
        self.by_run.entry(run).or_default().push((place, since));
        self.count += 1;
    }

    /// Takes out those that wait for a run.
    pub fn of(&mut self, run: RunId) -> Vec<FramePlace> {
        let watching = self.by_run.remove(&run).unwrap_or_default();
        self.count -= watching.len();
        watching.into_iter().map(|(place, _)| place).collect()
    }

    /// Takes out those that have waited so long that they have asked again meanwhile.
    fn old(&mut self, now: Duration) -> Vec<FramePlace> {
        let mut old = Vec::new();
        for watching in self.by_run.values_mut() {
            let is_old = |(_, since): &mut (FramePlace, Duration)| now.saturating_sub(*since) > WATCH_WAIT;
            old.extend(watching.extract_if(.., is_old).map(|(place, _)| place));
        }
        self.by_run.retain(|_, watching| !watching.is_empty());
        self.count -= old.len();
        old
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn abandon(self) -> impl Iterator<Item = FramePlace> {
        self.by_run.into_values().flatten().map(|(place, _)| place)
    }
}

impl<R, T> Desk<R, T> {
    pub(super) fn await_run(&mut self, place: FramePlace, run: RunId, at: Moment, out: &mut Vec<Output<R, T>>) {
        let shard = self.owner.shard();
        if shard.run(run).is_some() || shard.is_quarantined(run) {
            return self.watch(place, run, at, out);
        }
        match self.owner.ended_run(run) {
            // It ended in a bundle that is not durable yet; its release answers.
            Some((_, None)) => self.watch(place, run, at, out),
            Some((status, Some(position))) => self.reply(place, ShardReply::Ended { status, position }, out),
            // Where its start is refused, whoever waits asks again and is told.
            None if self.parking.holds_up(run) => self.watch(place, run, at, out),
            None => self.owner.hold(Caller(Asker::Watcher(place))),
        }
    }

    fn watch(&mut self, place: FramePlace, run: RunId, at: Moment, out: &mut Vec<Output<R, T>>) {
        if self.watchers.count() >= WATCHERS_MAX {
            return self.refuse_command(place, Rejection::Overloaded, out);
        }
        self.watchers.add(run, place, at.steady);
    }

    pub(super) fn let_watchers_ask_again(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        for place in self.watchers.old(at.steady) {
            self.reply(place, ShardReply::Refused { rejection: Rejection::NotOwner }, out);
        }
    }
}
