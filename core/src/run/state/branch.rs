//! The branches of a run: each a pass through the graph with nodes and a state of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{NodeState, Place};
use crate::definition::{Definition, NodeIx};
use crate::{BranchId, Json, NodeAddress};

/// One pass through the graph.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) struct Branch {
    /// By [`NodeIx`].
    pub nodes: Vec<NodeState>,
    /// What nodes with `storeResultAs` wrote.
    pub state: BTreeMap<Arc<str>, Json>,
    /// How many of the nodes are neither pending nor ended.
    pub active: u32,
}

impl Branch {
    /// A branch in which nothing has happened yet.
    pub fn untouched(definition: &Definition) -> Self {
        Self { nodes: vec![NodeState::untouched(); definition.nodes.len()], state: BTreeMap::new(), active: 0 }
    }

    /// Puts a node where it stands.
    pub fn put(&mut self, ix: NodeIx, state: NodeState) {
        self.active += u32::from(state.phase.is_active());
        let before = std::mem::replace(&mut self.nodes[ix.0 as usize], state);
        self.active -= u32::from(before.phase.is_active());
    }

    /// Returns where a node stands.
    pub fn node(&self, ix: NodeIx) -> &NodeState {
        &self.nodes[ix.0 as usize]
    }
}

/// The branches of a run that are open. The run itself is always one, and nothing opens others yet.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) struct Branches {
    /// In place: most runs have no other.
    root: Branch,
}

impl Branches {
    /// Those of a run to which nothing has happened yet.
    pub fn untouched(definition: &Definition) -> Self {
        Self { root: Branch::untouched(definition) }
    }

    /// Finds what an address names: a node of the definition, in a branch that is open. Nothing else turns an address into
    /// a place.
    pub fn find(&self, definition: &Definition, at: &NodeAddress) -> Option<Place> {
        self.open(at.branch())?;
        definition.find(at.node()).map(|node| Place { branch: at.branch(), node })
    }

    fn open(&self, id: BranchId) -> Option<&Branch> {
        (id == BranchId::ROOT).then_some(&self.root)
    }

    /// Returns the run itself.
    pub fn root(&self) -> &Branch {
        &self.root
    }

    pub fn root_mut(&mut self) -> &mut Branch {
        &mut self.root
    }

    /// Returns the branch of a place.
    pub fn of(&self, place: Place) -> &Branch {
        self.open(place.branch).expect("a place is in a branch that is open")
    }

    pub fn of_mut(&mut self, place: Place) -> &mut Branch {
        let root = (place.branch == BranchId::ROOT).then_some(&mut self.root);
        root.expect("a place is in a branch that is open")
    }

    /// Returns every node's place and state, branch after branch, in order.
    pub fn places(&self) -> impl Iterator<Item = (Place, &NodeState)> {
        (0..).map(|node| Place::root(NodeIx(node))).zip(&self.root.nodes)
    }

    /// Returns how many nodes are neither pending nor ended.
    pub fn active(&self) -> u32 {
        self.root.active
    }
}
