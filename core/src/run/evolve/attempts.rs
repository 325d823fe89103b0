//! What it means that an attempt exists, and that it is known which run it is about.

use std::sync::Arc;

use super::Fold;
use crate::Timestamp;
use crate::run::RunEvent;
use crate::run::attempt::{Awaited, CurrentAttempt};
use crate::run::state::Phase;
use crate::run::succession::goes_on_as;

/// Learns that a node is at its next attempt, or of which version a run is that it waits for.
pub(super) fn attempt(run: &mut Fold<'_>, event: &RunEvent, now: Timestamp) {
    if let RunEvent::AttemptScheduled { node, attempt, lease, input, .. } = event {
        let place = run.place(node);
        let definition = Arc::clone(run.definition());
        let (of, revision, goes_on) = (definition.node(place.node), run.revision, goes_on_as(run, place));
        run.node_mut(place).attempts = attempt.get();
        if of.retry.duration_max.is_some() {
            run.node_mut(place).first_scheduled_at.get_or_insert(now);
        }
        let current = CurrentAttempt {
            attempt: *attempt,
            lease: *lease,
            input: input.clone(),
            scheduled_at: now,
            revision,
            awaits: Awaited::scheduled(event, &of.action, goes_on),
        };
        run.enter(place, Phase::Current(Box::new(current)));
        run.list_if_ready(place);
    } else if let RunEvent::ChildCalled { node, child, version, .. } = event {
        let place = run.place(node);
        let (child, version) = (*child, Some(*version));
        run.change_current(place, |current| {
            current.awaits = match current.successor() {
                Some(_) => Awaited::Successor { run: child, version },
                None => Awaited::Child { run: child, version },
            };
        });
        run.list_if_ready(place);
    }
}
