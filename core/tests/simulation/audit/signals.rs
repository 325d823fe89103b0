//! What must hold of signals: each is received once and taken once, and whoever is told that the run has it finds it there.

use std::collections::{BTreeMap, BTreeSet};

use super::chains::ChainBooks;
use headwater_core::run::RunEvent;
use headwater_core::{CommandId, NodeAddress, RunId};

#[derive(Default)]
pub struct SignalBooks {
    received: BTreeMap<(RunId, CommandId), Received>,
    pub taken: u64,
    answered: BTreeSet<(RunId, CommandId)>,
}

struct Received {
    broadcast: bool,
    update: bool,
    taken: u64,
    /// Who took it last, and has not gone on.
    by: Option<NodeAddress>,
}

impl SignalBooks {
    pub fn learn(&mut self, run: RunId, event: &RunEvent, chains: &mut ChainBooks) {
        if let RunEvent::SignalInherited { signal, .. } = event {
            let received = Received { broadcast: false, update: false, taken: 0, by: None };
            assert!(self.received.insert((run, *signal), received).is_none(), "{run} inherits what it has received");
        } else if let RunEvent::SignalReceived { signal, broadcast, update, .. } = event {
            let received = Received { broadcast: *broadcast, update: *update, taken: 0, by: None };
            let before = self.received.insert((run, *signal), received);
            assert!(before.is_none(), "{run} receives the signal {signal} twice");
        } else if let RunEvent::SignalTaken { node, signal, .. } = event {
            let received = self.received.get_mut(&(run, *signal));
            let received = received.unwrap_or_else(|| panic!("{node} of {run} takes {signal}, which never came"));
            assert!(received.broadcast || received.taken == 0, "{node} of {run} takes {signal}, which was taken");
            received.taken += 1;
            received.by = Some(node.clone());
            self.taken += 1;
            chains.takes(run, *signal, false);
        } else if let RunEvent::SignalAnswered { node, signal, .. } = event {
            let received = self.received.get(&(run, *signal));
            let received = received.unwrap_or_else(|| panic!("{node} of {run} answers {signal}, which never came"));
            assert_eq!(received.by.as_ref(), Some(node), "whoever took {signal} of {run} answers it");
            assert!(self.answered.insert((run, *signal)), "{node} of {run} answers {signal} again");
        } else if let RunEvent::NodeCancelled { node } = event {
            // Who is withdrawn before he went on gives it back.
            let of_run = self.received.range_mut((run, CommandId::from_uuid(uuid::Uuid::nil()))..);
            let of_run = of_run.take_while(|((of, _), _)| *of == run);
            of_run.filter(|(_, received)| received.by.as_ref() == Some(node)).for_each(|((_, signal), received)| {
                (received.taken, received.by) = (0, None);
                if !received.broadcast && !received.update {
                    chains.takes(run, *signal, true);
                }
            });
        } else if let RunEvent::NodeSucceeded { node, .. } = event {
            let of_run = self.received.range_mut((run, CommandId::from_uuid(uuid::Uuid::nil()))..);
            let of_run = of_run.take_while(|((of, _), _)| *of == run).map(|(_, received)| received);
            of_run.filter(|received| received.by.as_ref() == Some(node)).for_each(|received| received.by = None);
        }
    }

    pub fn has(&self, run: RunId, signal: CommandId) -> bool {
        self.received.contains_key(&(run, signal))
    }
}
