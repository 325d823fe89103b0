//! What must hold of the branches of a run: each is opened once and ended once, from the inside, and nothing happens in it
//! before or afterwards.

use std::collections::BTreeMap;

use headwater_core::run::RunEvent;
use headwater_core::{BranchId, NodeAddress};

#[derive(Default)]
pub struct BranchBooks {
    /// Which node opened each that is open.
    open: BTreeMap<BranchId, NodeAddress>,
    opened: u32,
}

impl BranchBooks {
    pub fn learn(&mut self, event: &RunEvent) {
        let is_open = |branch: BranchId| branch == BranchId::ROOT || self.open.contains_key(&branch);
        // What was produced may be recorded when its branch has ended, or not be, for a memo that waits for that.
        let may_be_late = matches!(event, RunEvent::AssetRecorded { .. } | RunEvent::MemoLeft { .. });
        if let Some(node) = event.node().filter(|_| !may_be_late) {
            assert!(is_open(node.branch()), "{node} is in no branch that is open and learns {event:?}");
        }
        match event {
            RunEvent::BranchesOpened { node, first, count, .. } => {
                assert_eq!(first.get(), self.opened + 1, "branches are numbered as they are opened");
                for number in first.get()..first.get() + count {
                    self.open.insert(BranchId::new(number), node.clone());
                }
                self.opened += count;
            }
            RunEvent::BranchClosing { branch, .. } => assert!(is_open(*branch), "{branch:?} closes and is not open"),
            RunEvent::BranchEnded { branch, .. } => {
                assert!(self.open.remove(branch).is_some(), "{branch:?} ends and is not open");
                let within = self.open.iter().find(|(_, parent)| parent.branch() == *branch);
                assert_eq!(within, None, "what is within {branch:?} has ended before it");
            }
            RunEvent::NodeSucceeded { node, .. }
            | RunEvent::NodeFailed { node, .. }
            | RunEvent::NodeCancelled { node } => {
                let left = self.open.iter().find(|(_, parent)| *parent == node);
                assert_eq!(left, None, "{node} ends when its branches have");
            }
            RunEvent::RunSucceeded { .. } | RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. } => {
                assert!(self.open.is_empty(), "a run ends when its branches have: {:?}", self.open);
            }
            _ => {}
        }
    }
}
