//! Where a run can go on as another: nothing comes after, and it does not while it ends.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::document::Findings;
use super::edges::{Edge, Ids};
use super::node::Draft;
use super::{Outcome, ProblemCode, listed};

/// Refuses what never happens because the run has ended by then.
pub(super) fn check(
    drafts: &[Draft],
    ids: &Ids,
    edges: &[Edge],
    (finally, bodies): (Option<usize>, &[Option<usize>]),
    (document, found): (&Value, &Findings),
) {
    let last = drafts.iter().filter(|draft| draft.node.action.continues().is_some());
    let last: HashMap<usize, &Draft> =
        last.filter_map(|draft| Some((*ids.get(draft.node.id.as_str())?, draft))).collect();
    for edge in edges.iter().filter(|edge| edge.on == Outcome::Success) {
        if let Some(from) = last.get(&edge.from) {
            let message = format!("nothing comes after `{}`: the run has ended, and another goes on", from.node.id);
            found.error(&edge.at, ProblemCode::InvalidValue, message);
        }
    }
    let around = |node: usize| std::iter::successors(bodies[node], |around| bodies[*around]);
    let at_the_end = last.iter().filter(|(node, _)| around(**node).any(|around| Some(around) == finally));
    let ids: HashSet<&str> = at_the_end.map(|(_, draft)| draft.node.id.as_str()).collect();
    if ids.is_empty() {
        return;
    }
    for node in listed::nodes(document) {
        if node.value["id"].as_str().is_some_and(|id| ids.contains(id)) {
            let message = "the run is ending, and how stands: no `continue_as` in what runs whatever the end";
            found.error(&node.at, ProblemCode::InvalidValue, message);
        }
    }
}
