//! When a node becomes ready.

use crate::definition::{Join, Node};
use crate::run::state::NodeState;

/// What the incoming transitions say about a pending node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum Readiness {
    Wait,
    Ready,
    /// No way in is left (dead-path elimination).
    Dead,
}

/// Says whether a node's join is satisfied. Costs nothing in the number of its transitions.
pub(in crate::run) fn readiness(node: &Node, state: &NodeState) -> Readiness {
    let incoming = u32::try_from(node.incoming.len()).expect("a definition has at most 200,000 transitions");
    let open = incoming - state.decided;
    let (ready, dead) = match node.join {
        Join::All => (open == 0 && state.taken > 0, open == 0 && state.taken == 0),
        Join::Any => (state.taken > 0, open == 0 && state.taken == 0),
        Join::Quorum(needed) => (state.taken >= needed, state.taken + open < needed),
        Join::AllSucceeded => {
            (state.taken == incoming && state.failed == 0, state.taken < state.decided || state.failed > 0)
        }
        Join::AllDone => (open == 0, false),
        Join::NoneFailed => (open == 0 && state.failed == 0, state.failed > 0),
    };
    match (ready, dead) {
        (true, _) => Readiness::Ready,
        (false, true) => Readiness::Dead,
        (false, false) => Readiness::Wait,
    }
}
