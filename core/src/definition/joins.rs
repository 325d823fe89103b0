//! Whether what is joined can come together.

use super::document::Findings;
use super::edges::{Edge, Ids};
use super::node::Draft;
use super::regions::Plan;
use super::{Join, Outcome, ProblemCode};

/// Refuses joins that never come together, and transitions that are never taken.
pub(super) fn check(drafts: &[Draft], ids: &Ids, edges: &[Edge], plan: &Plan, found: &Findings) {
    for draft in drafts {
        let Some(position) = ids.get(draft.node.id.as_str()) else { continue };
        if let Some(at) = &draft.join_at {
            let into = edges.iter().zip(&plan.leads_back).filter(|(edge, back)| edge.to == *position && !**back);
            check_join(draft.node.join, at, into.map(|(edge, _)| edge), found);
        }
        if !draft.node.action.can_succeed() {
            for edge in edges.iter().filter(|edge| edge.from == *position && edge.on == Outcome::Success) {
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
