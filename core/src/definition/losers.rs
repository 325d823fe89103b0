//! Which nodes are withdrawn when a join has enough: those whose every way leads to it, perhaps over others like them.

use super::document::Findings;
use super::{Node, NodeIx, ProblemCode, Region, RegionIx, Transition};

/// How many nodes of a definition may withdraw others: each takes a look at the whole graph.
const RACES_MAX: usize = 100;

/// Finds the losers of each node that withdraws them, which stands in the document where it says.
pub(super) fn settle(
    racing: &[(NodeIx, String)],
    nodes: &mut [Node],
    transitions: &[Transition],
    regions: &[Region],
    found: &Findings,
) -> Option<()> {
    if let Some((_, at)) = racing.get(RACES_MAX) {
        let message = format!("at most {RACES_MAX} nodes of a definition withdraw losers");
        found.error(at, ProblemCode::TooLarge, message);
        return None;
    }
    let mut is_sound = true;
    for (node, at) in racing {
        let race = Race { nodes, transitions, regions, finish: *node };
        let losers = race.losers();
        if race.around(*node) != nodes[node.0 as usize].region {
            let message = "stands where a loop begins: let a `noop` before it win the race";
            found.error(at, ProblemCode::InvalidValue, message);
            is_sound = false;
        } else if losers.is_empty() {
            let message = "has no effect: no node before it leads nowhere else";
            found.error(at, ProblemCode::InvalidValue, message);
            is_sound = false;
        }
        nodes[node.0 as usize].losers = Some(losers);
    }
    is_sound.then_some(())
}

/// Who wins comes to `finish`.
struct Race<'a> {
    nodes: &'a [Node],
    transitions: &'a [Transition],
    regions: &'a [Region],
    finish: NodeIx,
}

impl Race<'_> {
    /// Ascending. Nodes stand in topological order, so that whoever is behind a node is settled before it.
    fn losers(&self) -> Box<[NodeIx]> {
        let here = self.around(self.finish);
        let from = self.regions[here.0 as usize].nodes.start;
        let mut losers = Vec::new();
        let mut is_loser = vec![false; self.nodes.len()];
        for ix in (from..self.finish.0).rev().map(NodeIx).filter(|ix| self.around(*ix) == here) {
            let mut ways = self.ways_out(ix).peekable();
            let is_bound = ways.peek().is_some() && ways.all(|to| to == self.finish || is_loser[to.0 as usize]);
            if is_bound {
                is_loser[ix.0 as usize] = true;
                losers.push(ix);
            }
        }
        losers.reverse();
        losers.into()
    }

    /// The region that a node happens in as a whole: of the first of a loop, the one around that. Others of a loop happen in it.
    fn around(&self, ix: NodeIx) -> RegionIx {
        let mut region = self.nodes[ix.0 as usize].region;
        while self.regions[region.0 as usize].stand_in() == Some(ix) {
            region = self.regions[region.0 as usize].parent;
        }
        region
    }

    /// Where the ways lead that leave a node, or the loop that it stands for.
    fn ways_out(&self, ix: NodeIx) -> Box<dyn Iterator<Item = NodeIx> + '_> {
        let node = &self.nodes[ix.0 as usize];
        let to = |transition: super::TransitionIx| self.transitions[transition.0 as usize].to;
        if self.around(ix) == node.region {
            Box::new(node.leaving().map(to))
        } else {
            Box::new(self.regions[node.region.0 as usize].exits.iter().map(move |exit| to(*exit)))
        }
    }
}
