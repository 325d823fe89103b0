//! A node that somebody outside ends, by the token of its attempt or under its key.

use super::attempt::{CODE_CHARS_MAX, shortened};
use super::kind::Kind;
use super::retry::Again;
use super::signal::{reply, take_what_has_come};
use super::{Begins, Step};
use crate::definition::{Callback, WaitSignal, signal_key_of};
use crate::run::budget::Later;
use crate::run::callback::{CALLBACK_SIGNAL, CallbackToken, CalledBack, read};
use crate::run::decision::Decision;
use crate::run::output::check_depth;
use crate::run::state::Due;
use crate::run::{AwaitedSignal, RunEvent, RunFailure, RunRejection, produce};
use crate::{Attempt, CommandId, Json, NodeAddress};

pub(super) struct Calls<'n> {
    pub callback: &'n Callback,
}

impl Kind for Calls<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        if is_told(step) {
            return go_on(step);
        }
        let signals = match self.callback.key.as_ref().map(|key| awaited(step, key)).transpose() {
            Ok(signal) => signal.into_iter().collect(),
            Err(failure) => return step.fail(failure, None),
        };
        step.schedule(input, Begins::Callback(signals))?;
        // Unless it was more than ever fits.
        if step.current().is_some_and(|current| current.calling().is_some()) {
            let (node, attempt) = (step.address(), step.attempt());
            step.decision.emit(RunEvent::CallbackAwaited { node, attempt });
            take_what_has_come(step);
        }
        Ok(())
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        if is_told(step) {
            return go_on(step);
        }
        let failure = match due {
            Due::Timeout => RunFailure::new("timeout", "nobody called back in time"),
            Due::Time => RunFailure::new("heartbeat_timeout", "whoever was to call back gave no sign of life"),
            Due::Retry => {
                let input = step.input();
                return self.begin(step, input);
            }
        };
        step.fail_attempt(failure, Again::AsTold, None)
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        super::signal::withdraw(step);
    }
}

fn is_told(step: &Step<'_, '_>) -> bool {
    step.current().is_some_and(|current| current.calling().is_some() && current.taken().is_some())
}

/// What is said under its key.
fn awaited(step: &Step<'_, '_>, key: &crate::expr::Template) -> Result<AwaitedSignal, RunFailure> {
    let value = step.render(key).map_err(|error| error.into_failure())?;
    let key = signal_key_of(&value.to_value()).map_err(|reason| RunFailure::new("signal_key", reason))?;
    let name = CALLBACK_SIGNAL.parse().expect("letters make the name of a signal");
    Ok(AwaitedSignal { name, key: Some(key) })
}

/// Ends a node with what was said under its key.
fn go_on(step: &mut Step<'_, '_>) -> Result<(), Later> {
    let Some(letter) = step.current().and_then(|current| current.taken()).cloned() else { return Ok(()) };
    let is_open = letter.update && !step.decision.run().waiting.replies().has(letter.id);
    if is_open && !reply(step, &WaitSignal { signals: Vec::new(), reply: None }, &letter)? {
        return Ok(());
    }
    match read(&letter.payload) {
        Ok(said) => end(step, said),
        Err(reason) => step.fail_attempt(RunFailure::new("callback_invalid", reason), Again::AsTold, None),
    }
}

/// Ends the attempt with what somebody outside says of it.
fn end(step: &mut Step<'_, '_>, said: CalledBack) -> Result<(), Later> {
    let attempt = step.attempt();
    match said {
        CalledBack::Output { output } => {
            if let Err(failure) = produce::check_size(&output, &[]).and_then(|()| check_depth(&output)) {
                return step.fail_attempt(failure, Again::Never, None);
            }
            let assets = produce::of_pure(step.node(), &output);
            match produce::check(step.node(), assets, step.work()) {
                Ok(assets) => step.succeed(attempt, output, assets, None),
                Err(failure) => step.fail_attempt(failure, Again::AsTold, None),
            }
        }
        CalledBack::Error { code, message, permanent, details } => {
            let code: String = code.chars().filter(|c| *c != '\0').take(CODE_CHARS_MAX).collect();
            let failure = RunFailure::new(&code, shortened(message));
            let failure = details.into_iter().fold(failure, RunFailure::with_details);
            step.fail_attempt(failure, Again::of(permanent, None), None)
        }
        CalledBack::Alive {} => Ok(()),
    }
}

/// Has a run hear what somebody outside says of an attempt, whose token he has.
///
/// # Errors
/// That there is no such attempt, or that it is over; said again as it was ended it changes nothing.
pub(in crate::run) fn call_back(
    decision: &mut Decision<'_>,
    (node, attempt, proof): (NodeAddress, Attempt, CommandId),
    said: CalledBack,
) -> Result<Result<(), Later>, RunRejection> {
    let run = decision.run();
    let place = run.find(&node).filter(|place| {
        let current = run.current(*place).filter(|current| current.attempt == attempt && current.calling().is_some());
        current.is_some_and(|current| CallbackToken::of(run.id(), node.clone(), attempt, current.lease).proof == proof)
    });
    let Some(place) = place else {
        return match run.waiting.callbacks().of(proof) {
            Some(ended) if ended == Some(said.hash()) => Ok(Ok(())),
            Some(_) => Err(RunRejection::CallbackClosed),
            None => Err(RunRejection::CallbackNotFound),
        };
    };
    let (now, mut step) = (decision.now(), Step::at(decision, place));
    if is_told(&step) {
        let is_sign = matches!(said, CalledBack::Alive {});
        return if is_sign { Ok(Ok(())) } else { Err(RunRejection::CallbackClosed) };
    }
    if matches!(said, CalledBack::Alive {}) {
        let current = step.current().and_then(|current| Some((current.calling()?, current.scheduled_at)));
        if current.is_some_and(|(calling, scheduled_at)| calling.minds_sign(step.node(), scheduled_at, now)) {
            step.decision.emit(RunEvent::CallbackHeard { node, attempt });
        }
        return Ok(Ok(()));
    }
    let hash = said.hash();
    if let Err(later) = end(&mut step, said) {
        return Ok(Err(later));
    }
    decision.emit(RunEvent::CallbackAnswered { callback: proof, said: hash });
    Ok(Ok(()))
}
