//! What it means that something was said to a run.

use super::Fold;
use crate::Timestamp;
use crate::run::RunEvent;
use crate::run::attempt::Awaited;
use crate::run::mail::Letter;
use crate::run::state::{Phase, Place};
use crate::run::succession;

impl Fold<'_> {
    /// Has a node let go of what it was at; a signal that it has taken and not gone on with is there again.
    pub(super) fn leave_for(&mut self, place: Place, phase: Phase) {
        if let Phase::Current(current) = self.enter(place, phase)
            && let Some(letter) = current.taken()
        {
            self.waiting.dealings_mut().mail.take_back(letter.clone());
        }
    }

    /// Learns what was said, and who took it.
    pub(super) fn hear(&mut self, event: &RunEvent, now: Timestamp) {
        if let RunEvent::SignalReceived { signal, name, key, payload, broadcast, update } = event {
            let (name, key, payload) = (name.clone(), key.clone(), payload.clone());
            let (id, broadcast, update, number) = (*signal, *broadcast, *update, self.waiting.mail().count_received());
            let letter = Letter { id, name, key, payload, received_at: now, number, broadcast, update };
            self.waiting.dealings_mut().mail.receive(letter);
        } else if let RunEvent::SignalAnswered { signal, reply, .. } = event {
            self.waiting.dealings_mut().replies.keep(*signal, (**reply).clone());
        } else if let RunEvent::SignalTaken { node, signal, .. } = event {
            let place = self.place(node);
            let letter = self.waiting.dealings_mut().mail.take(*signal);
            self.change_current(place, |current| {
                if let Awaited::Signal(listening) = &mut current.awaits {
                    listening.taken = letter;
                } else if let Awaited::Callback(calling) = &mut current.awaits {
                    calling.listening.taken = letter;
                }
            });
            self.list_if_ready(place);
        }
    }
}

/// Learns of the runs before and after it, and what it inherits.
pub(super) fn hear_of_chain(run: &mut Fold<'_>, event: &RunEvent, now: Timestamp) {
    let number = run.waiting.mail().count_received();
    let letter = if let RunEvent::SignalInherited { signal, name, key, payload } = event {
        let (id, name, key, payload) = (*signal, name.clone(), key.clone(), payload.clone());
        Some(Letter { id, name, key, payload, received_at: now, number, broadcast: false, update: false })
    } else {
        None
    };
    succession::learn(run, event, now, letter);
}
