//! Whether and when a failed attempt is tried again.

use std::time::Duration;

use super::call::withdraw_child;
use super::{Seen, Step};
use crate::definition::{Backoff, Failures, Jitter, Pace};
use crate::run::budget::Later;
use crate::run::state::{Due, Place};
use crate::run::{RunEvent, RunFailure};
use crate::{Attempt, Json, LeaseToken, RunId, Timestamp};

/// For how long whoever failed can put the next attempt off, unless the policy's own delays are longer still.
const ASKED_FOR_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is said of another attempt beside what the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would be useless.
    Never,
    /// Nothing.
    AsTold,
    /// It is not to begin before so long.
    NotBefore(Duration),
}

/// What becomes of a node whose attempt has failed and is not tried again.
pub(super) enum Exhausted {
    Fails {
        /// The run that it called, if it did, is not over.
        withdraws: bool,
    },
    Succeeds {
        output: Json,
    },
}

impl Exhausted {
    fn withdraws(&self) -> bool {
        match self {
            Self::Fails { withdraws } => *withdraws,
            Self::Succeeds { .. } => false,
        }
    }
}

impl Again {
    /// What a report says of it.
    pub fn of(permanent: bool, retry_after_ms: Option<u64>) -> Self {
        match (permanent, retry_after_ms) {
            (true, _) => Self::Never,
            (false, None) => Self::AsTold,
            (false, Some(millis)) => Self::NotBefore(Duration::from_millis(millis)),
        }
    }
}

impl Step<'_, '_> {
    /// Ends the current attempt badly, and arms the next or ends the node.
    ///
    /// # Errors
    /// [`Later`]; nothing has happened.
    pub(super) fn fail_attempt(&mut self, failure: RunFailure, again: Again, seen: Option<Seen>) -> Result<(), Later> {
        self.end_attempt_badly(failure, again, seen, Exhausted::Fails { withdraws: true })
    }

    /// The same, where what the node does then is said apart.
    pub(super) fn end_attempt_badly(
        &mut self,
        failure: RunFailure,
        again: Again,
        seen: Option<Seen>,
        exhausted: Exhausted,
    ) -> Result<(), Later> {
        let Some(attempt) = self.current().map(|current| current.attempt) else { return Ok(()) };
        self.end_try_badly(attempt, failure, (again, seen), exhausted)
    }

    /// The same of a try that is no attempt: a group's.
    pub(super) fn fail_try(&mut self, attempt: Attempt, failure: RunFailure) -> Result<(), Later> {
        self.end_try_badly(attempt, failure, (Again::AsTold, None), Exhausted::Fails { withdraws: false })
    }

    fn end_try_badly(
        &mut self,
        attempt: Attempt,
        failure: RunFailure,
        (again, seen): (Again, Option<Seen>),
        exhausted: Exhausted,
    ) -> Result<(), Later> {
        let failure = failure.at(&self.address(), Some(attempt));
        let (worker, started_at) = seen.unzip();
        let event =
            RunEvent::AttemptFailed { node: self.address(), attempt, failure: failure.clone(), worker, started_at };
        let due_at = match self.tried_again_at(attempt, &failure, again)? {
            Ok(Some(due_at)) => due_at,
            Ok(None) => {
                return match exhausted {
                    Exhausted::Fails { withdraws } => self.give_up(event, failure, withdraws),
                    Exhausted::Succeeds { output } => self.succeed(attempt, output, Vec::new(), None),
                };
            }
            Err(limit) => return self.give_up(event, limit.at(&self.address(), Some(attempt)), exhausted.withdraws()),
        };
        if exhausted.withdraws() {
            withdraw_child(self);
        }
        self.decision.emit(event);
        self.decision.emit(RunEvent::RetryArmed { node: self.address(), attempt: attempt.next(), due_at });
        if due_at == self.decision.now() && !self.decision.run().is_halted(self.place) {
            // Where it does not fit, it is due in the next decision.
            let _it_is_due = self.wake(Due::Retry);
        }
        Ok(())
    }

    fn give_up(&mut self, event: RunEvent, failure: RunFailure, withdraws: bool) -> Result<(), Later> {
        let failed = self.route_failure(failure)?;
        if withdraws {
            withdraw_child(self);
        }
        self.decision.emit(event);
        self.take_failure_down(failed);
        Ok(())
    }

    /// Says when an attempt is made that follows one which failed so. `None`: never. A failure: why that cannot be told.
    fn tried_again_at(
        &self,
        attempt: Attempt,
        failure: &RunFailure,
        again: Again,
    ) -> Result<Result<Option<Timestamp>, RunFailure>, Later> {
        let policy = &self.node().retry;
        if again == Again::Never || policy.non_retryable.contains(&failure.code) {
            return Ok(Ok(None));
        }
        let pace = match self.pace_for(failure)? {
            Ok(pace) => pace,
            Err(limit) => return Ok(Err(limit)),
        };
        // Those that were not given back before they began.
        let tries = attempt.get().saturating_sub(self.state().returned);
        if pace.attempts_max.is_some_and(|max| tries >= max) {
            return Ok(Ok(None));
        }
        let delay =
            delay_before(pace, self.decision.run().id(), self.place, attempt.next()).max(asked_for(pace, again));
        let due_at = self.decision.now().after(delay);
        let last = policy.duration_max.zip(self.state().first_scheduled_at).map(|(max, first)| first.after(max));
        Ok(Ok(Some(due_at).filter(|due_at| last.is_none_or(|last| *due_at <= last))))
    }

    /// Finds the first rule that is about a failure, else the policy itself. A failure: a condition went over a limit.
    fn pace_for(&self, failure: &RunFailure) -> Result<Result<&Pace, RunFailure>, Later> {
        let policy = &self.node().retry;
        self.decision.turn.check_work()?;
        for rule in &policy.rules {
            let is_it = match &rule.of {
                Failures::Codes(codes) => codes.contains(&failure.code),
                Failures::When(condition) => {
                    let run = self.decision.run();
                    let work = self.work();
                    let holds = run.with_scope(self.place, Some(failure), self.decision.now(), |scope| {
                        condition.holds_within(scope, work)
                    });
                    self.decision.turn.check_work()?;
                    match holds {
                        Ok(holds) => holds,
                        // What a failure does not say, it does not say in the way that the rule is about.
                        Err(error) if error.limit.is_none() => false,
                        Err(limit) => return Ok(Err(limit.into_failure())),
                    }
                }
            };
            if is_it {
                return Ok(Ok(&rule.pace));
            }
        }
        Ok(Ok(&policy.pace))
    }
}

/// How long whoever failed puts the next attempt off.
fn asked_for(pace: &Pace, again: Again) -> Duration {
    match again {
        Again::Never | Again::AsTold => Duration::ZERO,
        Again::NotBefore(span) => span.min(pace.delay_max.max(ASKED_FOR_MAX)),
    }
}

/// How long to wait before `attempt` (2 or more). The jitter depends on the run, the node and the attempt only.
fn delay_before(pace: &Pace, run: RunId, place: Place, attempt: Attempt) -> Duration {
    let retry = attempt.get().saturating_sub(1).max(1);
    let full = match pace.backoff {
        Backoff::None => Duration::ZERO,
        Backoff::Fixed => pace.delay,
        Backoff::Linear => pace.delay.saturating_mul(retry),
        Backoff::Exponential => pace.delay.saturating_mul(1_u32.checked_shl(retry - 1).unwrap_or(u32::MAX)),
    };
    let full = full.min(pace.delay_max);
    match pace.jitter {
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
        let policy = |backoff| Pace { backoff, jitter: Jitter::None, ..Pace::default() };
        let seconds =
            |backoff, attempt| delay_before(&policy(backoff), run(), node(0), Attempt::new(attempt)).as_secs();
        assert_eq!([2, 3, 4].map(|a| seconds(Backoff::None, a)), [0, 0, 0]);
        assert_eq!([2, 3, 4].map(|a| seconds(Backoff::Fixed, a)), [1, 1, 1]);
        assert_eq!([2, 3, 4].map(|a| seconds(Backoff::Linear, a)), [1, 2, 3]);
        assert_eq!([2, 3, 4, 50, u32::MAX].map(|a| seconds(Backoff::Exponential, a)), [1, 2, 4, 300, 300]);
    }

    #[test]
    fn jitter_keeps_between_half_and_all_and_is_the_same_every_time() {
        let policy = Pace::default();
        for attempt in 2..200 {
            let delay = delay_before(&policy, run(), node(3), Attempt::new(attempt));
            let full =
                delay_before(&Pace { jitter: Jitter::None, ..policy.clone() }, run(), node(3), Attempt::new(attempt));
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
            assert_eq!(delay, delay_before(&policy, run(), node(3), Attempt::new(attempt)));
        }
    }

    #[test]
    fn what_is_asked_for_is_bounded_by_a_day_or_the_longest_delay() {
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        let pace = |hours_max| Pace { delay_max: hours(hours_max), ..Pace::default() };
        let asked = |hours_max, span| asked_for(&pace(hours_max), Again::NotBefore(span));
        assert_eq!(asked(1, hours(5)), hours(5));
        assert_eq!(asked(1, Duration::from_millis(u64::MAX)), hours(24));
        assert_eq!(asked(48, hours(30)), hours(30));
        assert_eq!(asked(48, Duration::MAX), hours(48));
        assert_eq!(asked_for(&pace(1), Again::AsTold), Duration::ZERO);
        assert_eq!(Again::of(true, Some(5)), Again::Never);
    }
}
