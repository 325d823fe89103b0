//! What an owner that loses its shard leaves behind.

use super::asker::Waits;
use super::{Caller, Desk, Output};

impl<R, T> Desk<R, T> {
    /// Tells every caller to ask the next owner: it knows what became of their commands. An effect that is not confirmed, the next
    /// owner sends again.
    pub fn step_down(self, out: &mut Vec<Output<R, T>>) {
        let Self { owner, mut answers, parking, line, releases, .. } = self;
        let watchers = answers.abandon_watchers();
        let asked = line.abandon().filter_map(|waiting| waiting.waits());
        let decided = owner.abandon().into_iter().map(|Caller(asker)| asker).chain(parking.abandon());
        let waiting = asked.chain(decided.filter_map(|asker| asker.waits()));
        let waiting = waiting.chain(watchers.chain(releases.abandon()).map(Waits::Process));
        waiting.for_each(|waits| answers.turn_away(waits, out));
    }
}
