//! The regions of a graph: what happens as a whole, perhaps many times.

use std::ops::Range;

use super::{NodeIx, TransitionIx};

/// Position of a region in [`super::Definition::regions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionIx(pub u32);

impl RegionIx {
    /// The run itself.
    pub const ROOT: Self = Self(0);
}

/// Nodes that happen together, in branches of their own. Regions lie in one another, and the nodes of each side by side.
#[derive(Debug)]
pub struct Region {
    pub kind: RegionKind,
    /// The region it lies in; the root lies in itself.
    pub parent: RegionIx,
    /// Positions of its nodes, those of the regions within it among them.
    pub nodes: Range<u32>,
    /// With which nodes a branch of it begins.
    pub starts: Vec<NodeIx>,
    /// The transitions that lead out of it, from it or from a region within it.
    pub exits: Vec<TransitionIx>,
}

/// How often a region happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// Once: the run itself.
    Root,
    /// Once for each item of a node with `forEach`.
    Body { each: NodeIx },
    /// Again as often as a way leads back to its first node.
    Loop { header: NodeIx },
}

impl Region {
    /// Returns whether a node lies in it.
    pub fn holds(&self, node: NodeIx) -> bool {
        self.nodes.contains(&node.0)
    }

    /// Returns the node of the region around it that stands for it.
    pub fn stand_in(&self) -> Option<NodeIx> {
        match self.kind {
            RegionKind::Root => None,
            RegionKind::Body { each } => Some(each),
            RegionKind::Loop { header } => Some(header),
        }
    }
}
