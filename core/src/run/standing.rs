//! Where the nodes and branches of a run stand, as its record says it: for who shows runs and does not fold them.

use super::state::{NodeState, Phase};
use super::status::{NodeStatus, RunStatus};
use super::{BranchKind, Ending, RunRecord};
use crate::{BranchId, Json, NodeAddress, RunId, Timestamp, WorkerId};

/// A run that goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Somebody wants it to end, and it has not ended yet.
    pub is_cancelled: bool,
    /// Somebody paused it.
    pub is_paused: bool,
    /// Those that have begun, and those that never will; but for those of branches that have ended. After the last turn of a loop
    /// its nodes stand in the branch around it too, as that left them.
    pub nodes: Vec<NodeStanding>,
    /// Those that are open but the run itself, in the order of their numbers.
    pub branches: Vec<BranchStanding>,
    /// The number of the next branch: there is none from it on.
    pub next_branch: BranchId,
}

/// A branch that is open.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchStanding {
    pub branch: BranchId,
    /// The node that opened it, in the branch around it.
    pub opener: NodeAddress,
    pub kind: BranchKind,
    /// Which item, turn or try, from 0.
    pub position: u32,
}

/// Where one node stands.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeStanding {
    pub node: NodeAddress,
    pub status: NodeStatus,
    /// The number of the attempt that it is at or ended with; 0: it was never tried.
    pub attempt: u32,
    /// No attempt of it has a higher number: its end may stand at the one that was to come.
    pub attempts_max: u32,
    pub worker: Option<WorkerId>,
    pub scheduled_at: Option<Timestamp>,
    /// When a sleep or the wait for a retry ends.
    pub wakes_at: Option<Timestamp>,
    /// Of the current attempt. Absent: the run's input.
    pub input: Option<Json>,
    pub output: Option<Json>,
    /// It has failed, and the run goes on as if it had not.
    pub tolerated: bool,
    /// The run that it calls and waits for.
    pub child: Option<RunId>,
}

impl RunRecord {
    /// Returns where the run stands.
    pub(crate) fn standing(self) -> Standing {
        let is_cancelled = match &self.ending {
            Some(Ending::Cancelled { .. }) => true,
            Some(Ending::Succeeded { .. } | Ending::Failed { .. }) | None => false,
        };
        let nodes = self.nodes.into_iter().filter_map(|(node, state)| NodeStanding::of(node, state)).collect();
        let branches = self.branches.into_iter().map(|record| BranchStanding {
            branch: record.branch,
            opener: record.parent,
            kind: record.kind,
            position: record.index,
        });
        let is_paused = self.status == RunStatus::Paused;
        Standing {
            is_cancelled,
            is_paused,
            nodes,
            branches: branches.collect(),
            next_branch: BranchId::new(self.next_branch),
        }
    }
}

impl NodeStanding {
    /// `None`: the run has not come to the node.
    fn of(node: NodeAddress, state: NodeState) -> Option<Self> {
        let tolerated = state.is_tolerated();
        let NodeState { phase, attempts, output, .. } = state;
        let output = output.filter(|_| !tolerated);
        let (attempt, attempts_max) = match &phase {
            Phase::Pending => return None,
            // Its turns stand for it.
            Phase::Around(around) if around.state().is_none() => return None,
            Phase::AwaitingAssets { .. } | Phase::AwaitingMemo(_) | Phase::Around(_) => (1, 1),
            Phase::Current(current) => (current.attempt.get(), current.attempt.get()),
            Phase::Retrying { .. } => (attempts + 1, attempts + 1),
            Phase::Succeeded => (attempts.max(1), attempts.max(1)),
            Phase::Failed | Phase::Cancelled => (attempts, attempts + 1),
            Phase::Skipped => (0, 0),
        };
        let status = phase.status();
        let nobody = Self {
            node,
            status,
            attempt,
            attempts_max,
            worker: None,
            scheduled_at: None,
            wakes_at: None,
            input: None,
            output,
            tolerated,
            child: None,
        };
        Some(match phase {
            Phase::Current(current) => Self {
                worker: current.holder().map(|(worker, _)| worker.clone()),
                scheduled_at: Some(current.scheduled_at),
                wakes_at: current.wakes_at(),
                child: current.child().map(|(run, _)| run),
                input: current.input,
                ..nobody
            },
            Phase::AwaitingMemo(awaited) => Self { input: awaited.input, ..nobody },
            Phase::Retrying { input: _, due_at } => Self { wakes_at: Some(due_at), ..nobody },
            Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::Around(_)
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => nobody,
        })
    }
}
