//! A node that waits for somebody outside to say something to the run.

use serde::Serialize;

use super::kind::Kind;
use super::retry::Again;
use super::signature::render_beside;
use super::{Begins, Step};
use crate::definition::{SIGNAL, SignalWanted, WaitSignal, signal_key_of};
use crate::dialogue::Inherited;
use crate::expr::EvaluationError;
use crate::run::budget::Later;
use crate::run::decision::Decision;
use crate::run::mail::{Letter, SIGNAL_BYTES_MAX, SIGNAL_TAKERS_MAX, SIGNALS_MAX, hash_of, takers};
use crate::run::output::check_depth;
use crate::run::state::{Due, Place};
use crate::run::{AwaitedSignal, RunEvent, RunFailure, RunRejection};
use crate::run::{REPLY_BYTES_MAX, Reply};
use crate::{CommandId, Json, SignalKey, SignalName};

pub(super) struct Listens<'n> {
    pub wait: &'n WaitSignal,
}

impl Kind for Listens<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        if is_told(step) {
            return go_on(step, self.wait);
        }
        let wanted = self.wait.signals.iter().map(|wanted| awaited(step, wanted));
        let signals = match wanted.collect::<Result<Vec<_>, _>>() {
            Ok(signals) => signals,
            Err(failure) => return step.fail(failure, None),
        };
        step.schedule(input, Begins::Listening(signals))?;
        take_what_has_come(step);
        Ok(())
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        if is_told(step) {
            return go_on(step, self.wait);
        }
        match due {
            Due::Timeout => {
                let message = "none of the signals that the node waits for came in time";
                step.fail_attempt(RunFailure::new("timeout", message), Again::AsTold, None)
            }
            // No wait for a signal is told when to end. Where some history says so, it begins anew.
            Due::Retry | Due::Time => {
                let input = step.input();
                self.begin(step, input)
            }
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        withdraw(step);
    }
}

/// Lets go of a node; a signal that it has taken and not gone on with is given to whoever waits for it.
pub(super) fn withdraw(step: &mut Step<'_, '_>) {
    let taken = step.current_in_any_case().and_then(|current| current.taken()).cloned();
    step.cancel();
    // It is there again, for whoever waits for it.
    if let Some(Letter { id, name, key, broadcast: false, .. }) = taken {
        let said = AwaitedSignal { name, key };
        let next = takers(step.decision.run(), &said, 1);
        give(step.decision, next, id);
    }
}

/// Whether the signal has come that a node waits for.
pub(super) fn is_told(step: &Step<'_, '_>) -> bool {
    step.current().is_some_and(|current| current.taken().is_some())
}

/// Ends a node with the signal that has come.
fn go_on(step: &mut Step<'_, '_>, wait: &WaitSignal) -> Result<(), Later> {
    let Some(letter) = step.current().and_then(|current| current.taken()).cloned() else { return Ok(()) };
    if letter.update && !step.decision.run().waiting.replies().has(letter.id) && !reply(step, wait, &letter)? {
        return Ok(());
    }
    let replied = step.decision.run().waiting.replies().of(letter.id);
    if let Some(failure) = replied.and_then(|reply| reply.failure.clone()).filter(|_| letter.update) {
        return step.fail_attempt(failure, Again::AsTold, None);
    }
    step.succeed(step.attempt(), output_of(&letter), Vec::new(), None)
}

/// Answers the update that has come; returns whether the node goes on.
pub(super) fn reply(step: &mut Step<'_, '_>, wait: &WaitSignal, letter: &Letter) -> Result<bool, Later> {
    let made = match &wait.reply {
        None => Ok(Json::null()),
        Some(template) => {
            let signal = signal_of(letter);
            let made = render_beside(step, template, (SIGNAL, &signal)).map_err(EvaluationError::into_failure);
            made.and_then(check_reply)
        }
    };
    step.decision.turn.check_work()?;
    let reply = match made {
        Ok(value) => Reply { value, failure: None },
        Err(failure) => Reply { value: Json::null(), failure: Some(failure) },
    };
    let (node, attempt, signal) = (step.address(), step.attempt(), letter.id);
    let event = RunEvent::SignalAnswered { node, attempt, signal, reply: Box::new(reply) };
    if !step.find_room(event.weight(), Some(attempt))? {
        return Ok(false);
    }
    step.decision.emit(event);
    Ok(true)
}

/// What the reply to an update sees of it.
fn signal_of(letter: &Letter) -> Json {
    #[derive(Serialize)]
    struct Said<'l> {
        name: &'l SignalName,
        key: Option<&'l SignalKey>,
        payload: &'l Json,
    }
    Json::of(&Said { name: &letter.name, key: letter.key.as_ref(), payload: &letter.payload })
}

fn check_reply(value: Json) -> Result<Json, RunFailure> {
    if value.len_bytes() > REPLY_BYTES_MAX {
        return Err(RunFailure::new("signal_reply", format!("the reply has more than {REPLY_BYTES_MAX} bytes")));
    }
    check_depth(&value).map_err(|failure| RunFailure::new("signal_reply", failure.message))?;
    Ok(value)
}

/// What a node has made that has waited for a signal.
fn output_of(letter: &Letter) -> Json {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Told<'l> {
        name: &'l SignalName,
        key: Option<&'l SignalKey>,
        payload: &'l Json,
        signal_id: CommandId,
        received_at: String,
    }
    let Letter { id, name, key, payload, received_at, number: _, broadcast: _, update: _ } = letter;
    Json::of(&Told { name, key: key.as_ref(), payload, signal_id: *id, received_at: received_at.to_string() })
}

/// Makes what a node waits for.
fn awaited(step: &Step<'_, '_>, wanted: &SignalWanted) -> Result<AwaitedSignal, RunFailure> {
    let invalid = |reason| RunFailure::new("signal_key", reason);
    let key = match &wanted.key {
        Some(template) => {
            let value = step.render(template).map_err(|error| error.into_failure())?;
            Some(signal_key_of(&value.to_value()).map_err(invalid)?)
        }
        None => None,
    };
    Ok(AwaitedSignal { name: wanted.name.clone(), key })
}

/// Takes a signal that came before anybody waited for it.
pub(super) fn take_what_has_come(step: &mut Step<'_, '_>) {
    let Some(current) = step.current() else { return };
    let Some(wanted) = current.listens_for() else { return };
    let attempt = current.attempt;
    if let Some(signal) = step.decision.run().waiting.mail().first_for(wanted) {
        let node = step.address();
        step.decision.emit(RunEvent::SignalTaken { node, attempt, signal });
    }
}

/// Has a run receive a signal; whoever has waited longest for it takes it, or all who wait do.
///
/// # Errors
/// Why it is not received; one that was received before changes nothing, and is refused where it says something else.
pub(in crate::run) fn receive(
    decision: &mut Decision<'_>,
    signal: CommandId,
    said: AwaitedSignal,
    payload: Json,
    (broadcast, update): (bool, bool),
) -> Result<(), RunRejection> {
    let mail = &decision.run().waiting.mail();
    let says = hash_of(&said.name, said.key.as_ref(), &payload, (broadcast, update));
    if let Some(before) = mail.what_said(signal) {
        let run = decision.run().id();
        return if before == says { Ok(()) } else { Err(RunRejection::KeyReused { run }) };
    }
    if mail.count_received() >= SIGNALS_MAX {
        return Err(RunRejection::SignalsExhausted);
    }
    let takers = takers(decision.run(), &said, if broadcast { SIGNAL_TAKERS_MAX + 1 } else { 1 });
    let is_kept = takers.is_empty() && !broadcast;
    let full = RunRejection::SignalsFull { kept: mail.count() };
    if is_kept && !mail.has_room_for(payload.len_bytes(), decision.run().waiting.chain().coming()) {
        return Err(full);
    }
    let invalid = |message| RunRejection::SignalInvalid { message };
    if takers.len() > SIGNAL_TAKERS_MAX {
        return Err(invalid(format!("more than {SIGNAL_TAKERS_MAX} nodes wait for it")));
    }
    if broadcast && update {
        return Err(invalid("an update is for one node, and not for all that wait".to_owned()));
    }
    check(&payload).map_err(invalid)?;
    let AwaitedSignal { name, key } = said;
    let event = RunEvent::SignalReceived { signal, name, key, payload, broadcast, update };
    if decision.turn.lacks_memory_for(event.weight()).is_some() {
        return Err(full);
    }
    decision.emit(event);
    give(decision, takers, signal);
    Ok(())
}

/// Has a run inherit a signal of the one that it goes on from; whoever has waited longest for it takes it.
pub(in crate::run) fn inherit(decision: &mut Decision<'_>, inherited: Inherited) {
    if decision.run().waiting.chain().coming().0 == 0 {
        return;
    }
    let Inherited { signal, name, key, payload } = inherited;
    let is_new = !decision.run().waiting.mail().has_received(signal);
    let said = AwaitedSignal { name: name.clone(), key: key.clone() };
    let takers = if is_new { takers(decision.run(), &said, 1) } else { Vec::new() };
    decision.emit(RunEvent::SignalInherited { signal, name, key, payload });
    give(decision, takers, signal);
}

/// Has nodes that wait for a signal take it.
pub(super) fn give(decision: &mut Decision<'_>, takers: Vec<Place>, signal: CommandId) {
    for place in takers {
        let node = decision.run().address(place);
        let attempt = Step::at(decision, place).attempt();
        decision.emit(RunEvent::SignalTaken { node, attempt, signal });
    }
}

/// Whether a run can keep such a payload.
fn check(payload: &Json) -> Result<(), String> {
    if payload.len_bytes() > SIGNAL_BYTES_MAX {
        return Err(format!("its payload has more than {SIGNAL_BYTES_MAX} bytes"));
    }
    check_depth(payload).map_err(|failure| failure.message)
}
