//! Whether what is joined can come together.

use super::document::Findings;
use super::edges::{Edge, Ids};
use super::node::Draft;
use super::order::Neighbours;
use super::regions::Plan;
use super::{Join, Outcome, ProblemCode};

/// Refuses joins that never come together, and transitions that are never taken.
pub(super) fn check(drafts: &[Draft], ids: &Ids, edges: &[Edge], plan: &Plan, found: &Findings) {
    let neighbours = Neighbours::of(plan.order.len(), edges);
    for draft in drafts {
        let Some(position) = ids.get(draft.node.id.as_str()) else { continue };
        if let Some(at) = &draft.join_at {
            let into = neighbours.into[*position].iter().filter(|edge| !plan.leads_back[**edge]);
            check_join(draft.node.join, at, into.map(|edge| &edges[*edge]), found);
        }
        if !draft.node.action.can_succeed() {
            let out = neighbours.out[*position].iter().map(|edge| &edges[*edge]);
            for edge in out.filter(|edge| edge.on == Outcome::Success) {
                let message = format!("is never taken: `{}` always fails; `on: failure` is", draft.node.id);
                found.error(&edge.at, ProblemCode::Unreachable, message);
            }
        }
    }
}

fn check_join<'e>(join: Join, at: &str, mut incoming: impl Iterator<Item = &'e Edge>, found: &Findings) {
    let message = match join {
        Join::Quorum(quorum) => {
            let incoming = incoming.count();
            let message = format!("a quorum of {quorum} cannot come together from {incoming} transition(s)");
            (quorum as usize > incoming).then_some(message)
        }
        Join::AllSucceeded => incoming.any(|edge| edge.on == Outcome::Failure).then(|| {
            "never comes together: a transition `on: failure` leads here, and what it leaves has failed".to_owned()
        }),
        Join::All | Join::Any | Join::AllDone | Join::NoneFailed => None,
    };
    if let Some(message) = message {
        found.error(at, ProblemCode::InvalidValue, message);
    }
}
