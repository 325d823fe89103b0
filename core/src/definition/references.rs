//! Whether everything an expression names is there by the time it is evaluated.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::ProblemCode;
use super::document::Findings;
use super::edges::{Edge, Ids};
use super::node::Draft;
use super::order::{NodeSet, Upstream};
use super::regions::Plan;
use super::template::Use;

/// What is known of the whole document.
pub(super) struct Known<'k> {
    pub(super) drafts: &'k [Draft],
    pub(super) ids: &'k Ids,
    /// The nodes before each, and which nodes happen together. Absent: there is no order.
    pub(super) upstream: Option<&'k Upstream>,
    pub(super) plan: Option<&'k Plan>,
    pub(super) written: &'k Written<'k>,
    /// By node: in whose body it stands.
    pub(super) bodies: &'k [Option<usize>],
    /// What runs whatever the end, and what undoes.
    pub(super) at_the_end: [Option<usize>; 2],
    /// The keys a run's input can have, where its schema allows no others.
    pub(super) input_keys: Option<&'k BTreeSet<String>>,
    pub(super) found: &'k Findings,
}

/// Who stores what in the state.
pub(super) struct Written<'d>(HashMap<&'d str, Writers>);

/// The nodes that store one key.
struct Writers {
    /// In order of their positions.
    nodes: Vec<usize>,
    /// In whose bodies they stand.
    bodies: HashSet<usize>,
    /// Whether one stands outside of all.
    is_outside: bool,
    /// Their places in order, and themselves as a set, once somebody asks.
    places: OnceCell<Vec<usize>>,
    set: OnceCell<NodeSet>,
}

impl<'d> Written<'d> {
    pub(super) fn of(drafts: &'d [Draft], ids: &Ids, finally: Option<usize>, bodies: &[Option<usize>]) -> Self {
        let mut written: HashMap<&str, Writers> = HashMap::new();
        for draft in drafts {
            let (Some(key), Some(node)) = (&draft.node.store_as, ids.get(draft.node.id.as_str())) else { continue };
            let writers = written.entry(key).or_insert_with(|| Writers {
                nodes: Vec::new(),
                bodies: HashSet::new(),
                is_outside: false,
                places: OnceCell::new(),
                set: OnceCell::new(),
            });
            writers.nodes.push(*node);
            writers.bodies.extend(bodies[*node]);
            writers.is_outside |= bodies[*node].is_none() && finally != Some(*node);
        }
        written.values_mut().for_each(|writers| writers.nodes.sort_unstable());
        Self(written)
    }
}

/// Returns, by position, which nodes expressions name, or what those store.
pub(super) fn named<'u>(uses: impl Iterator<Item = &'u Use>, ids: &Ids, written: &Written<'_>) -> Vec<bool> {
    let mut named = vec![false; ids.len()];
    let mut seen = HashSet::new();
    for used in uses {
        used.nodes.iter().filter_map(|id| ids.get(id)).for_each(|node| named[*node] = true);
        for key in used.state.iter().filter(|key| seen.insert(key.as_str())) {
            let writers = written.0.get(key.as_str()).map(|writers| &writers.nodes);
            writers.into_iter().flatten().for_each(|node| named[*node] = true);
        }
    }
    named
}

/// From where something is named.
#[derive(Clone, Copy)]
enum From {
    /// A node, before it begins.
    Before(usize),
    /// A node, when its body has ended.
    Body(usize),
    /// A node, when it has ended.
    After(usize),
}

impl From {
    fn node(self) -> usize {
        match self {
            Self::Before(node) | Self::Body(node) | Self::After(node) => node,
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Before(_) => "runs before this one",
            Self::Body(_) => "stands in this body or before it",
            Self::After(_) => "has ended for certain when this is evaluated, at the end of the node it follows",
        }
    }
}

impl Known<'_> {
    /// Checks what the expressions of one node name.
    pub(super) fn check_node(&self, node: usize, draft: &Draft) {
        for used in draft.uses.iter().chain(&draft.early_uses) {
            self.check(used, From::Before(node));
        }
        for used in &draft.output_uses {
            self.check(used, From::Body(node));
        }
        for used in &draft.after_uses {
            self.check(used, From::After(node));
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
                let hint = self.found.nearest(id, draft.wanted.iter().map(|wanted| wanted.consumes.asset.as_str()));
                let message = format!("the node does not consume an asset `{id}`{hint}");
                self.found.error(&used.at, ProblemCode::DanglingReference, message);
            }
        }
    }

    /// Checks what the conditions of a transition name: they are evaluated when the node it leaves has ended.
    pub(super) fn check_edge(&self, edge: &Edge) {
        edge.uses().for_each(|used| self.check(used, From::After(edge.from)));
    }

    /// Checks what the output of the run names: all nodes have ended by then.
    pub(super) fn check_output(&self, used: &Use) {
        let outside = |other: usize| self.bodies[other].is_none() && !self.at_the_end.contains(&Some(other));
        self.check_nodes(used, &outside, "stands outside of all bodies, whose nodes happen once for each item");
        self.check_input(used);
        self.check_state(used, &|writers| writers.is_outside);
    }

    /// Checks what the name, labels and search attributes of runs name: nothing has happened by then.
    pub(super) fn check_start(&self, used: &Use) {
        self.check_nodes(
            used,
            &|_| false,
            "has ended when a run starts: take it from the input, or let the node `setAttributes`",
        );
        self.check_input(used);
        self.check_state(used, &|_| false);
        for id in &used.assets {
            let message = format!("asset `{id}` is not there yet: a run is named as it starts");
            self.found.error(&used.at, ProblemCode::DanglingReference, message);
        }
    }

    /// In a loop the state also holds what the turn before has stored.
    fn check(&self, used: &Use, from: From) {
        self.check_nodes(used, &|other| self.is_there(other, from), from.wanted());
        self.check_input(used);
        self.check_state(used, &|writers| self.is_one_there(writers, from));
    }

    /// Says whether a node has certainly come to its end.
    fn is_there(&self, other: usize, from: From) -> bool {
        let itself = match from {
            From::Before(_) => false,
            From::Body(node) => self.bodies[other] == Some(node),
            From::After(node) => other == node,
        };
        itself || self.upstream.is_none_or(|upstream| upstream.is_before(other, from.node()))
    }

    /// Says whether one of those who store something comes before, or around in a loop.
    fn is_one_there(&self, writers: &Writers, from: From) -> bool {
        let itself = match from {
            From::Before(_) => false,
            From::Body(node) => writers.bodies.contains(&node),
            From::After(node) => writers.nodes.binary_search(&node).is_ok(),
        };
        let (Some(upstream), Some(plan)) = (self.upstream, self.plan) else { return true };
        let before = || {
            let set = writers.set.get_or_init(|| upstream.set_of(&writers.nodes));
            upstream.is_one_before(set, from.node())
        };
        let around = || {
            let Some(within) = plan.loop_around(from.node()) else { return false };
            let places = writers.places.get_or_init(|| {
                let mut places: Vec<usize> = writers.nodes.iter().map(|node| plan.place[*node]).collect();
                places.sort_unstable();
                places
            });
            places.get(places.partition_point(|place| *place < within.start)).is_some_and(|place| *place < within.end)
        };
        itself || before() || around()
    }

    fn check_nodes(&self, used: &Use, is_there: &dyn Fn(usize) -> bool, wanted: &str) {
        for id in &used.nodes {
            match self.ids.get(id) {
                None => {
                    let hint = self.found.nearest(id, self.ids.keys().map(String::as_str));
                    let message = format!("there is no node `{id}`{hint}");
                    self.found.error(&used.at, ProblemCode::DanglingReference, message);
                }
                Some(position) if !is_there(*position) => {
                    let message = format!("`{id}` is not a node that {wanted}: depend on it");
                    self.found.error(&used.at, ProblemCode::DanglingReference, message);
                }
                Some(_) => {}
            }
        }
    }

    fn check_input(&self, used: &Use) {
        for key in used.input.iter().filter(|key| self.input_keys.is_some_and(|keys| !keys.contains(*key))) {
            let hint = self.found.nearest(key, self.input_keys.into_iter().flatten().map(String::as_str));
            let message = format!("the input schema allows no `{key}`{hint}");
            self.found.error(&used.at, ProblemCode::DanglingReference, message);
        }
    }

    fn check_state(&self, used: &Use, is_there: &dyn Fn(&Writers) -> bool) {
        for key in &used.state {
            if !self.written.0.get(key.as_str()).is_some_and(is_there) {
                let keys = self.drafts.iter().filter_map(|draft| draft.node.store_as.as_deref());
                let hint = self.found.nearest(key, keys.filter(|known| known != key));
                let message = format!("no node before this one stores `{key}` in the state{hint}");
                self.found.error(&used.at, ProblemCode::DanglingReference, message);
            }
        }
    }
}
