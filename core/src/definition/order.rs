//! Which nodes come before which.

use super::edges::Edge;
use super::regions::Plan;

/// Which of the nodes that somebody asks about come before each node. Takes a bit for each pair of them.
pub(super) struct Upstream {
    /// By node: the number of the bit that stands for it, where somebody asks.
    bit_of: Vec<Option<usize>>,
    sets: Vec<NodeSet>,
}

/// A set of nodes, by their bits.
#[derive(Clone)]
pub(super) struct NodeSet(Vec<u64>);

impl NodeSet {
    fn empty(bits: usize) -> Self {
        Self(vec![0; bits.div_ceil(64)])
    }

    fn contains(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    fn insert(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn absorb(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(mine, theirs)| mine & theirs != 0)
    }
}

impl Upstream {
    /// Finds, for every node, those of `named` before it. Whatever stands in a body has before it what its node has, and what
    /// comes after a loop all nodes of the loop, and what runs whatever the end everything.
    pub(super) fn of(
        plan: &Plan,
        edges: &[Edge],
        bodies: &[Option<usize>],
        finally: Option<usize>,
        named: &[bool],
    ) -> Self {
        let (count, mut bits) = (plan.order.len(), 0);
        let mut number = || {
            bits += 1;
            bits - 1
        };
        let bit_of: Vec<Option<usize>> = named.iter().map(|named| named.then(&mut number)).collect();
        let mut upstream = Self { bit_of, sets: vec![NodeSet::empty(bits); count] };
        let neighbours = Neighbours::of(count, edges);
        // By loop, once it is left: everything in it, and what is before that.
        let mut loops: Vec<Option<NodeSet>> = vec![None; plan.regions.len()];
        for &node in plan.order.iter().filter(|_| bits > 0) {
            let mut set = bodies[node].map_or_else(|| NodeSet::empty(bits), |each| upstream.sets[each].clone());
            for edge in neighbours.into[node].iter().filter(|edge| !plan.leads_back[**edge]) {
                let from = edges[*edge].from;
                upstream.add(&mut set, from);
                if let Some(left) = plan.loop_left(from, node) {
                    let of_loop = loops[left].get_or_insert_with(|| {
                        let mut within = NodeSet::empty(bits);
                        plan.members(left).iter().for_each(|member| upstream.add(&mut within, *member));
                        within
                    });
                    set.absorb(of_loop);
                }
            }
            if finally == Some(node) {
                let others = (0..count).filter(|other| *other != node && bodies[*other].is_none());
                others.filter_map(|other| upstream.bit_of[other]).for_each(|bit| set.insert(bit));
            }
            upstream.sets[node] = set;
        }
        upstream
    }

    /// Adds a node and what is before it.
    fn add(&self, set: &mut NodeSet, node: usize) {
        set.absorb(&self.sets[node]);
        if let Some(bit) = self.bit_of[node] {
            set.insert(bit);
        }
    }

    /// Says whether a node that was named comes before another.
    pub(super) fn is_before(&self, other: usize, node: usize) -> bool {
        self.bit_of[other].is_some_and(|bit| self.sets[node].contains(bit))
    }

    /// Returns some nodes that were named as a set.
    pub(super) fn set_of(&self, nodes: &[usize]) -> NodeSet {
        let mut set = NodeSet::empty(self.bit_of.iter().flatten().count());
        nodes.iter().filter_map(|node| self.bit_of[*node]).for_each(|bit| set.insert(bit));
        set
    }

    /// Says whether one of a set comes before a node.
    pub(super) fn is_one_before(&self, set: &NodeSet, node: usize) -> bool {
        self.sets[node].meets(set)
    }
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
