//! How often the same may be said in the log: whoever can make something go wrong again and again must not fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one thing is said, at most.
const EVERY: Duration = Duration::from_secs(1);

/// One thing that is said in the log when it happens, once a second at most. Make one for each thing that is said, as a
/// `static` or for whatever it is said of.
#[derive(Debug)]
pub struct Complaints {
    /// Because whoever says it may be on any thread.
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    /// Makes one that nothing was said of.
    pub const fn new() -> Self {
        Self { said: Mutex::new(Said { last: None, unsaid: 0 }) }
    }

    /// Counts one more. Where it may be said now, returns how many there were since it was last said, this one
    /// among them.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.unsaid += 1;
        if said.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

impl Default for Complaints {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_second_and_nothing_of_it_is_lost() {
        let (complaints, began) = (Complaints::new(), Instant::now());
        assert_eq!(complaints.due_at(began), Some(1), "the first at once");
        for _ in 0..716_000 {
            assert_eq!(complaints.due_at(began + EVERY / 2), None);
        }
        assert_eq!(complaints.due_at(began + EVERY), Some(716_001));
        assert_eq!(complaints.due_at(began + EVERY), None);
        assert_eq!(complaints.due_at(began + EVERY * 60), Some(2));
    }
}
