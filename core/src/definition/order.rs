//! In which order nodes can run, which run in circles, and which come before which.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::ProblemCode;
use super::document::Findings;
use super::edges::Edge;

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

/// Orders nodes so that each comes after all it depends on; among equals, document order.
///
/// Nodes in circles, and nodes only circles lead to, are reported and not in the order.
pub(super) fn order(names: &[&str], edges: &[Edge], found: &Findings) -> Vec<usize> {
    let neighbours = Neighbours::of(names.len(), edges);
    let all: BTreeSet<usize> = (0..names.len()).collect();
    let (order, left) = sort(&all, &neighbours);
    let mut in_circles = BTreeSet::new();
    let mut rest = left.clone();
    while let Some(circle) = find_circle(&rest, &neighbours) {
        report(&circle, names, edges, found);
        circle.iter().for_each(|node| {
            rest.remove(node);
        });
        in_circles.extend(circle);
        rest = sort(&rest, &neighbours).1;
    }
    let reached = reached_from(&order, &neighbours);
    for node in left.iter().filter(|node| !in_circles.contains(node) && !reached.contains(**node)) {
        let at = edges.iter().find(|edge| edge.to == *node).map_or("", |edge| edge.at.as_str());
        let message = format!("no run can reach `{}`: only a circle leads to it", names[*node]);
        found.error(at, ProblemCode::Unreachable, message);
    }
    order
}

/// Returns, for every node, the nodes before it. Needs an order that holds all of them.
pub(super) fn upstream(order: &[usize], edges: &[Edge]) -> Vec<NodeSet> {
    let count = order.len();
    let mut sets = vec![NodeSet::empty(count); count];
    let Neighbours { before, .. } = Neighbours::of(count, edges);
    for &node in order {
        let mut set = NodeSet::empty(count);
        for &from in &before[node] {
            set.absorb(&sets[from]);
            set.insert(from);
        }
        sets[node] = set;
    }
    sets
}

/// Who stands next to whom.
struct Neighbours {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

impl Neighbours {
    fn of(count: usize, edges: &[Edge]) -> Self {
        let mut neighbours = Self { before: vec![Vec::new(); count], after: vec![Vec::new(); count] };
        for edge in edges {
            neighbours.before[edge.to].push(edge.from);
            neighbours.after[edge.from].push(edge.to);
        }
        neighbours
    }
}

/// Sorts some of the nodes, as if there were no others; returns those that circles keep from being sorted too.
fn sort(some: &BTreeSet<usize>, neighbours: &Neighbours) -> (Vec<usize>, BTreeSet<usize>) {
    let mut left = some.clone();
    let count_before = |node: usize| neighbours.before[node].iter().filter(|from| some.contains(from)).count();
    let mut waits_for: BTreeMap<usize, usize> = some.iter().map(|node| (*node, count_before(*node))).collect();
    let free = waits_for.iter().filter(|(_, count)| **count == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(|(node, _)| Reverse(*node)).collect();
    let mut order = Vec::with_capacity(some.len());
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        left.remove(&node);
        for to in &neighbours.after[node] {
            let Some(count) = waits_for.get_mut(to) else { continue };
            *count -= 1;
            if *count == 0 {
                ready.push(Reverse(*to));
            }
        }
    }
    (order, left)
}

/// Walks backwards until a node comes again. Every node of `rest` has a predecessor in it.
fn find_circle(rest: &BTreeSet<usize>, neighbours: &Neighbours) -> Option<Vec<usize>> {
    let mut walked = vec![*rest.first()?];
    let mut place = BTreeMap::from([(walked[0], 0)]);
    loop {
        let here = *walked.last()?;
        let next = *neighbours.before[here].iter().find(|from| rest.contains(from))?;
        if let Some(at) = place.get(&next) {
            let mut circle = walked.split_off(*at);
            circle.reverse();
            let first = circle.iter().enumerate().min_by_key(|(_, node)| **node)?.0;
            circle.rotate_left(first);
            return Some(circle);
        }
        place.insert(next, walked.len());
        walked.push(next);
    }
}

fn report(circle: &[usize], names: &[&str], edges: &[Edge], found: &Findings) {
    let shown = circle.iter().chain(circle.first()).take(20).map(|node| names[*node]).collect::<Vec<_>>().join(" → ");
    let members: BTreeSet<usize> = circle.iter().copied().collect();
    let inside = |edge: &&Edge| members.contains(&edge.from) && members.contains(&edge.to);
    let at = edges.iter().find(inside).map_or("", |edge| edge.at.as_str());
    let message = format!("nodes depend on each other in a circle: {shown} (loops are not in this release)");
    found.error(at, ProblemCode::Cycle, message);
}

fn reached_from(starts: &[usize], neighbours: &Neighbours) -> NodeSet {
    let mut reached = NodeSet::empty(neighbours.after.len());
    let mut todo = starts.to_vec();
    while let Some(node) = todo.pop() {
        if !reached.contains(node) {
            reached.insert(node);
            todo.extend(&neighbours.after[node]);
        }
    }
    reached
}
