//! What is due where a run and its nodes stand, and what they wait for.

use crate::definition::{Definition, Node};
use crate::run::mail::AwaitedSignal;
use crate::run::state::{Around, Due, Phase, Timer};
use crate::{Revision, Timestamp};

/// What a run has due from its start to its end.
pub(in crate::run) fn timer_of_run(definition: &Definition, started_at: Timestamp) -> Option<(Timestamp, Timer)> {
    definition.timeout.map(|span| (started_at.after(span), Timer::RunTimeout))
}

/// What a node has due in its phase, and when.
pub(super) fn due_in(node: &Node, phase: &Phase) -> Option<(Timestamp, Due)> {
    match phase {
        Phase::Current(current) => match current.wakes_at() {
            Some(at) => Some((at, Due::Time)),
            None if current.calling().is_some() => {
                current.calling().and_then(|calling| calling.due(node, current.scheduled_at))
            }
            None if current.asking().is_some() => current.asking().and_then(|asking| asking.due(current.scheduled_at)),
            None => node.timeout.map(|span| (current.scheduled_at.after(span), Due::Timeout)),
        },
        Phase::Retrying { due_at, .. } => Some((*due_at, Due::Retry)),
        Phase::Around(around) => match (&**around, node.action.for_each()) {
            (Around::Each(each), Some(of)) if each.closing.is_none() => {
                of.timeout.map(|span| (each.began_at.after(span), Due::Timeout))
            }
            (Around::Group(group), _) if !group.closing && group.outcome.is_none() => {
                node.timeout.map(|span| (group.began_at.after(span), Due::Timeout))
            }
            (Around::Each(_) | Around::Loop(_) | Around::Group(_) | Around::Undo(_), _) => None,
        },
        Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::AwaitingMemo(_)
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Skipped
        | Phase::Cancelled => None,
    }
}

/// Returns since when an attempt waits for a worker, where one does.
pub(super) fn waiting_since(phase: &Phase) -> Option<Revision> {
    phase.current().filter(|current| current.is_waiting()).map(|current| current.revision)
}

/// Returns since when an attempt waits for signals, and for which, where one does.
pub(super) fn listens_since(phase: &Phase) -> Option<(Revision, &[AwaitedSignal])> {
    let current = phase.current()?;
    Some((current.revision, current.listens_for()?))
}
