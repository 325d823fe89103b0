//! Runs that somebody took in hand: nothing of one that is paused begins.

use std::collections::BTreeSet;

use headwater_core::RunId;
use headwater_core::run::RunEvent;

#[derive(Default)]
pub struct HandBooks {
    paused: BTreeSet<RunId>,
    /// How many were paused in all.
    pub pauses: u64,
}

impl HandBooks {
    pub fn learn(&mut self, id: RunId, event: &RunEvent) {
        let is_paused = self.paused.contains(&id);
        match event {
            RunEvent::RunPaused { node: None, .. } => {
                assert!(self.paused.insert(id), "{id} is paused twice");
                self.pauses += 1;
            }
            RunEvent::RunResumed { node: None, .. } => assert!(self.paused.remove(&id), "{id} goes on twice"),
            RunEvent::RunEnding { .. }
            | RunEvent::RunSucceeded { .. }
            | RunEvent::RunFailed { .. }
            | RunEvent::RunCancelled { .. } => _ = self.paused.remove(&id),
            RunEvent::AttemptGranted { node, .. } => {
                assert!(!is_paused, "{node} of {id} is granted while it is paused")
            }
            // One that was given back waits under its next number.
            RunEvent::AttemptScheduled { node, attempt, handed_to, .. } => {
                let begins = handed_to.is_some() || attempt.get() == 1;
                assert!(!is_paused || !begins, "{node} of {id} begins while it is paused");
            }
            RunEvent::ItemsListed { node, .. } | RunEvent::BranchesOpened { node, .. } => {
                assert!(!is_paused, "{node} of {id} begins while it is paused");
            }
            _ => {}
        }
    }

    /// Those that are paused now.
    pub fn paused(&self) -> impl Iterator<Item = RunId> {
        self.paused.iter().copied()
    }
}
