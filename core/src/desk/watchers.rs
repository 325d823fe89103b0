//! Who waits for the end of which run.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::frames::FramePlace;
use crate::RunId;

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
    /// Keeps a question; says no to one too many.
    pub fn add(&mut self, run: RunId, place: FramePlace, since: Duration) -> bool {
        if self.count >= WATCHERS_MAX {
            return false;
        }
        self.by_run.entry(run).or_default().push((place, since));
        self.count += 1;
        true
    }

    /// Takes out those that wait for a run.
    pub fn of(&mut self, run: RunId) -> Vec<FramePlace> {
        let watching = self.by_run.remove(&run).unwrap_or_default();
        self.count -= watching.len();
        watching.into_iter().map(|(place, _)| place).collect()
    }

    /// Takes out those that have waited so long that they have asked again meanwhile.
    pub fn old(&mut self, now: Duration) -> Vec<FramePlace> {
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
