//! What can happen to the branches of a run: which are opened, and how they end.

use super::Illegal;
use crate::BranchId;
use crate::NodeAddress;
use crate::definition::RegionKind;
use crate::run::state::{Around, Phase, Run};
use crate::run::{BranchKind, BranchOutcome, RunEvent};

/// Asks whether the branches of a run can learn this.
pub(super) fn of_branch(run: &Run, event: &RunEvent) -> Result<(), Illegal> {
    let is_open = |branch: &BranchId| *branch != BranchId::ROOT && run.branches.get(*branch).is_some();
    let (branch, can) = if let RunEvent::BranchClosing { branch, .. } = event {
        (branch, is_open(branch) && !run.branches.is_closing(*branch))
    } else if let RunEvent::BranchEnded { branch, outcome } = event {
        (branch, is_open(branch) && can_end(run, *branch, outcome))
    } else if let RunEvent::BranchesOpened { node, kind, first, from, count } = event {
        let are_next = *first == run.branches.next() && first.get().checked_add(*count).is_some();
        (first, are_next && can_open(run, node, *kind, *from, *count))
    } else {
        return Ok(());
    };
    if can { Ok(()) } else { Err(Illegal::Branch { branch: branch.get(), event: event.word() }) }
}

/// Whether a branch can end so: nothing is active in it, and turns end as turns do.
fn can_end(run: &Run, id: BranchId, outcome: &BranchOutcome) -> bool {
    let Some(branch) = run.branches.get(id) else { return false };
    let is_turn = matches!(run.definition().region(branch.region).kind, RegionKind::Loop { .. });
    let fits = match outcome {
        BranchOutcome::Turned { again } => is_turn && *again == branch.ways().back,
        BranchOutcome::Succeeded { .. } | BranchOutcome::Failed { .. } => !is_turn,
        BranchOutcome::SucceededAs { node, .. } => {
            !is_turn && run.branches.made_in(run.definition(), id, node).is_some()
        }
        BranchOutcome::Cancelled {} => true,
    };
    fits && branch.active == 0
}

/// Whether a node can open branches: a `forEach` those for its next items, the first node of a loop its next turn.
fn can_open(run: &Run, node: &NodeAddress, kind: BranchKind, from: u32, count: u32) -> bool {
    let Some(place) = run.find(node) else { return false };
    if run.kind_of_branches(place) != kind {
        return false;
    }
    let is_loop = run.definition().node(place.node).region != run.branches.of(place).region;
    match &run.node(place).phase {
        Phase::Pending | Phase::AwaitingAssets { .. } | Phase::Retrying { .. } => {
            let is_try = !is_loop && run.definition().node(place.node).action.is_group();
            let is_turn = is_loop && run.node(place).phase == Phase::Pending && from == 0;
            count == 1 && (is_turn || (is_try && from == run.node(place).attempts))
        }
        Phase::Around(around) => match &**around {
            Around::Each(each) => {
                let left = each.items.len() as u64 - u64::from(each.opened).min(each.items.len() as u64);
                !is_loop && from == each.opened && count > 0 && u64::from(count) <= left && each.closing.is_none()
            }
            Around::Loop(turns) => is_loop && turns.open.is_none() && from == turns.before && count == 1,
            // The last first, one after the other.
            Around::Undo(undoing) => {
                let left = run.branches.kept().len() as u64;
                undoing.open.is_none() && count == 1 && u64::from(from) + 1 == left
            }
            Around::Group(_) => false,
        },
        Phase::AwaitingMemo(_)
        | Phase::Current(_)
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Skipped
        | Phase::Cancelled => false,
    }
}
