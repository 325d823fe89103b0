//! Who waits for what, and where it is worth looking.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::{RunId, ShardId};
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use super::{Ask, Page};

/// Everyone who waits, by run.
#[derive(Debug, Default)]
pub(super) struct Followers {
    runs: FxHashMap<RunId, Followed>,
}

/// A run that somebody waits for, or did a moment ago.
#[derive(Debug, Default)]
struct Followed {
    waiters: Vec<(u64, oneshot::Sender<Arc<Page>>)>,
    /// Where it ended when it was looked at last; `None`: that is not known, or something may have come since.
    end: Option<u64>,
    /// It is worth looking.
    is_due: bool,
    /// Nobody waited for it at the sweep before.
    was_idle: bool,
}

impl Followers {
    pub(super) fn add(&mut self, ask: Ask) {
        let followed = self.runs.entry(ask.run).or_default();
        followed.is_due |= followed.end != Some(ask.after);
        followed.waiters.push((ask.after, ask.reply));
    }

    /// Returns whether nobody waits, nor did a moment ago.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns how many wait.
    pub(super) fn len(&self) -> usize {
        self.runs.values().map(|followed| followed.waiters.len()).sum()
    }

    /// Says that something may have come in the runs of these shards.
    pub(super) fn moved(&mut self, shards: &BTreeSet<ShardId>) {
        for (run, followed) in &mut self.runs {
            if shards.contains(&run.shard()) {
                followed.moved();
            }
        }
    }

    /// Says so of every run, and forgets those for which nobody has waited since the sweep before.
    pub(super) fn sweep(&mut self) {
        self.runs.retain(|_, followed| {
            followed.waiters.retain(|(_, reply)| !reply.is_closed());
            followed.moved();
            let is_idle = followed.waiters.is_empty();
            !(is_idle && std::mem::replace(&mut followed.was_idle, is_idle))
        });
    }

    /// Returns the places that are worth a look, each once, and counts them as looked at.
    pub(super) fn take_due(&mut self) -> Vec<(RunId, u64)> {
        let mut places = Vec::new();
        for (run, followed) in self.runs.iter_mut().filter(|(_, followed)| followed.is_due) {
            followed.is_due = false;
            followed.waiters.retain(|(_, reply)| !reply.is_closed());
            let afters: BTreeSet<u64> = followed.waiters.iter().map(|(after, _)| *after).collect();
            places.extend(afters.into_iter().map(|after| (*run, after)));
        }
        places
    }

    /// Says where a run ends as far as was seen.
    pub(super) fn ends(&mut self, run: RunId, end: u64) {
        if let Some(followed) = self.runs.get_mut(&run).filter(|followed| !followed.is_due) {
            followed.end = Some(end);
        }
    }

    /// Takes everyone who waits at a place.
    pub(super) fn take(&mut self, run: RunId, after: u64) -> Vec<oneshot::Sender<Arc<Page>>> {
        let Some(followed) = self.runs.get_mut(&run) else { return Vec::new() };
        followed.was_idle = false;
        let here = followed.waiters.extract_if(.., |(place, _)| *place == after);
        here.map(|(_, reply)| reply).collect()
    }
}

impl Followed {
    fn moved(&mut self) {
        self.is_due = !self.waiters.is_empty();
        self.end = None;
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::Timestamp;

    use super::*;

    fn run(shard: u16, number: u128) -> RunId {
        // The lowest bits are the shard.
        RunId::new(ShardId::new(shard).unwrap(), Timestamp::from_micros(1), number << 20)
    }

    fn ask(run: RunId, after: u64) -> (Ask, oneshot::Receiver<Arc<Page>>) {
        let (reply, page) = oneshot::channel();
        (Ask { run, after, reply }, page)
    }

    #[test]
    fn only_what_moved_is_looked_at_and_each_place_once() {
        let (mut waiting, mut pages) = (Followers::default(), Vec::new());
        let runs = [run(0, 1), run(0, 2), run(1, 3)];
        for run in runs {
            for _ in 0..100 {
                let (ask, page) = ask(run, 5);
                waiting.add(ask);
                pages.push(page);
            }
        }
        assert_eq!((waiting.take_due().len(), waiting.len()), (3, 300));
        runs.iter().for_each(|run| waiting.ends(*run, 5));
        assert_eq!(waiting.take_due(), []);
        waiting.moved(&BTreeSet::from([ShardId::new(1).unwrap()]));
        assert_eq!(waiting.take_due(), [(runs[2], 5)]);
        // Who comes to a place where nothing was behind waits without a look; who comes from elsewhere has one.
        waiting.ends(runs[2], 5);
        let (same, _page) = ask(runs[2], 5);
        waiting.add(same);
        assert_eq!(waiting.take_due(), []);
        let (earlier, _page) = ask(runs[2], 3);
        waiting.add(earlier);
        assert_eq!(waiting.take_due(), [(runs[2], 3), (runs[2], 5)]);
    }

    #[test]
    fn what_came_while_it_was_looked_at_is_looked_at_again() {
        let (mut waiting, run) = (Followers::default(), run(0, 1));
        let (first, _page) = ask(run, 5);
        waiting.add(first);
        assert_eq!(waiting.take_due(), [(run, 5)]);
        waiting.moved(&BTreeSet::from([run.shard()]));
        waiting.ends(run, 5);
        assert_eq!(waiting.take_due(), [(run, 5)]);
    }

    #[test]
    fn who_is_gone_is_forgotten_and_so_is_what_nobody_waits_for() {
        let (mut waiting, run) = (Followers::default(), run(0, 1));
        let (gone, page) = ask(run, 5);
        waiting.add(gone);
        drop(page);
        assert_eq!(waiting.take_due(), []);
        assert_eq!(waiting.len(), 0);
        waiting.sweep();
        assert!(!waiting.is_empty());
        waiting.sweep();
        assert!(waiting.is_empty());
    }
}
