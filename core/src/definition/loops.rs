//! Which nodes lead back to one another, and where a loop of them begins.

use std::collections::HashMap;

use super::ProblemCode;
use super::document::Findings;
use super::edges::Edge;
use super::order::Neighbours;

/// A part of the graph, while loops are looked for in it.
pub(super) struct Parts<'g> {
    pub(super) names: &'g [&'g str],
    pub(super) edges: &'g [Edge],
    pub(super) neighbours: Neighbours,
    /// By edge: it leads back to where a loop begins that was found.
    pub(super) leads_back: Vec<bool>,
    pub(super) found: &'g Findings,
    /// By node: what is noted of it while a part is looked at.
    marks: Vec<Mark>,
}

/// What is noted of a node while the part that it is of is looked at.
#[derive(Clone, Copy)]
struct Mark {
    knot: usize,
    index: usize,
    low: usize,
    is_member: bool,
    is_open: bool,
}

const UNSEEN: usize = usize::MAX;
const UNMARKED: Mark = Mark { knot: UNSEEN, index: UNSEEN, low: 0, is_member: false, is_open: false };

/// Nodes that lead to one another; most often one that does not even lead to itself.
pub(super) struct Knot {
    /// In document order.
    pub(super) nodes: Vec<usize>,
    /// Where the loop begins; absent: it is none.
    pub(super) header: Option<usize>,
}

impl<'g> Parts<'g> {
    /// Nothing was found yet.
    pub(super) fn of(names: &'g [&'g str], edges: &'g [Edge], found: &'g Findings) -> Self {
        let neighbours = Neighbours::of(names.len(), edges);
        let marks = vec![UNMARKED; names.len()];
        Self { names, edges, neighbours, leads_back: vec![false; edges.len()], found, marks }
    }

    /// Parts some nodes into knots, and says where the loops among them begin. `None`: one has no good beginning, which was
    /// reported.
    pub(super) fn knots(&mut self, some: &[usize]) -> Option<Vec<Knot>> {
        let groups = self.connected(some);
        self.mark(groups.iter().map(|group| &**group));
        let mut knots = Vec::with_capacity(groups.len());
        let mut is_sound = true;
        for (number, nodes) in groups.into_iter().enumerate() {
            let within: Vec<usize> =
                self.edges_into(&nodes).filter(|edge| self.knot_of(self.edges[*edge].from) == Some(number)).collect();
            if within.is_empty() {
                knots.push(Knot { nodes, header: None });
                continue;
            }
            let is_outside = |edge: &usize| self.knot_of(self.edges[*edge].from).is_some_and(|knot| knot != number);
            let mut entries: Vec<usize> =
                self.edges_into(&nodes).filter(is_outside).map(|edge| self.edges[edge].to).collect();
            entries.sort_unstable();
            entries.dedup();
            let header = self.header(&nodes, &within, &entries);
            is_sound &= header.is_some();
            for edge in within.into_iter().filter(|edge| Some(self.edges[*edge].to) == header) {
                self.leads_back[edge] = true;
            }
            knots.push(Knot { nodes, header });
        }
        self.unmark([some].into_iter());
        is_sound.then_some(knots)
    }

    /// Notes which nodes belong together.
    pub(super) fn mark<'n>(&mut self, groups: impl Iterator<Item = &'n [usize]>) {
        for (knot, group) in groups.enumerate() {
            group.iter().for_each(|node| self.marks[*node].knot = knot);
        }
    }

    /// Forgets what was noted of nodes.
    pub(super) fn unmark<'n>(&mut self, groups: impl Iterator<Item = &'n [usize]>) {
        groups.flatten().for_each(|node| self.marks[*node] = UNMARKED);
    }

    /// Returns what a node of the part looked at belongs to.
    pub(super) fn knot_of(&self, node: usize) -> Option<usize> {
        Some(self.marks[node].knot).filter(|knot| *knot != UNSEEN)
    }

    /// Reports the ways back that lead to no beginning of a loop.
    pub(super) fn report_idle_ways_back(&self) {
        for (edge, _) in
            self.edges.iter().zip(&self.leads_back).filter(|(edge, leads_back)| edge.back.is_some() && !**leads_back)
        {
            let message = format!(
                "leads back to no node before: a loop through `{}` does not begin there, so `maxIterations` has no effect",
                self.names[edge.to]
            );
            self.found.error(&edge.at, ProblemCode::InvalidValue, message);
        }
    }

    /// The edges that lead to some nodes and not back to the beginning of a loop around them.
    fn edges_into<'s>(&'s self, nodes: &'s [usize]) -> impl Iterator<Item = usize> + 's {
        nodes.iter().flat_map(|node| &self.neighbours.into[*node]).copied().filter(|edge| !self.leads_back[*edge])
    }

    fn header(&self, nodes: &[usize], within: &[usize], entries: &[usize]) -> Option<usize> {
        if let [first, second, ..] = entries {
            let message = format!(
                "the loop of {} is entered at `{}` and at `{}`: let one node lead into it",
                self.shown(nodes),
                self.names[*first],
                self.names[*second]
            );
            self.found.error(&self.place_of(within), ProblemCode::Cycle, message);
            return None;
        }
        let mut first_unbounded = HashMap::new();
        for edge in within.iter().filter(|edge| self.edges[**edge].back.is_none()) {
            first_unbounded.entry(self.edges[*edge].to).or_insert(edge);
        }
        let unbounded = |header: usize| first_unbounded.get(&header).copied();
        let candidates = if entries.is_empty() { nodes } else { entries };
        let header = candidates.iter().copied().find(|header| unbounded(*header).is_none());
        if header.is_none() {
            let circle = self.circle(within);
            let message = format!(
                "nodes depend on each other in a circle: {circle}; where that is meant, `maxIterations` at the transition that leads \
                 back bounds it"
            );
            let at = match entries {
                [only] => unbounded(*only).map(|edge| self.edges[*edge].at.clone()),
                _ => None,
            };
            self.found.error(&at.unwrap_or_else(|| self.place_of(within)), ProblemCode::Cycle, message);
        }
        header
    }

    fn place_of(&self, within: &[usize]) -> String {
        within.iter().min().map(|edge| self.edges[*edge].at.clone()).unwrap_or_default()
    }

    fn shown(&self, nodes: &[usize]) -> String {
        nodes.iter().take(20).map(|node| format!("`{}`", self.names[*node])).collect::<Vec<_>>().join(", ")
    }

    /// Walks backwards along edges of a knot until a node comes again.
    fn circle(&self, within: &[usize]) -> String {
        let mut before = HashMap::new();
        for edge in within {
            before.entry(self.edges[*edge].to).or_insert(self.edges[*edge].from);
        }
        let mut walked = vec![within.iter().map(|edge| self.edges[*edge].to).min().unwrap_or_default()];
        let mut places: HashMap<usize, usize> = walked.iter().map(|first| (*first, 0)).collect();
        while let Some(next) = walked.last().and_then(|node| before.get(node).copied()) {
            if let Some(at) = places.get(&next) {
                walked.drain(..at);
                break;
            }
            places.insert(next, walked.len());
            walked.push(next);
        }
        walked.reverse();
        let first = walked.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
        walked.rotate_left(first);
        let round = walked.iter().chain(walked.first()).take(20);
        round.map(|node| self.names[*node]).collect::<Vec<_>>().join(" → ")
    }

    /// Groups nodes that lead to one another, without recursion (Tarjan). Each group is in document order.
    fn connected(&mut self, some: &[usize]) -> Vec<Vec<usize>> {
        let marks = &mut self.marks;
        some.iter().for_each(|node| marks[*node].is_member = true);
        let (mut open, mut groups, mut next) = (Vec::new(), Vec::new(), 0);
        for &root in some {
            if marks[root].index != UNSEEN {
                continue;
            }
            let mut path = vec![(root, 0)];
            while let Some((node, at)) = path.last_mut() {
                let node = *node;
                if *at == 0 && marks[node].index == UNSEEN {
                    (marks[node].index, marks[node].low) = (next, next);
                    next += 1;
                    open.push(node);
                    marks[node].is_open = true;
                }
                match self.neighbours.out[node].get(*at) {
                    Some(&edge) => {
                        *at += 1;
                        let to = self.edges[edge].to;
                        if self.leads_back[edge] || !marks[to].is_member {
                            continue;
                        }
                        if marks[to].index == UNSEEN {
                            path.push((to, 0));
                        } else if marks[to].is_open {
                            marks[node].low = marks[node].low.min(marks[to].index);
                        }
                    }
                    None => {
                        path.pop();
                        if let Some((before, _)) = path.last() {
                            marks[*before].low = marks[*before].low.min(marks[node].low);
                        }
                        if marks[node].low == marks[node].index {
                            let from = open.iter().rposition(|member| *member == node).unwrap_or_default();
                            let mut group = open.split_off(from);
                            group.iter().for_each(|member| marks[*member].is_open = false);
                            group.sort_unstable();
                            groups.push(group);
                        }
                    }
                }
            }
        }
        groups
    }
}
