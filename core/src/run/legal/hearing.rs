//! What a node can hear of somebody outside, where it stands.

use crate::Attempt;
use crate::run::RunEvent;
use crate::run::state::Phase;

/// The part of the table that is about what somebody outside says.
pub(super) fn can_hear(phase: &Phase, event: &RunEvent) -> bool {
    match event {
        RunEvent::SignalTaken { attempt, .. } => {
            phase.current().is_some_and(|current| current.attempt == *attempt && current.listens_for().is_some())
        }
        RunEvent::SignalAnswered { attempt, signal, .. } => {
            let taken =
                phase.current().filter(|current| current.attempt == *attempt).and_then(|current| current.taken());
            taken.is_some_and(|letter| letter.update && letter.id == *signal)
        }
        RunEvent::CallbackAwaited { attempt, .. } | RunEvent::CallbackHeard { attempt, .. } => {
            let current = phase.current().filter(|current| current.attempt == *attempt && !current.is_told());
            current.is_some_and(|current| current.calling().is_some())
        }
        RunEvent::PersonAsked { attempt, .. } => asks(phase, *attempt, false),
        RunEvent::PersonAnswered { attempt, .. }
        | RunEvent::PersonReassigned { attempt, .. }
        | RunEvent::PersonReminded { attempt, .. } => asks(phase, *attempt, true),
        _other => false,
    }
}

/// Whether a node is at this attempt, which waits for people, asked or to be asked.
fn asks(phase: &Phase, attempt: Attempt, asked: bool) -> bool {
    let current = phase.current().filter(|current| current.attempt == attempt && !current.is_told());
    current.and_then(|current| current.asking()).is_some_and(|asking| asking.task.is_some() == asked)
}
