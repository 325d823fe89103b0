//! Which nodes happen together, perhaps many times, and in which order all of them can.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::document::Findings;
use super::edges::Edge;
use super::loops::{Knot, Parts};
use super::{Node, NodeIx, ProblemCode, Region, RegionIx, RegionKind, Transition, TransitionIx};

/// How deeply loops and bodies may lie in one another.
const DEPTH_MAX: usize = 16;

/// All nodes, each after all it depends on, and those of a region side by side.
pub(super) struct Plan {
    pub(super) order: Vec<usize>,
    pub(super) regions: Vec<Laid>,
    /// By edge: it leads back to where a loop begins.
    pub(super) leads_back: Vec<bool>,
    /// By node: its place in the order, and the innermost region around it.
    pub(super) place: Vec<usize>,
    region_of: Vec<usize>,
}

/// A region, by positions in the order.
pub(super) struct Laid {
    pub(super) kind: LaidKind,
    /// Position among the regions.
    pub(super) parent: usize,
    pub(super) first: usize,
    pub(super) end: usize,
}

/// What a region is, by positions in the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LaidKind {
    Root,
    Body { each: usize },
    Loop { header: usize },
}

impl Plan {
    /// Returns the outermost loop that an edge between two nodes leads out of, as a region.
    pub(super) fn loop_left(&self, from: usize, to: usize) -> Option<usize> {
        let is_left = |region: &usize| !self.holds(*region, to);
        self.regions_around(from).take_while(is_left).filter(|region| self.is_loop(*region)).last()
    }

    /// Returns the outermost loop around a node, as a range of places.
    pub(super) fn loop_around(&self, node: usize) -> Option<Range<usize>> {
        let outermost = self.regions_around(node).filter(|region| self.is_loop(*region)).last()?;
        Some(self.regions[outermost].first..self.regions[outermost].end)
    }

    /// Returns the nodes of a region, those of the regions in it among them.
    pub(super) fn members(&self, region: usize) -> &[usize] {
        &self.order[self.regions[region].first..self.regions[region].end]
    }

    /// Returns the regions around a node but the run itself, from the inside.
    fn regions_around(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let parent = |region: &usize| Some(self.regions[*region].parent);
        std::iter::successors(Some(self.region_of[node]), parent).take_while(|region| *region != 0)
    }

    fn is_loop(&self, region: usize) -> bool {
        matches!(self.regions[region].kind, LaidKind::Loop { .. })
    }

    fn holds(&self, region: usize, node: usize) -> bool {
        (self.regions[region].first..self.regions[region].end).contains(&self.place[node])
    }

    /// Notes where each node has come to stand.
    fn number(&mut self) {
        for (at, node) in self.order.iter().enumerate() {
            self.place[*node] = at;
        }
        // Regions come before those within them, so the last that takes a node is the innermost.
        for (number, laid) in self.regions.iter().enumerate() {
            self.order[laid.first..laid.end].iter().for_each(|node| self.region_of[*node] = number);
        }
    }
}

/// Plans a graph. `bodies` says of each node in which node's body it stands. `None`: what is wrong was reported.
pub(super) fn plan(names: &[&str], edges: &[Edge], bodies: &[Option<usize>], found: &Findings) -> Option<Plan> {
    let mut planner = Planner {
        parts: Parts::of(names, edges, found),
        bodies: vec![Vec::new(); names.len()],
        plan: Plan {
            order: Vec::with_capacity(names.len()),
            regions: Vec::new(),
            leads_back: Vec::new(),
            place: vec![0; names.len()],
            region_of: vec![0; names.len()],
        },
    };
    let mut root = Vec::new();
    for (node, body) in bodies.iter().enumerate() {
        body.map_or(&mut root, |each| &mut planner.bodies[each]).push(node);
    }
    let is_sound = planner.lay_region(LaidKind::Root, 0, &root, 0);
    planner.parts.report_idle_ways_back();
    let Planner { parts, mut plan, .. } = planner;
    plan.leads_back = parts.leads_back;
    plan.number();
    is_sound.then_some(plan)
}

/// Makes the regions of a plan, by the ranks of its nodes, and tells the nodes which are theirs.
pub(super) fn settle(
    plan: &Plan,
    rank: &[NodeIx],
    nodes: &mut [Node],
    transitions: &[Transition],
    at_the_end: &[NodeIx],
) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::with_capacity(plan.regions.len());
    for laid in &plan.regions {
        let (number, range) = (RegionIx(regions.len() as u32), laid.first as u32..laid.end as u32);
        // Regions come before those within them, so the last that takes a node is the innermost.
        nodes[laid.first..laid.end].iter_mut().for_each(|node| node.region = number);
        let kind = match laid.kind {
            LaidKind::Root => RegionKind::Root,
            LaidKind::Body { each } => RegionKind::Body { each: rank[each] },
            LaidKind::Loop { header } => RegionKind::Loop { header: rank[header] },
        };
        if let RegionKind::Body { each } = kind {
            nodes[each.0 as usize].body = Some(number);
        }
        let parent = RegionIx(laid.parent as u32);
        regions.push(Region { kind, parent, nodes: range, starts: Vec::new(), exits: Vec::new() });
    }
    for (ix, transition) in (0..).map(TransitionIx).zip(transitions) {
        let mut at = nodes[transition.from.0 as usize].region;
        while !regions[at.0 as usize].holds(transition.to) {
            regions[at.0 as usize].exits.push(ix);
            at = regions[at.0 as usize].parent;
        }
    }
    let begins = |(ix, node): &(NodeIx, &Node)| node.incoming.is_empty() && !at_the_end.contains(ix);
    for (ix, node) in (0..).map(NodeIx).zip(nodes.iter()).filter(begins) {
        let region = &regions[node.region.0 as usize];
        // What begins with a loop begins with its first node.
        let begins = if region.kind == (RegionKind::Loop { header: ix }) { region.parent } else { node.region };
        regions[begins.0 as usize].starts.push(ix);
    }
    for region in &mut regions {
        if let RegionKind::Loop { header } = region.kind {
            region.starts = vec![header];
        }
    }
    regions
}

struct Planner<'g> {
    parts: Parts<'g>,
    /// By node: what stands in its body.
    bodies: Vec<Vec<usize>>,
    plan: Plan,
}

impl Planner<'_> {
    fn lay_region(&mut self, kind: LaidKind, parent: usize, members: &[usize], depth: usize) -> bool {
        if depth > DEPTH_MAX {
            let message = format!("loops and bodies lie deeper than {DEPTH_MAX} levels in one another");
            self.parts.found.error("", ProblemCode::TooLarge, message);
            return false;
        }
        let (region, first) = (self.plan.regions.len(), self.plan.order.len());
        self.plan.regions.push(Laid { kind, parent, first, end: first });
        let is_sound = self.lay(region, members, depth);
        self.plan.regions[region].end = self.plan.order.len();
        is_sound
    }

    /// Lays the members of a region side by side, and the regions within it.
    fn lay(&mut self, region: usize, members: &[usize], depth: usize) -> bool {
        let Some(knots) = self.parts.knots(members) else { return false };
        let mut is_sound = true;
        for knot in self.sorted(knots) {
            let Some(header) = knot.header else {
                let each = knot.nodes[0];
                self.plan.order.push(each);
                let body = std::mem::take(&mut self.bodies[each]);
                is_sound &= body.is_empty() || self.lay_region(LaidKind::Body { each }, region, &body, depth + 1);
                continue;
            };
            is_sound &= self.lay_region(LaidKind::Loop { header }, region, &knot.nodes, depth + 1);
        }
        is_sound
    }

    /// Sorts knots so that each comes after all it depends on; among equals, document order.
    fn sorted(&mut self, knots: Vec<Knot>) -> Vec<Knot> {
        self.parts.mark(knots.iter().map(|knot| &*knot.nodes));
        let mut waits_for = vec![0; knots.len()];
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); knots.len()];
        for (number, knot) in knots.iter().enumerate() {
            for edge in knot.nodes.iter().flat_map(|node| &self.parts.neighbours.into[*node]) {
                let from = self.parts.knot_of(self.parts.edges[*edge].from).filter(|from| *from != number);
                if let Some(from) = from.filter(|_| !self.parts.leads_back[*edge]) {
                    waits_for[number] += 1;
                    after[from].push(number);
                }
            }
        }
        self.parts.unmark(knots.iter().map(|knot| &*knot.nodes));
        let first_of = |number: usize| knots[number].nodes[0];
        let free = (0..knots.len()).filter(|number| waits_for[*number] == 0);
        let mut ready: BinaryHeap<Reverse<(usize, usize)>> =
            free.map(|number| Reverse((first_of(number), number))).collect();
        let mut order = Vec::with_capacity(knots.len());
        while let Some(Reverse((_, number))) = ready.pop() {
            order.push(number);
            for to in &after[number] {
                waits_for[*to] -= 1;
                if waits_for[*to] == 0 {
                    ready.push(Reverse((first_of(*to), *to)));
                }
            }
        }
        let mut knots: Vec<Option<Knot>> = knots.into_iter().map(Some).collect();
        order.into_iter().filter_map(|number| knots[number].take()).collect()
    }
}
