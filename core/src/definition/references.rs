//! Whether everything an expression names is there by the time it is evaluated.

use std::collections::BTreeSet;

use super::ProblemCode;
use super::document::{Findings, nearest};
use super::edges::{Edge, Ids};
use super::node::Draft;
use super::order::NodeSet;
use super::regions::Plan;
use super::template::Use;

/// What is known of the whole document.
pub(super) struct Known<'k> {
    pub(super) drafts: &'k [Draft],
    pub(super) ids: &'k Ids,
    /// The nodes before each; empty where there is no order.
    pub(super) upstream: &'k [NodeSet],
    /// Which nodes happen together. Absent: there is no order.
    pub(super) plan: Option<&'k Plan>,
    /// By node: in whose body it stands.
    pub(super) bodies: &'k [Option<usize>],
    /// What runs whatever the end.
    pub(super) finally: Option<usize>,
    /// The keys a run's input can have, where its schema allows no others.
    pub(super) input_keys: Option<&'k BTreeSet<String>>,
    pub(super) found: &'k Findings,
}

impl Known<'_> {
    /// Checks what the expressions of one node name.
    pub(super) fn check_node(&self, node: usize, draft: &Draft) {
        let before = |other: usize| self.upstream.get(node).is_none_or(|set| set.contains(other));
        for used in draft.uses.iter().chain(&draft.early_uses) {
            self.check(used, node, &before, "runs before this one");
        }
        let in_body = |other: usize| self.bodies[other] == Some(node) || before(other);
        for used in &draft.output_uses {
            self.check(used, node, &in_body, "stands in this body or before it");
        }
        for used in &draft.early_uses {
            for id in &used.assets {
                let message =
                    format!("asset `{id}` is not there yet: `consumes` is evaluated before versions are chosen");
                self.found.error(&used.at, ProblemCode::DanglingReference, message);
            }
        }
        for used in &draft.uses {
            let consumed = |id: &str| draft.wanted.iter().any(|w| w.consumes.asset.as_str().eq_ignore_ascii_case(id));
            for id in used.assets.iter().filter(|id| !consumed(id)) {
                let hint = nearest(id, draft.wanted.iter().map(|wanted| wanted.consumes.asset.as_str()));
                let message = format!("the node does not consume an asset `{id}`{hint}");
                self.found.error(&used.at, ProblemCode::DanglingReference, message);
            }
        }
    }

    /// Checks what the condition of a transition names: it is evaluated when the node it leaves has ended.
    pub(super) fn check_edge(&self, edge: &Edge) {
        let before =
            |other: usize| other == edge.from || self.upstream.get(edge.from).is_none_or(|set| set.contains(other));
        let until = edge.back.as_ref().and_then(|back| back.until.as_ref()).map(|(_, used)| used);
        for used in edge.uses.iter().chain(until) {
            let when = "has ended for certain when this is evaluated, at the end of the node it follows";
            self.check(used, edge.from, &before, when);
        }
    }

    /// Checks what the output of the run names: all nodes have ended by then.
    pub(super) fn check_output(&self, used: &Use) {
        let outside = |other: usize| self.bodies[other].is_none() && self.finally != Some(other);
        self.check_nodes(used, &outside, "stands outside of all bodies, whose nodes happen once for each item");
        self.check_input(used);
        self.check_state(used, &outside);
    }

    /// `before` says of a node whether it is before `node`. In a loop the state also holds what the turn before has stored.
    fn check(&self, used: &Use, node: usize, before: &dyn Fn(usize) -> bool, when: &str) {
        self.check_nodes(used, before, when);
        self.check_input(used);
        let share_a_loop = |other: usize| self.plan.is_some_and(|plan| plan.share_a_loop(node, other));
        self.check_state(used, &|other| before(other) || share_a_loop(other));
    }

    fn check_nodes(&self, used: &Use, before: &dyn Fn(usize) -> bool, when: &str) {
        for id in &used.nodes {
            match self.ids.get(id) {
                None => {
                    let hint = nearest(id, self.ids.keys().map(String::as_str));
                    let message = format!("there is no node `{id}`{hint}");
                    self.found.error(&used.at, ProblemCode::DanglingReference, message);
                }
                Some(position) if !before(*position) => {
                    let message = format!("`{id}` is not a node that {when}: depend on it");
                    self.found.error(&used.at, ProblemCode::DanglingReference, message);
                }
                Some(_) => {}
            }
        }
    }

    fn check_input(&self, used: &Use) {
        for key in used.input.iter().filter(|key| self.input_keys.is_some_and(|keys| !keys.contains(*key))) {
            let hint = nearest(key, self.input_keys.into_iter().flatten().map(String::as_str));
            let message = format!("the input schema allows no `{key}`{hint}");
            self.found.error(&used.at, ProblemCode::DanglingReference, message);
        }
    }

    fn check_state(&self, used: &Use, before: &dyn Fn(usize) -> bool) {
        for key in &used.state {
            let stores = |draft: &Draft| draft.node.store_as.as_deref() == Some(key);
            let stored = self.drafts.iter().any(|draft| {
                stores(draft) && self.ids.get(draft.node.id.as_str()).is_some_and(|position| before(*position))
            });
            if !stored {
                let keys = self.drafts.iter().filter_map(|draft| draft.node.store_as.as_deref());
                let hint = nearest(key, keys.filter(|known| known != key));
                let message = format!("no node before this one stores `{key}` in the state{hint}");
                self.found.error(&used.at, ProblemCode::DanglingReference, message);
            }
        }
    }
}
