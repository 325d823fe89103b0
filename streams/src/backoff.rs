//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Pauses that double, from a shortest to a longest.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with the shortest pause.
    pub const fn between(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// Of what goes on for as long as its process: a tenth of a second to five seconds.
    pub const fn of_duty() -> Self {
        Self::between(Duration::from_millis(100), Duration::from_secs(5))
    }

    /// Of an exchange with the broker that is made again until it succeeds: twenty milliseconds to a second.
    pub const fn of_exchange() -> Self {
        Self::between(Duration::from_millis(20), Duration::from_secs(1))
    }

    /// Returns the next pause, and makes the one after it longer.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause
    }

    /// Returns how long to wait after a try that lasted this long. One that lasted well makes the pauses short again.
    pub fn after(&mut self, lasted: Duration) -> Duration {
        if lasted > self.max * 2 {
            self.reset();
        }
        self.pause()
    }

    /// Waits for the next pause.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.pause()).await;
    }

    /// Makes the pauses short again.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_shrink_after_a_try_that_lasted() {
        let mut backoff = Backoff::of_duty();
        let pauses: Vec<u128> = (0..8).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(backoff.after(Duration::from_secs(60)), Duration::from_millis(100));
        assert_eq!(backoff.pause(), Duration::from_millis(200));
        backoff.reset();
        assert_eq!(backoff.pause(), Duration::from_millis(100));
    }
}
