//! Whether and when a failed attempt is tried again.

use std::time::Duration;

use super::{Seen, Step};
use crate::definition::{Backoff, Jitter, RetryPolicy};
use crate::run::budget::Later;
use crate::run::state::{Due, Place};
use crate::run::{RunEvent, RunFailure};
use crate::{Attempt, LeaseToken, RunId};

impl Step<'_, '_> {
    /// Ends the current attempt badly, and arms the next or ends the node.
    ///
    /// # Errors
    /// [`Later`]; nothing has happened.
    pub(super) fn fail_attempt(
        &mut self,
        failure: RunFailure,
        permanent: bool,
        seen: Option<Seen>,
    ) -> Result<(), Later> {
        let policy = &self.node().retry;
        let Some(attempt) = self.current().map(|current| current.attempt) else { return Ok(()) };
        let failure = failure.at(&self.address(), Some(attempt));
        let (worker, started_at) = seen.unzip();
        let event =
            RunEvent::AttemptFailed { node: self.address(), attempt, failure: failure.clone(), worker, started_at };
        let tries = attempt.get().saturating_sub(self.state().returned);
        if permanent || !is_tried_again(policy, tries, &failure.code) {
            let failed = self.route_failure(failure)?;
            self.decision.emit(event);
            self.take_failure_down(failed);
            return Ok(());
        }
        self.decision.emit(event);
        let delay = delay_before(policy, self.decision.run().id(), self.place, attempt.next());
        let due_at = self.decision.now().after(delay);
        self.decision.emit(RunEvent::RetryArmed { node: self.address(), attempt: attempt.next(), due_at });
        if delay.is_zero() {
            // Where it does not fit, it is due in the next decision.
            let _it_is_due = self.wake(Due::Retry);
        }
        Ok(())
    }
}

/// `tries` are the attempts that were not given back before they began.
fn is_tried_again(policy: &RetryPolicy, tries: u32, code: &str) -> bool {
    policy.attempts_max.is_none_or(|max| tries < max) && !policy.non_retryable.iter().any(|c| c == code)
}

/// How long to wait before `attempt` (2 or more). The jitter depends on the run, the node and the attempt only.
fn delay_before(policy: &RetryPolicy, run: RunId, place: Place, attempt: Attempt) -> Duration {
    let retry = attempt.get().saturating_sub(1).max(1);
    let full = match policy.backoff {
        Backoff::None => Duration::ZERO,
        Backoff::Fixed => policy.delay,
        Backoff::Linear => policy.delay.saturating_mul(retry),
        Backoff::Exponential => policy.delay.saturating_mul(1_u32.checked_shl(retry - 1).unwrap_or(u32::MAX)),
    };
    let full = full.min(policy.delay_max);
    match policy.jitter {
        Jitter::None => full,
        Jitter::Full => {
            let (run, attempt) = (run.as_uuid(), attempt.get().to_be_bytes());
            let noise = place.with_bytes(|place| LeaseToken::derived(&[run.as_bytes(), place, &attempt])).bits();
            let fraction = noise as f64 / u64::MAX as f64;
            full.mul_f64(0.5 + fraction / 2.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::NodeIx;

    fn run() -> RunId {
        RunId::from_uuid(uuid::Uuid::from_u128(7))
    }

    fn node(number: u32) -> Place {
        Place::root(NodeIx(number))
    }

    #[test]
    fn delays_grow_as_the_backoff_says_and_stop_at_the_longest() {
        let policy = |backoff| RetryPolicy { backoff, jitter: Jitter::None, ..RetryPolicy::default() };
        let seconds =
            |backoff, attempt| delay_before(&policy(backoff), run(), node(0), Attempt::new(attempt)).as_secs();
        assert_eq!([2, 3, 4].map(|a| seconds(Backoff::None, a)), [0, 0, 0]);
        assert_eq!([2, 3, 4].map(|a| seconds(Backoff::Fixed, a)), [1, 1, 1]);
        assert_eq!([2, 3, 4].map(|a| seconds(Backoff::Linear, a)), [1, 2, 3]);
        assert_eq!([2, 3, 4, 50, u32::MAX].map(|a| seconds(Backoff::Exponential, a)), [1, 2, 4, 300, 300]);
    }

    #[test]
    fn jitter_keeps_between_half_and_all_and_is_the_same_every_time() {
        let policy = RetryPolicy::default();
        for attempt in 2..200 {
            let delay = delay_before(&policy, run(), node(3), Attempt::new(attempt));
            let full = delay_before(
                &RetryPolicy { jitter: Jitter::None, ..policy.clone() },
                run(),
                node(3),
                Attempt::new(attempt),
            );
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
            assert_eq!(delay, delay_before(&policy, run(), node(3), Attempt::new(attempt)));
        }
    }

    #[test]
    fn a_code_that_is_not_retryable_ends_the_node_at_once() {
        let policy = RetryPolicy { non_retryable: vec!["bad_input".into()], ..RetryPolicy::default() };
        assert!(is_tried_again(&policy, 1, "boom"));
        assert!(!is_tried_again(&policy, 1, "bad_input"));
        assert!(!is_tried_again(&policy, 3, "boom"));
        assert!(is_tried_again(&RetryPolicy { attempts_max: None, ..policy }, 99, "boom"));
    }
}
