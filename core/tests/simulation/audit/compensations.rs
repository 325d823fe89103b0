//! What must hold of what is undone: everything that has succeeded and says what undoes it, once, the last first, where the run
//! ends badly; and nothing where it ends well, or is told to keep it.

use headwater_core::run::{BranchKind, Ending, RunEvent};
use headwater_core::{BranchId, NodeAddress};

/// The nodes of the workflow `saga` that say what undoes them.
const UNDONE: [&str; 4] = ["book", "seat", "hold", "ship"];

#[derive(Default)]
pub struct CompensationBooks {
    is_saga: bool,
    keeps: bool,
    is_terminated: bool,
    /// What has succeeded is next to say that it can be undone.
    owed: Option<NodeAddress>,
    /// What has succeeded and is not undone yet, in its order.
    kept: Vec<NodeAddress>,
    /// What is undone now: in which branch, by what, and whether that has ended.
    open: Option<(BranchId, String, u32)>,
    pub undone: u32,
}

impl CompensationBooks {
    pub fn learn(&mut self, event: &RunEvent) {
        if let Some(owed) = self.owed.take() {
            let keeps = matches!(event, RunEvent::CompensationKept { node, .. } if *node == owed);
            assert!(keeps, "{owed} has succeeded, and is forgotten: {event:?}");
        }
        match event {
            RunEvent::RunStarted { workflow, .. } => self.is_saga = workflow.as_str() == "saga",
            RunEvent::NodeSucceeded { node, .. } if self.is_saga && UNDONE.contains(&node.node().as_str()) => {
                self.owed = Some(node.clone());
            }
            RunEvent::CompensationKept { node, .. } => self.kept.push(node.clone()),
            RunEvent::RunEnding { ending } => {
                self.keeps |= matches!(ending, Ending::Cancelled { keeps: true, .. } | Ending::Succeeded { .. });
            }
            // Nothing more is undone; what is being undone is withdrawn.
            RunEvent::RunTerminated { .. } => (self.keeps, self.is_terminated) = (true, true),
            RunEvent::BranchesOpened { kind: BranchKind::Undo, first, from, .. } => {
                assert!(
                    !self.keeps && self.open.is_none(),
                    "what succeeded is undone one after the other, or not at all"
                );
                let last = self.kept.pop().expect("what is undone has succeeded, and was not undone before");
                assert_eq!(*from as usize, self.kept.len());
                self.open = Some((*first, format!("{}~undo", last.node()), 0));
            }
            RunEvent::NodeSucceeded { node, .. } | RunEvent::NodeFailed { node, .. }
                if node.node().undoes().is_some() =>
            {
                let (branch, by, ends) = self.open.as_mut().expect("something is undone");
                assert_eq!((node.branch(), node.node().as_str(), *ends), (*branch, by.as_str(), 0));
                *ends += 1;
            }
            RunEvent::BranchEnded { branch, .. } if self.open.as_ref().is_some_and(|(open, ..)| open == branch) => {
                let (_, by, ends) = self.open.take().expect("it is open");
                assert!(ends == 1 || self.is_terminated, "{by} ends once");
                self.undone += 1;
            }
            RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. } => {
                assert!(self.keeps || self.kept.is_empty(), "a run ends and forgets {:?}", self.kept);
            }
            RunEvent::RunSucceeded { .. } => assert_eq!(self.undone, 0, "a run that succeeds undoes nothing"),
            _ => {}
        }
    }
}
