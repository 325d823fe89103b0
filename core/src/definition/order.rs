//! Which nodes come before which.

use super::edges::Edge;
use super::regions::Plan;

/// A set of nodes, by position.
#[derive(Clone)]
pub(super) struct NodeSet(Vec<u64>);

impl NodeSet {
    fn empty(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(super) fn contains(&self, node: usize) -> bool {
        self.0.get(node / 64).is_some_and(|word| word & (1 << (node % 64)) != 0)
    }

    fn insert(&mut self, node: usize) {
        self.0[node / 64] |= 1 << (node % 64);
    }

    fn absorb(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }
}

/// Returns, for every node, the nodes before it. Whatever stands in a body has before it what its node has, and what comes after a
/// loop all nodes of the loop, and what runs whatever the end everything.
pub(super) fn upstream(plan: &Plan, edges: &[Edge], bodies: &[Option<usize>], finally: Option<usize>) -> Vec<NodeSet> {
    let count = plan.order.len();
    let mut sets = vec![NodeSet::empty(count); count];
    let neighbours = Neighbours::of(count, edges);
    let mut place = vec![0; count];
    plan.order.iter().enumerate().for_each(|(at, node)| place[*node] = at);
    for &node in &plan.order {
        let mut set = bodies[node].map_or_else(|| NodeSet::empty(count), |each| sets[each].clone());
        for edge in neighbours.into[node].iter().filter(|edge| !plan.leads_back[**edge]) {
            let from = edges[*edge].from;
            set.absorb(&sets[from]);
            set.insert(from);
            for within in plan.loops_left(place[from], place[node]) {
                for member in &plan.order[within] {
                    set.absorb(&sets[*member]);
                    set.insert(*member);
                }
            }
        }
        if finally == Some(node) {
            let others = (0..count).filter(|other| *other != node && bodies[*other].is_none());
            others.for_each(|other| set.insert(other));
        }
        sets[node] = set;
    }
    sets
}

/// The edges of each node, by position.
pub(super) struct Neighbours {
    pub(super) into: Vec<Vec<usize>>,
    pub(super) out: Vec<Vec<usize>>,
}

impl Neighbours {
    pub(super) fn of(count: usize, edges: &[Edge]) -> Self {
        let mut neighbours = Self { into: vec![Vec::new(); count], out: vec![Vec::new(); count] };
        for (position, edge) in edges.iter().enumerate() {
            neighbours.into[edge.to].push(position);
            neighbours.out[edge.from].push(position);
        }
        neighbours
    }
}
