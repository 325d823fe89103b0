//! What can happen to a run and its nodes, as a table of where they stand and what they learn. Every fold asks it before it
//! changes anything: what cannot be has not been decided by any release, and the run is quarantined.

mod branches;
mod hearing;

use branches::of_branch;

use super::compensation;
use super::landing;
use super::migration::migrated;
use super::recall;
use super::state::{Phase, Place, Run};
use super::succession;
use super::{RunEvent, RunStatus};
use crate::{Attempt, NodeAddress, NodeId, RunId};

/// Says what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Illegal {
    #[error("an event names a node that the definition does not have: {node}")]
    Unknown { node: NodeAddress },
    #[error("the node {node} is {stands} and learns {event}")]
    Node { node: NodeAddress, stands: &'static str, event: &'static str },
    #[error("the branch {branch} learns {event}, which it cannot")]
    Branch { branch: u32, event: &'static str },
    #[error("the run {stands} and learns {event}")]
    Run { stands: &'static str, event: &'static str },
}

/// Asks whether a run that stands where it does can learn this.
///
/// # Errors
/// What cannot be.
pub(crate) fn check(run: &Run, event: &RunEvent) -> Result<(), Illegal> {
    let word = event.word();
    if let Some(stands) = out_of_course(run, event) {
        return Err(Illegal::Run { stands, event: word });
    }
    let Some(node) = event.node() else { return of_branch(run, event) };
    // What was produced may be recorded when its branch has ended.
    if let RunEvent::AssetRecorded { asset, partition, .. } = event
        && run.find(node).is_none()
        && run.awaits_record(node, asset, partition)
    {
        return Ok(());
    }
    // And so may its memo be left, where it is not all recorded.
    if let RunEvent::MemoLeft { digest, .. } = event
        && landing::is_under_way(run, node, digest)
    {
        return Ok(());
    }
    let place = run.find(node).ok_or_else(|| Illegal::Unknown { node: node.clone() })?;
    let phase = &run.node(place).phase;
    if can_learn(phase, event) && is_of_its_kind(run, place, event) {
        of_branch(run, event)
    } else {
        Err(Illegal::Node { node: node.clone(), stands: stands(phase), event: word })
    }
}

/// Where the run stands, if it can learn no such thing there.
fn out_of_course(run: &Run, event: &RunEvent) -> Option<&'static str> {
    if run.status.is_terminal() {
        return Some("has ended");
    }
    let waits_for_the_end = |node: &NodeAddress| run.place_of(node).is_some_and(|place| run.is_at_the_end(place));
    if was_done(run, event) {
        return Some("has done it");
    }
    if event.node().is_some_and(waits_for_the_end) || closes_at_the_end(run, event) {
        return run.ending.is_none().then_some("is not ending").or_else(|| undoes_nothing(run, event));
    }
    let ending = run.ending.as_ref().map(|ending| (ending.status(), "is ending"));
    let unless = |status: RunStatus| ending.filter(|(certain, _)| *certain != status).map(|(_, stands)| stands);
    match event {
        RunEvent::RunStarted { .. } => Some("has started"),
        RunEvent::NodeCancelled { .. }
        | RunEvent::ChildWithdrawn { .. }
        | RunEvent::MemoLeft { .. }
        | RunEvent::CallbackAnswered { .. }
        | RunEvent::BranchEnded { .. } => None,
        RunEvent::SignalInherited { .. } | RunEvent::SuccessorCalled { .. } | RunEvent::SuccessorWithdrawn { .. } => {
            (!succession::can_learn(run, event)).then_some("does not go on so")
        }
        RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. } if leaves_undone(run) => Some("has still to undo"),
        RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. } if succession::can_end(run, event) => None,
        RunEvent::RunFailed { .. } => unless(RunStatus::Failed),
        RunEvent::RunCancelled { .. } => unless(RunStatus::Cancelled),
        RunEvent::RunSucceeded { .. } if !succession::can_end(run, event) => Some("goes on as another"),
        RunEvent::RunSucceeded { .. } => {
            unless(RunStatus::Succeeded).or((run.branches.active() > 0).then_some("has active nodes"))
        }
        RunEvent::ResultsRecalled { piece, .. } => {
            let is_next = recall::is_awaited(run) && *piece == run.waiting.recall().pieces() + 1;
            ending.map(|(_, stands)| stands).or((!is_next).then_some("does not wait to be told this"))
        }
        RunEvent::RunEnding { .. }
        | RunEvent::RunDescribed { .. }
        | RunEvent::NodeAwaitedAssets { .. }
        | RunEvent::AssetResolved { .. }
        | RunEvent::MemoAsked { .. }
        | RunEvent::MemoCleared { .. }
        | RunEvent::AttemptScheduled { .. }
        | RunEvent::SignalTaken { .. }
        | RunEvent::NodeOverruled { .. }
        | RunEvent::TimerChanged { .. }
        | RunEvent::SignalAnswered { .. }
        | RunEvent::PersonAsked { .. }
        | RunEvent::PersonAnswered { .. }
        | RunEvent::PersonReassigned { .. }
        | RunEvent::PersonReminded { .. }
        | RunEvent::ChildCalled { .. }
        | RunEvent::AttemptGranted { .. }
        | RunEvent::AttemptReturned { .. }
        | RunEvent::AttemptStarted { .. }
        | RunEvent::AttemptFailed { .. }
        | RunEvent::RetryArmed { .. }
        | RunEvent::CompensationKept { .. }
        | RunEvent::NodeSucceeded { .. }
        | RunEvent::NodeFailed { .. }
        | RunEvent::NodeSkipped { .. }
        | RunEvent::ItemsListed { .. }
        | RunEvent::BranchesOpened { .. }
        | RunEvent::BranchClosing { .. }
        | RunEvent::SuccessorChosen { .. }
        | RunEvent::CallbackAwaited { .. }
        | RunEvent::CallbackHeard { .. }
        | RunEvent::JoinClosing { .. } => ending.map(|(_, stands)| stands),
        RunEvent::RunPaused { .. }
        | RunEvent::RunResumed { .. }
        | RunEvent::RunTerminated { .. }
        | RunEvent::RunStopping { .. }
        | RunEvent::RunMigrated { .. } => taken_in_hand(run, event, ending.map(|(_, stands)| stands)),
        RunEvent::SignalReceived { signal, .. } => {
            let ending = ending.filter(|_| !run.is_at_finally()).map(|(_, stands)| stands);
            ending.or(run.waiting.mail().has_received(*signal).then_some("has received it"))
        }
        // What was made before is recorded while something runs whatever the end.
        RunEvent::AssetRecorded { .. } => ending.filter(|_| !hears_of_records(run)).map(|(_, stands)| stands),
    }
}

/// Whether what was made before is recorded while the run ends.
fn hears_of_records(run: &Run) -> bool {
    run.is_at_finally() || compensation::is_under_way(run) || run.waiting.chain().next().is_some()
}

/// The same of what somebody does to it by hand; `ending`: that it is certain how it ends.
fn taken_in_hand(run: &Run, event: &RunEvent, ending: Option<&'static str>) -> Option<&'static str> {
    let stopping = || run.is_stopping().then_some("is stopping");
    if let RunEvent::RunPaused { node, .. } = event {
        ending.or_else(|| unless_halted(run, node, false))
    } else if let RunEvent::RunResumed { node, .. } = event {
        ending.or_else(|| unless_halted(run, node, true))
    } else if let RunEvent::RunMigrated { .. } = event {
        let unfit = || migrated(run, event).is_none().then_some("does not fit the version");
        ending.or_else(stopping).or_else(unfit)
    } else if let RunEvent::RunStopping { .. } = event {
        ending.or_else(stopping)
    } else {
        run.waiting.halts().is_terminated().then_some("is terminated")
    }
}

/// Whether this was done before, and may have been undone since.
fn was_done(run: &Run, event: &RunEvent) -> bool {
    let (RunEvent::RunPaused { operation, .. }
    | RunEvent::RunResumed { operation, .. }
    | RunEvent::TimerChanged { operation, .. }
    | RunEvent::RunMigrated { operation, .. }
    | RunEvent::PersonReassigned { operation, .. }) = event
    else {
        return false;
    };
    run.waiting.halts().has_done(*operation)
}

/// Where the run stands, unless it, or a node of it, is halted or not.
fn unless_halted(run: &Run, node: &Option<NodeId>, halted: bool) -> Option<&'static str> {
    let halts = &run.waiting.halts();
    match node {
        None => (halts.since().is_some() != halted).then_some(if halted { "is not paused" } else { "is paused" }),
        Some(node) => match run.definition().find(node) {
            Some(node) if halts.holds(node) == halted => None,
            Some(_) => Some(if halted { "has not paused the node" } else { "has paused the node" }),
            None => Some("has no such node"),
        },
    }
}

fn closes_at_the_end(run: &Run, event: &RunEvent) -> bool {
    let RunEvent::BranchClosing { branch, .. } = event else { return false };
    let within = run.branches.get(*branch).and_then(|branch| branch.parent);
    within.is_some_and(|parent| run.is_at_the_end(parent))
}

/// Whether the run would end badly and not have undone what it has to.
fn leaves_undone(run: &Run) -> bool {
    let is_over = run.waiting.halts().is_terminated();
    !is_over && !run.branches.kept().is_empty() && run.ending.as_ref().is_none_or(|ending| ending.compensates())
}

/// What undoes begins where something is to be undone, and ends when nothing is left of that.
fn undoes_nothing(run: &Run, event: &RunEvent) -> Option<&'static str> {
    let place = event.node().and_then(|node| run.place_of(node)).filter(|place| compensation::holds(run, *place))?;
    let is_whole = run.definition().node(place.node).action.is_compensation();
    match event {
        RunEvent::ItemsListed { .. } => (!compensation::is_owed(run)).then_some("undoes nothing"),
        RunEvent::NodeSucceeded { .. } | RunEvent::NodeFailed { .. } if is_whole => {
            compensation::is_owed(run).then_some("has still to undo")
        }
        _other => None,
    }
}

/// The table.
fn can_learn(phase: &Phase, event: &RunEvent) -> bool {
    use super::state::Around as Opened;
    use Phase::{Around, AwaitingAssets, AwaitingMemo, Current, Pending, Retrying, Succeeded};
    match event {
        RunEvent::NodeAwaitedAssets { .. } | RunEvent::NodeSkipped { .. } => matches!(phase, Pending),
        RunEvent::NodeOverruled { .. } => {
            matches!(phase, AwaitingAssets { .. } | AwaitingMemo(_) | Current(_) | Retrying { .. })
        }
        RunEvent::TimerChanged { .. } => match phase {
            Current(current) => current.wakes_at().is_some(),
            phase => matches!(phase, Retrying { .. }),
        },
        RunEvent::AssetResolved { .. } => matches!(phase, AwaitingAssets { .. }),
        RunEvent::MemoAsked { .. } => matches!(phase, Pending | AwaitingAssets { .. }),
        RunEvent::MemoCleared { .. } => matches!(phase, AwaitingMemo(awaited) if !awaited.cleared),
        RunEvent::MemoLeft { .. } => matches!(phase, AwaitingMemo(_) | Current(_) | Retrying { .. }),
        // An attempt that was given back is current until the next is.
        RunEvent::AttemptScheduled { .. } => {
            matches!(phase, Pending | AwaitingAssets { .. } | AwaitingMemo(_) | Retrying { .. } | Current(_))
        }
        RunEvent::SignalTaken { .. }
        | RunEvent::SignalAnswered { .. }
        | RunEvent::CallbackAwaited { .. }
        | RunEvent::CallbackHeard { .. }
        | RunEvent::PersonAsked { .. }
        | RunEvent::PersonAnswered { .. }
        | RunEvent::PersonReassigned { .. }
        | RunEvent::PersonReminded { .. } => hearing::can_hear(phase, event),
        RunEvent::ChildCalled { attempt, child, .. } => awaits(phase, *attempt, *child, false),
        RunEvent::ChildWithdrawn { attempt, child, .. } => awaits(phase, *attempt, *child, true),
        RunEvent::AttemptGranted { .. } | RunEvent::AttemptReturned { .. } | RunEvent::AttemptStarted { .. } => {
            matches!(phase, Current(_))
        }
        // The tries of a group are attempts that nobody holds.
        RunEvent::AttemptFailed { .. } | RunEvent::RetryArmed { .. } => match phase {
            Around(around) => around.is_idle() && matches!(&**around, Opened::Group(_)),
            phase => matches!(phase, Current(_)),
        },
        RunEvent::ItemsListed { .. } => matches!(phase, Pending | AwaitingAssets { .. }),
        RunEvent::BranchesOpened { .. } => {
            matches!(phase, Pending | AwaitingAssets { .. } | Retrying { .. } | Around(_))
        }
        RunEvent::JoinClosing { .. } => {
            matches!(phase, Around(around) if matches!(&**around, Opened::Each(each) if each.closing.is_none()))
        }
        RunEvent::NodeSucceeded { .. } | RunEvent::NodeFailed { .. } | RunEvent::NodeCancelled { .. } => {
            can_end_with(phase, event)
        }
        RunEvent::AssetRecorded { .. } | RunEvent::CompensationKept { .. } | RunEvent::SuccessorChosen { .. } => {
            matches!(phase, Succeeded)
        }
        RunEvent::RunStarted { .. }
        | RunEvent::RunDescribed { .. }
        | RunEvent::ResultsRecalled { .. }
        | RunEvent::SignalReceived { .. }
        | RunEvent::SignalInherited { .. }
        | RunEvent::CallbackAnswered { .. }
        | RunEvent::SuccessorCalled { .. }
        | RunEvent::SuccessorWithdrawn { .. }
        | RunEvent::RunPaused { .. }
        | RunEvent::RunResumed { .. }
        | RunEvent::RunTerminated { .. }
        | RunEvent::RunStopping { .. }
        | RunEvent::RunMigrated { .. }
        | RunEvent::BranchClosing { .. }
        | RunEvent::BranchEnded { .. }
        | RunEvent::RunEnding { .. }
        | RunEvent::RunSucceeded { .. }
        | RunEvent::RunFailed { .. }
        | RunEvent::RunCancelled { .. } => true,
    }
}

/// Whether a node can end so: pure nodes do as they begin, and what has branches when none is left.
fn can_end_with(phase: &Phase, event: &RunEvent) -> bool {
    use Phase::{AwaitingAssets, AwaitingMemo, Current, Pending, Retrying};
    if let Phase::Around(around) = phase {
        return around.is_idle();
    }
    let is_cancelled = matches!(event, RunEvent::NodeCancelled { .. });
    let is_failed = matches!(event, RunEvent::NodeFailed { .. });
    match phase {
        phase if is_cancelled => phase.is_active(),
        Retrying { .. } => is_failed,
        phase => matches!(phase, Pending | AwaitingAssets { .. } | AwaitingMemo(_) | Current(_)),
    }
}

/// Whether a node is at this attempt, which waits for this child, called or not.
fn awaits(phase: &Phase, attempt: Attempt, child: RunId, called: bool) -> bool {
    phase.current().is_some_and(|current| {
        let awaited = current.child().or(current.successor());
        current.attempt == attempt
            && awaited.is_some_and(|(run, version)| run == child && (called || version.is_none()))
    })
}

/// Whether such a node can learn this: children are a call's,
/// items are a `forEach`'s, and the first node of a loop happens in its turns only.
fn is_of_its_kind(run: &Run, place: Place, event: &RunEvent) -> bool {
    let node = run.definition().node(place.node);
    let stands_for_a_loop = node.region != run.branches.of(place).region;
    let is_for_both = matches!(
        event,
        RunEvent::BranchesOpened { .. } | RunEvent::NodeSkipped { .. } | RunEvent::NodeCancelled { .. }
    );
    let lists = matches!(event, RunEvent::ItemsListed { .. });
    let is_called = node.action.call().is_some() || node.action.continues().is_some();
    let has_child = !matches!(event, RunEvent::AttemptScheduled { child, .. } if child.is_some() != is_called);
    let listens = node.action.listens().is_some();
    let has_signals = if let RunEvent::AttemptScheduled { signals, .. } = event {
        let has_key = node.action.callback().is_some_and(|callback| callback.key.is_some());
        signals.is_empty() != (listens || has_key)
    } else if let RunEvent::SignalTaken { signal, .. } = event {
        run.waiting.mail().keeps(*signal)
    } else if let RunEvent::SignalAnswered { signal, .. } = event {
        !run.waiting.replies().has(*signal)
    } else if let RunEvent::SuccessorChosen { .. } = event {
        node.action.continues().is_some() && succession::can_learn(run, event)
    } else if let RunEvent::PersonAnswered { answer, .. } = event {
        run.waiting.people().what_said(*answer).is_none()
    } else {
        true
    };
    let has_list = node.action.for_each().is_some() || node.action.is_compensation();
    let keeps = matches!(event, RunEvent::CompensationKept { .. });
    let is_kept = run.definition().undo_of(place.node).is_some() && !run.branches.kept().holds(place);
    let fits = (!lists || has_list) && (!keeps || is_kept);
    (is_for_both || !stands_for_a_loop) && fits && has_child && has_signals
}

fn stands(phase: &Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::AwaitingAssets { .. } => "waiting for assets",
        Phase::AwaitingMemo(_) => "waiting for a memo",
        Phase::Current(_) => "at an attempt",
        Phase::Retrying { .. } => "waiting for its next attempt",
        Phase::Around(_) => "at its branches",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
        Phase::Skipped => "skipped",
        Phase::Cancelled => "cancelled",
    }
}
