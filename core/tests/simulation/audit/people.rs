//! What must hold of people: nobody answers twice, nor after the time is over, and whoever is told that the run has his answer
//! finds it there.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::run::RunEvent;
use headwater_core::{Attempt, CommandId, NodeAddress, RunId};

#[derive(Default)]
pub struct PeopleBooks {
    received: BTreeSet<(RunId, CommandId)>,
    /// What is asked, with how many names have answered.
    asked: BTreeMap<(RunId, NodeAddress, Attempt), (u32, Vec<String>)>,
    pub answered: u64,
}

impl PeopleBooks {
    pub fn learn(&mut self, run: RunId, event: &RunEvent) {
        if let RunEvent::PersonAsked { node, attempt, task } = event {
            let before = self.asked.insert((run, node.clone(), *attempt), (task.quorum, Vec::new()));
            assert!(before.is_none(), "{attempt} of {node} of {run} asks twice");
        } else if let RunEvent::PersonAnswered { node, attempt, answer, by, .. } = event {
            assert!(self.received.insert((run, *answer)), "{run} receives the answer {answer} twice");
            let asked = self.asked.get_mut(&(run, node.clone(), *attempt));
            let (quorum, names) = asked.unwrap_or_else(|| panic!("{node} of {run} is answered and never asked"));
            let name = format!("{by:?}");
            assert!(!names.contains(&name) && names.len() < *quorum as usize, "{name} answers {node} of {run} again");
            names.push(name);
            self.answered += 1;
        }
    }

    pub fn has(&self, run: RunId, answer: CommandId) -> bool {
        self.received.contains(&(run, answer))
    }
}
