//! The attempts of a node: when one exists, whose it is, and what its worker says of it.

use std::time::Duration;

use super::Step;
use super::call::call_child;
use super::end::too_large;
use super::retry::Again;
use crate::run::budget::Later;
use crate::run::succession::successor_of;
use crate::run::weight::{NAMES_BYTES, Weight};
use crate::run::{AwaitedSignal, Grant, Report, ReportOutcome, RunEvent, RunFailure, produce};
use crate::{Attempt, DefinitionVersion, Json, Timestamp, WorkerId};

/// How many bytes of a worker's or a caller's words are kept.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
pub(super) const CODE_CHARS_MAX: usize = 200;

/// Who ran an attempt, and since when.
pub(super) type Seen = (WorkerId, Timestamp);

/// What an attempt begins as.
pub(super) enum Begins {
    /// A worker's, when one has room.
    Worker,
    /// Nobody's: so much time passes.
    Sleep(Duration),
    /// Another run: of this version, or of the one that turns out to be current.
    Child(Option<DefinitionVersion>),
    /// Nobody's: somebody outside ends it, also with one of these signals.
    Callback(Vec<AwaitedSignal>),
    /// The run that this one goes on as.
    Successor,
    /// Nobody's: one of these signals comes.
    Listening(Vec<AwaitedSignal>),
    /// Nobody's: people are asked something of so many bytes.
    Asking(usize),
}

impl Begins {
    /// Returns how many bytes it adds to the fact that it begins.
    fn len_bytes(&self) -> usize {
        match self {
            Self::Listening(signals) => signals.iter().map(AwaitedSignal::len_bytes).sum(),
            Self::Callback(signals) => NAMES_BYTES + signals.iter().map(AwaitedSignal::len_bytes).sum::<usize>(),
            Self::Asking(bytes) => NAMES_BYTES + bytes,
            Self::Worker | Self::Sleep(_) | Self::Child(_) | Self::Successor => 0,
        }
    }
}

impl Step<'_, '_> {
    /// Starts the next attempt.
    pub(super) fn schedule(&mut self, input: Option<Json>, begins: Begins) -> Result<(), Later> {
        // Before a worker's room is taken for it.
        self.decision.turn.check_work()?;
        // It goes to a worker or a called run in a message.
        let (bytes, max) = (input.as_ref().map_or(0, Json::len_bytes), self.decision.turn.bytes_max());
        if bytes > max {
            return self.fail(too_large(bytes, max), None);
        }
        let mut weight = input.as_ref().map(Weight::of).unwrap_or_default();
        weight.bytes += NAMES_BYTES + begins.len_bytes();
        if !self.find_room(weight, None)? {
            return Ok(());
        }
        let attempt = Attempt::new(self.state().attempts + 1);
        let lease = self.decision.lease(self.place, attempt);
        let queue = &self.node().queue;
        let (hand, wakes_at, child, signals) = match begins {
            Begins::Worker if self.decision.run().is_halted(self.place) => (None, None, None, Vec::new()),
            Begins::Worker => (self.decision.take_hand(queue), None, None, Vec::new()),
            Begins::Sleep(span) => (None, Some(self.decision.now().after(span)), None, Vec::new()),
            Begins::Child(version) => {
                (None, None, Some((self.decision.child(self.place, attempt), version)), Vec::new())
            }
            Begins::Successor => (None, None, Some((successor_of(self.decision), None)), Vec::new()),
            Begins::Callback(signals) | Begins::Listening(signals) => (None, None, None, signals),
            Begins::Asking(_) => (None, None, None, Vec::new()),
        };
        let (child, version) = child.unzip();
        let (handed_to, session) = hand.unzip();
        let node = self.address();
        self.decision.emit(RunEvent::AttemptScheduled {
            node,
            attempt,
            lease,
            input,
            wakes_at,
            handed_to,
            session,
            child,
            signals,
        });
        if let Some((child, version)) = child.zip(version.flatten()) {
            call_child(self, attempt, child, version);
        }
        Ok(())
    }

    /// Gives an attempt that waits to a worker; one that does not wait any more stays where it is.
    pub fn grant(&mut self, grant: Grant) {
        let Grant { node, attempt, worker, session } = grant;
        let is_halted = self.decision.run().is_halted(self.place);
        if self.current().is_some_and(|current| current.attempt == attempt && current.is_waiting()) && !is_halted {
            let lease = self.decision.lease(self.place, attempt);
            self.decision.emit(RunEvent::AttemptGranted { node, attempt, lease, worker, session });
        }
    }

    /// Ends an attempt that its worker has not begun, and schedules the next: no try was made.
    pub fn take_back(&mut self) -> Result<(), Later> {
        let Some(current) = self.current() else { return Ok(()) };
        let (attempt, input) = (current.attempt, current.input.clone());
        // Who said that it runs cannot say that it was never begun.
        let holder = current.holder().filter(|_| !current.is_started());
        let Some(worker) = holder.map(|(worker, _)| worker.clone()) else { return Ok(()) };
        self.decision.emit(RunEvent::AttemptReturned { node: self.address(), attempt, worker });
        self.schedule(input, Begins::Worker)
    }

    /// Learns that the attempt runs, since then by the worker's clock.
    pub fn see_started(&mut self, worker: WorkerId, started_at: Timestamp) {
        if let Some(current) = self.current().filter(|current| !current.is_started()) {
            let (node, attempt) = (self.address(), current.attempt);
            let started_at = started_at.min(self.decision.now());
            self.decision.emit(RunEvent::AttemptStarted { node, attempt, worker, started_at });
        }
    }

    /// Ends an attempt that nobody holds any more.
    pub fn lose(&mut self) -> Result<(), Later> {
        let failure = RunFailure::new("worker_lost", "the worker that held the attempt fell silent");
        self.fail_attempt(failure, Again::AsTold, None)
    }

    /// Ends the attempt as its worker says.
    pub fn report(&mut self, report: Report) -> Result<(), Later> {
        let now = self.decision.now();
        // By the worker's clock, which may be ahead: no attempt begins after it was reported.
        let seen = Some((report.worker, report.started_at.min(now)));
        match report.outcome {
            ReportOutcome::Succeeded { output, assets } => {
                let fits = produce::check_size(&output, &assets);
                let assets = match fits.and_then(|()| produce::check_times(assets, now)) {
                    Ok(assets) => assets,
                    Err(failure) => return self.fail_attempt(failure, Again::Never, seen),
                };
                match produce::check(self.node(), assets, self.work()) {
                    Ok(assets) => self.succeed(report.attempt, output, assets, seen),
                    Err(failure) => self.fail_attempt(failure, Again::AsTold, seen),
                }
            }
            ReportOutcome::Failed { code, message, permanent, details, retry_after_ms } => {
                let code: String = code.chars().filter(|c| *c != '\0').take(CODE_CHARS_MAX).collect();
                let failure = RunFailure::new(&code, shortened(message));
                let failure = details.into_iter().fold(failure, RunFailure::with_details);
                self.fail_attempt(failure, Again::of(permanent, retry_after_ms), seen)
            }
        }
    }
}

/// Cuts words from outside, and leaves out what the database cannot keep.
pub fn shortened(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(MESSAGE_BYTES_MAX));
    if words.contains('\0') { words.replace('\0', "") } else { words }
}
