//! What must hold of calls: a child has one attempt that called it, and every attempt learns of its own child only.

use std::collections::{BTreeMap, BTreeSet};

use super::chains::ChainBooks;
use headwater_core::run::{RunEvent, RunStatus, Trigger};
use headwater_core::{Attempt, NodeAddress, RunId};

#[derive(Default)]
pub struct CallBooks {
    callers: BTreeMap<RunId, (RunId, NodeAddress, Attempt)>,
    /// The children that attempts are at.
    open: BTreeMap<(RunId, NodeAddress), RunId>,
    told_to_start: BTreeSet<RunId>,
    ended: BTreeMap<RunId, RunStatus>,
    begun: BTreeSet<RunId>,
    pub ends_heard: u64,
}

impl CallBooks {
    pub fn learn(&mut self, id: RunId, event: &RunEvent, chains: &ChainBooks) {
        match event {
            // Whose run goes on as another is called by nobody.
            RunEvent::RunStarted { continued: Some(_), .. } => {}
            RunEvent::RunStarted { trigger: Trigger::Call(by), .. } => {
                let caller = (by.parent, by.node.clone(), by.attempt);
                assert_eq!(self.callers.get(&id), Some(&caller), "{id} is the child of the attempt that called it");
                assert!(self.told_to_start.contains(&id), "{id} starts before it is called");
                assert!((1..=16).contains(&by.depth), "{id} stands in {} calls", by.depth);
                self.begun.insert(id);
            }
            RunEvent::AttemptScheduled { node, .. } | RunEvent::ChildCalled { node, .. } if goes_on(node) => {}
            RunEvent::AttemptScheduled { node, attempt, child: Some(child), .. } => {
                let before = self.callers.insert(*child, (id, node.clone(), *attempt));
                assert_eq!(before, None, "{child} has one parent attempt");
                assert_eq!(self.open.insert((id, node.clone()), *child), None, "{node} of {id} waits for one child");
            }
            RunEvent::ChildCalled { node, child, .. } => {
                assert_eq!(self.open.get(&(id, node.clone())), Some(child), "{node} of {id} calls its own child");
                assert!(self.told_to_start.insert(*child), "{child} is called once");
            }
            RunEvent::ChildWithdrawn { node, child, .. } => {
                assert_eq!(
                    self.open.remove(&(id, node.clone())),
                    Some(*child),
                    "{node} of {id} withdraws its own child"
                );
            }
            RunEvent::NodeSucceeded { node, output, .. } => {
                let Some(child) = self.open.remove(&(id, node.clone())) else { return };
                assert!(self.begun.contains(&child), "{node} of {id} goes on after {child}, which never began");
                let is_detached = output.as_str().contains("runId");
                assert!(
                    is_detached || self.ended.contains_key(&chains.last_of(child)),
                    "{node} of {id} goes on before {child} has ended"
                );
                self.ends_heard += 1;
            }
            RunEvent::AttemptFailed { node, failure, .. } | RunEvent::NodeFailed { node, failure, .. } => {
                // Only a definition names a version that may not be known yet.
                let is_unknown = failure.code == "call_unknown_version" && node.node().as_str() != "pinned";
                assert!(!is_unknown, "{node} of {id} was told of a version that is not found");
                // What was withdrawn is not open any more.
                let Some(child) = self.open.remove(&(id, node.clone())) else { return };
                let end = self.ended.get(&chains.last_of(child));
                assert!(
                    matches!(end, Some(RunStatus::Failed | RunStatus::Cancelled)),
                    "{child} of {id} ended with {end:?}"
                );
                self.ends_heard += 1;
            }
            RunEvent::NodeCancelled { node } => {
                let open = self.open.get(&(id, node.clone()));
                assert_eq!(open, None, "{node} of {id} is cancelled and its child is not");
            }
            RunEvent::RunSucceeded { .. } => self.end(id, RunStatus::Succeeded),
            RunEvent::RunFailed { .. } => self.end(id, RunStatus::Failed),
            RunEvent::RunCancelled { .. } => self.end(id, RunStatus::Cancelled),
            _ => {}
        }
    }

    fn end(&mut self, id: RunId, status: RunStatus) {
        self.ended.insert(id, status);
    }

    /// Nothing is left to happen.
    pub fn rest(&self) {
        assert_eq!(self.open, BTreeMap::new(), "every call is answered or withdrawn");
    }
}

/// Whether a node has the run go on as another.
fn goes_on(node: &NodeAddress) -> bool {
    node.node().as_str() == "next"
}
