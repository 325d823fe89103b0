//! What must hold of signals: each is received once and taken once, and whoever is told that the run has it finds it there.

use std::collections::BTreeMap;

use headwater_core::run::RunEvent;
use headwater_core::{CommandId, RunId};

#[derive(Default)]
pub struct SignalBooks {
    received: BTreeMap<(RunId, CommandId), Received>,
    pub taken: u64,
}

struct Received {
    broadcast: bool,
    taken: u64,
}

impl SignalBooks {
    pub fn learn(&mut self, run: RunId, event: &RunEvent) {
        if let RunEvent::SignalReceived { signal, broadcast, .. } = event {
            let received = Received { broadcast: *broadcast, taken: 0 };
            let before = self.received.insert((run, *signal), received);
            assert!(before.is_none(), "{run} receives the signal {signal} twice");
        } else if let RunEvent::SignalTaken { node, signal, .. } = event {
            let received = self.received.get_mut(&(run, *signal));
            let received = received.unwrap_or_else(|| panic!("{node} of {run} takes {signal}, which never came"));
            assert!(received.broadcast || received.taken == 0, "{node} of {run} takes {signal}, which was taken");
            received.taken += 1;
            self.taken += 1;
        }
    }

    pub fn has(&self, run: RunId, signal: CommandId) -> bool {
        self.received.contains_key(&(run, signal))
    }
}
