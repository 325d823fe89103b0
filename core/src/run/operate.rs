//! How somebody takes a live run in hand.

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::halt::OPERATIONS_MAX;
use super::step::{By, complete_node_by_hand, set_timer_by_hand, shortened, skip_node_by_hand};
use super::{Ending, ProducedAsset, RunEvent, RunRejection};
use crate::{CommandId, Json, NodeAddress, NodeId, Timestamp};

/// What somebody does with a live run by hand. Each changes nothing of a run that it
/// has been done to before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Operation {
    /// Nothing begins any more, of all of it or of one node in whatever branch, until it is resumed. What runs goes on and
    /// reports; what is late is late; what is due fires when it is resumed; the time that the run may take stands still.
    Pause { node: Option<NodeId> },
    /// It goes on; what was paused apart stays paused.
    Resume { node: Option<NodeId> },
    /// It ends at once: nothing is undone, and nothing runs whatever the end.
    Terminate {},
    /// A node that has begun and has not ended, and has no branches, ends without having happened: the ways on from it are dead.
    Skip { node: NodeAddress },
    /// The same, with this output and these assets: the run goes on as if it had made them.
    Complete { node: NodeAddress, output: Json, assets: Vec<ProducedAsset> },
    /// What a node waits for of its own, the end of a sleep or its next attempt, is due then: at once where that has passed.
    SetTimer { node: NodeAddress, due_at: Timestamp },
}

impl Operation {
    /// Returns whether it can be undone, so that the run has to remember that it was done.
    fn is_undone(&self) -> bool {
        match self {
            Self::Pause { .. } | Self::Resume { .. } | Self::SetTimer { .. } => true,
            Self::Terminate {} | Self::Skip { .. } | Self::Complete { .. } => false,
        }
    }

    /// Returns whether it can still be done to a run whose end is certain.
    pub(super) fn is_last(&self) -> bool {
        match self {
            Self::Terminate {} => true,
            Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Skip { .. }
            | Self::Complete { .. }
            | Self::SetTimer { .. } => false,
        }
    }
}

/// Does what somebody asks for, before anything that follows from it.
///
/// # Errors
/// Why it cannot be done; nothing has happened.
pub(super) fn operate(
    decision: &mut Decision<'_>,
    id: CommandId,
    operation: Operation,
    reason: Option<String>,
) -> Result<(), RunRejection> {
    if operation.is_undone() && was_done(decision, id)? {
        return Ok(());
    }
    let reason = reason.map(shortened).filter(|reason| !reason.is_empty());
    match operation {
        Operation::Pause { node } => pause(decision, id, node, reason),
        Operation::Resume { node } => resume(decision, id, node, reason),
        Operation::Terminate {} => {
            terminate(decision, reason);
            Ok(())
        }
        Operation::Skip { node } => skip_node_by_hand(decision, &node, By { reason }),
        Operation::Complete { node, output, assets } => {
            complete_node_by_hand(decision, &node, output, assets, By { reason })
        }
        Operation::SetTimer { node, due_at } => set_timer_by_hand(decision, &node, (id, due_at), By { reason }),
    }
}

/// Says whether something was done before that may have been undone since: then it is not done again.
///
/// # Errors
/// [`RunRejection::OperationsExhausted`]: what is done now could not be remembered.
pub(super) fn was_done(decision: &Decision<'_>, operation: CommandId) -> Result<bool, RunRejection> {
    let halts = &decision.run().waiting.halts();
    if !halts.has_done(operation) && halts.count_done() >= OPERATIONS_MAX {
        return Err(RunRejection::OperationsExhausted);
    }
    Ok(halts.has_done(operation))
}

fn pause(
    decision: &mut Decision<'_>,
    operation: CommandId,
    node: Option<NodeId>,
    reason: Option<String>,
) -> Result<(), RunRejection> {
    let run = decision.run();
    if let Some(ending) = run.ending() {
        return Err(RunRejection::RunClosed { status: ending.status(), successor: None });
    }
    if !is_halted(decision, node.as_ref())? {
        decision.emit(RunEvent::RunPaused { operation, node, reason });
    }
    Ok(())
}

fn resume(
    decision: &mut Decision<'_>,
    operation: CommandId,
    node: Option<NodeId>,
    reason: Option<String>,
) -> Result<(), RunRejection> {
    if is_halted(decision, node.as_ref())? {
        decision.emit(RunEvent::RunResumed { operation, node, reason });
    }
    Ok(())
}

/// Whether this is paused already.
fn is_halted(decision: &Decision<'_>, node: Option<&NodeId>) -> Result<bool, RunRejection> {
    let halts = &decision.run().waiting.halts();
    let Some(node) = node else { return Ok(halts.since().is_some()) };
    let unknown = || RunRejection::NodeNotFound { node: node.to_string() };
    Ok(halts.holds(decision.definition().find(node).ok_or_else(unknown)?))
}

fn terminate(decision: &mut Decision<'_>, reason: Option<String>) {
    if decision.run().waiting.halts().is_terminated() {
        return;
    }
    decision.emit(RunEvent::RunTerminated { reason: reason.clone() });
    let reason = reason.unwrap_or_else(|| "terminated".to_owned());
    decision.end(Ending::Cancelled { reason, keeps: true });
}
