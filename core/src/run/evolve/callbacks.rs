//! What it means that somebody outside ends an attempt, or says that it is under way.

use super::Fold;
use crate::Timestamp;
use crate::run::RunEvent;
use crate::run::attempt::Awaited;
use crate::run::callback::CallbackToken;
use crate::run::state::{Phase, Place};

/// Learns that an attempt waits for somebody outside, what he says, and with what he has ended it.
pub(super) fn hear(run: &mut Fold<'_>, event: &RunEvent, now: Timestamp) {
    if let RunEvent::CallbackHeard { node, .. } = event {
        let place = run.place(node);
        run.change_current(place, |current| {
            if let Awaited::Callback(calling) = &mut current.awaits {
                calling.heard_at = Some(now);
            }
        });
    } else if let RunEvent::CallbackAnswered { callback, said } = event {
        run.waiting.dealings_mut().callbacks.answer(*callback, *said);
    }
}

/// A node has left this phase: if somebody outside was to end its attempt, that is over.
pub(super) fn close(run: &mut Fold<'_>, place: Place, before: &Phase) {
    let Phase::Current(current) = before else { return };
    let is_the_same = run.node(place).phase.current().is_some_and(|now| now.attempt == current.attempt);
    if current.calling().is_some() && !is_the_same {
        let token = CallbackToken::of(run.id(), run.address(place), current.attempt, current.lease);
        run.waiting.dealings_mut().callbacks.close(token.proof);
    }
}
