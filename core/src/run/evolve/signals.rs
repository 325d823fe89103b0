//! What it means that something was said to a run.

use super::Fold;
use crate::Timestamp;
use crate::run::RunEvent;
use crate::run::attempt::Awaited;
use crate::run::mail::Letter;

impl Fold<'_> {
    /// Learns what was said, and who took it.
    pub(super) fn hear(&mut self, event: &RunEvent, now: Timestamp) {
        if let RunEvent::SignalReceived { signal, name, key, payload, broadcast } = event {
            let (name, key, payload) = (name.clone(), key.clone(), payload.clone());
            let letter = Letter { id: *signal, name, key, payload, received_at: now };
            self.waiting.mail.receive(letter, *broadcast);
        } else if let RunEvent::SignalTaken { node, signal, .. } = event {
            let place = self.place(node);
            let letter = self.waiting.mail.take(*signal);
            self.change_current(place, |current| {
                if let Awaited::Signal(listening) = &mut current.awaits {
                    listening.taken = letter;
                }
            });
            self.list_if_ready(place);
        }
    }
}
