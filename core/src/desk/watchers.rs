//! Who waits for the end of which run, or for what an update is answered with.

use std::ops::RangeBounds;
use std::time::Duration;

use std::collections::BTreeMap;

use super::frames::FramePlace;

/// How long a question for a run's end is kept: a little longer than those who ask wait before they ask again.
const WATCH_WAIT: Duration = Duration::from_secs(12);
/// How many questions are kept. Whoever asks one more is told so, and asks again after a while.
const WATCHERS_MAX: usize = 32_768;

/// The questions for the end of runs that have not ended.
#[derive(Debug)]
pub(super) struct Watchers<K> {
    by_key: BTreeMap<K, Vec<(FramePlace, Duration)>>,
    count: usize,
}

impl<K> Default for Watchers<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), count: 0 }
    }
}

impl<K: Ord + Copy> Watchers<K> {
    /// Keeps a question; says no to one too many.
    pub fn add(&mut self, key: K, place: FramePlace, since: Duration) -> bool {
        if self.count >= WATCHERS_MAX {
            return false;
        }
        self.by_key.entry(key).or_default().push((place, since));
        self.count += 1;
        true
    }

    /// Takes out those that wait for this.
    pub fn of(&mut self, key: K) -> Vec<FramePlace> {
        let watching = self.by_key.remove(&key).unwrap_or_default();
        self.count -= watching.len();
        watching.into_iter().map(|(place, _)| place).collect()
    }

    /// Takes out those that have waited so long that they have asked again meanwhile.
    pub fn old(&mut self, now: Duration) -> Vec<FramePlace> {
        let mut old = Vec::new();
        for watching in self.by_key.values_mut() {
            let is_old = |(_, since): &mut (FramePlace, Duration)| now.saturating_sub(*since) > WATCH_WAIT;
            old.extend(watching.extract_if(.., is_old).map(|(place, _)| place));
        }
        self.by_key.retain(|_, watching| !watching.is_empty());
        self.count -= old.len();
        old
    }

    /// Takes out all that wait for one of these.
    pub fn among(&mut self, keys: impl RangeBounds<K>) -> Vec<FramePlace> {
        let keys: Vec<K> = self.by_key.range(keys).map(|(key, _)| *key).collect();
        keys.into_iter().flat_map(|key| self.of(key)).collect()
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn abandon(self) -> impl Iterator<Item = FramePlace> {
        self.by_key.into_values().flatten().map(|(place, _)| place)
    }
}
