//! The branches of a run: each a pass through a region of the graph with nodes and a state of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;

use super::kept::Kept;
use super::{KeptAll, NodeState, Phase, Place};
use crate::definition::{Definition, NodeIx, RegionIx, RegionKind};
use crate::failure::RunFailure;
use crate::{BranchId, Json, NodeAddress, NodeId};

/// What nodes with `storeResultAs` wrote, by key; shared until somebody writes.
pub(in crate::run) type State = Arc<BTreeMap<Arc<str>, Json>>;

/// That of whoever has written nothing: most runs never do.
static UNWRITTEN: LazyLock<State> = LazyLock::new(State::default);

/// Which ways were taken out of a turn of a loop, that wait for its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::run) struct Ways {
    /// The transitions that lead out of the loop, by position.
    pub out: Vec<u32>,
    /// Whether one that leads back was taken.
    pub back: bool,
}

/// Those of whatever is no turn, and of a turn that still goes on.
static NO_WAYS: Ways = Ways { out: Vec::new(), back: false };

/// One pass through a region of the graph.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) struct Branch {
    pub region: RegionIx,
    /// The position of its first node.
    first: u32,
    /// The node that stands for it in the branch around it. The run itself has none.
    pub parent: Option<Place>,
    /// Which item of a `forEach`, or which turn of a loop, from 0.
    pub index: u32,
    /// What `item` and `index` are in it.
    pub item: Option<[Json; 2]>,
    /// By [`NodeIx`], from `first`. Those of a loop within it stand where its last turn left them.
    pub nodes: Vec<NodeState>,
    /// Of a turn: empty, for it writes to what is around it.
    pub state: State,
    /// How many of the nodes are neither pending nor ended.
    pub active: u32,
    /// How many things of it the agenda lists.
    pub listed: u32,
    /// Only turns of loops have some.
    ways: Option<Box<Ways>>,
    /// Whether it is being withdrawn, and the failure it ends with where that is why.
    pub closing: Option<Option<Box<RunFailure>>>,
}

impl Branch {
    /// A branch in which nothing has happened yet.
    pub fn untouched(definition: &Definition, region: RegionIx) -> Self {
        let nodes = definition.region(region).nodes.clone();
        Self {
            region,
            first: nodes.start,
            parent: None,
            index: 0,
            item: None,
            nodes: std::iter::repeat_with(NodeState::untouched).take(nodes.len()).collect(),
            state: State::clone(&UNWRITTEN),
            active: 0,
            listed: 0,
            ways: None,
            closing: None,
        }
    }

    /// Puts a node where it stands.
    pub fn put(&mut self, ix: NodeIx, state: NodeState) {
        self.active += u32::from(state.phase.is_active());
        let before = std::mem::replace(self.node_mut(ix), state);
        self.active -= u32::from(before.phase.is_active());
    }

    /// Returns where a node stands.
    pub fn node(&self, ix: NodeIx) -> &NodeState {
        &self.nodes[(ix.0 - self.first) as usize]
    }

    pub fn node_mut(&mut self, ix: NodeIx) -> &mut NodeState {
        &mut self.nodes[(ix.0 - self.first) as usize]
    }

    /// Returns every node with its position.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeIx, &NodeState)> + ExactSizeIterator {
        self.nodes.iter().enumerate().map(|(at, state)| (NodeIx(self.first + at as u32), state))
    }

    /// Returns which ways were taken out of it.
    pub fn ways(&self) -> &Ways {
        self.ways.as_deref().unwrap_or(&NO_WAYS)
    }

    pub fn ways_mut(&mut self) -> &mut Ways {
        self.ways.get_or_insert_default()
    }

    /// Returns whether something may still happen in it.
    pub fn is_done(&self) -> bool {
        self.active == 0 && self.listed == 0 && self.closing.is_none()
    }
}

/// The branches of a run that are open. The run itself is always one.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) struct Branches {
    /// In place: most runs have no other.
    root: Branch,
    others: FxHashMap<BranchId, Box<Branch>>,
    /// The number of the next.
    next: u32,
    /// How many nodes the others have together.
    room: u64,
    /// How many turns of loops there were.
    turns: u32,
    /// How many nodes have a place among those that may be under way at once; counted where that is bounded.
    under_way: u32,
    /// What has succeeded in them and can be undone.
    /// Most runs have nothing to undo.
    kept: Option<Box<KeptAll>>,
}

impl Branches {
    /// Those of a run to which nothing has happened yet.
    pub fn untouched(definition: &Definition) -> Self {
        Self {
            root: Branch::untouched(definition, RegionIx::ROOT),
            others: FxHashMap::default(),
            next: 1,
            room: 0,
            turns: 0,
            under_way: 0,
            kept: None,
        }
    }

    /// Finds what an address names: a node of the definition that happens in a branch that is open. Nothing else turns an
    /// address into a place.
    pub fn find(&self, definition: &Definition, at: &NodeAddress) -> Option<Place> {
        let (branch, node) = (self.get(at.branch())?, definition.find(at.node())?);
        let home = definition.node(node).region;
        let begins_here = || {
            let region = definition.region(home);
            region.kind == (RegionKind::Loop { header: node }) && region.parent == branch.region
        };
        (home == branch.region || begins_here()).then(|| Place { branch: at.branch(), node })
    }

    /// Returns a branch that is open.
    pub fn get(&self, id: BranchId) -> Option<&Branch> {
        if id == BranchId::ROOT { Some(&self.root) } else { self.others.get(&id).map(|branch| &**branch) }
    }

    pub fn get_mut(&mut self, id: BranchId) -> Option<&mut Branch> {
        if id == BranchId::ROOT { Some(&mut self.root) } else { self.others.get_mut(&id).map(|branch| &mut **branch) }
    }

    /// Returns the run itself.
    pub fn root(&self) -> &Branch {
        &self.root
    }

    /// Returns the branch of a place.
    pub fn of(&self, place: Place) -> &Branch {
        self.get(place.branch).expect("a place is in a branch that is open")
    }

    pub fn of_mut(&mut self, place: Place) -> &mut Branch {
        self.get_mut(place.branch).expect("a place is in a branch that is open")
    }

    /// Returns what a node of a branch has made that is open, if it has succeeded.
    pub fn made_in(&self, definition: &Definition, id: BranchId, node: &NodeId) -> Option<&Json> {
        let (branch, node) = (self.get(id)?, definition.find(node)?);
        let state = definition.region(branch.region).holds(node).then(|| branch.node(node))?;
        state.output.as_ref().filter(|_| state.phase == Phase::Succeeded)
    }

    /// Returns the ids of a branch and of those around it, from the inside.
    pub fn around(&self, id: BranchId) -> impl Iterator<Item = (BranchId, &Branch)> {
        let mut at = Some(id);
        std::iter::from_fn(move || {
            let id = at?;
            let branch = self.get(id)?;
            at = branch.parent.map(|parent| parent.branch);
            Some((id, branch))
        })
    }

    /// Returns the branch whose state nodes of this one read and write: turns of a loop have none of their own.
    pub fn home_of_state(&self, definition: &Definition, id: BranchId) -> BranchId {
        let is_turn = |branch: &Branch| matches!(definition.region(branch.region).kind, RegionKind::Loop { .. });
        self.around(id).find(|(_, branch)| !is_turn(branch)).map_or(BranchId::ROOT, |(id, _)| id)
    }

    /// Returns whether a branch is being withdrawn, or one around it.
    pub fn is_closing(&self, id: BranchId) -> bool {
        id != BranchId::ROOT && self.around(id).any(|(_, branch)| branch.closing.is_some())
    }

    /// Returns the number of the next branch.
    pub fn next(&self) -> BranchId {
        BranchId::new(self.next)
    }

    /// Returns how many nodes the branches have together, but for the run itself.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Returns how many turns of loops there were.
    pub fn turns(&self) -> u32 {
        self.turns
    }

    /// Opens a branch.
    pub fn open(&mut self, id: BranchId, branch: Branch, is_turn: bool) {
        self.turns = self.turns.saturating_add(u32::from(is_turn));
        self.next = self.next.max(id.get().saturating_add(1));
        self.room += branch.nodes.len() as u64;
        self.others.insert(id, Box::new(branch));
    }

    /// Ends a branch.
    pub fn close(&mut self, id: BranchId) -> Option<Branch> {
        let branch = *self.others.remove(&id)?;
        self.room -= branch.nodes.len() as u64;
        Some(branch)
    }

    /// Returns the ids of the open branches but the run itself, in order.
    pub fn ids(&self) -> Vec<BranchId> {
        let mut ids: Vec<BranchId> = self.others.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Returns every node's place and state, branch after branch, in order.
    pub fn places(&self) -> impl Iterator<Item = (Place, &NodeState)> {
        let others = self.ids().into_iter().filter_map(|id| Some((id, self.get(id)?)));
        let all = std::iter::once((BranchId::ROOT, &self.root)).chain(others);
        all.flat_map(|(id, branch)| branch.nodes().map(move |(node, state)| (Place { branch: id, node }, state)))
    }

    /// Returns how many nodes are neither pending nor ended, in all branches.
    pub fn active(&self) -> u32 {
        self.root.active + self.others.values().map(|branch| branch.active).sum::<u32>()
    }

    /// Returns what has succeeded and can be undone.
    pub fn kept(&self) -> &KeptAll {
        static NOTHING: LazyLock<KeptAll> = LazyLock::new(KeptAll::default);
        self.kept.as_deref().unwrap_or(&NOTHING)
    }

    /// Takes what has succeeded last of what is to be undone.
    pub fn take_last_kept(&mut self) -> Option<Kept> {
        let last = self.kept.as_mut()?.take_last();
        self.kept.take_if(|kept| kept.is_empty());
        last
    }

    pub fn forget_kept(&mut self) {
        self.kept = None;
    }

    pub fn kept_mut(&mut self) -> &mut KeptAll {
        self.kept.get_or_insert_default()
    }

    /// Returns how many nodes have a place among those that may be under way at once.
    pub fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Counts a node that had such a place, or has one now.
    pub fn count_under_way(&mut self, had: bool, has: bool) {
        self.under_way = self.under_way + u32::from(has) - u32::from(had);
    }

    /// Lets go of what was to be done.
    pub fn forget_agenda(&mut self) {
        self.root.listed = 0;
        self.others.values_mut().for_each(|branch| branch.listed = 0);
    }

    /// Starts to count where a checkpoint says.
    pub fn count_from(&mut self, next: u32, turns: u32) {
        self.next = self.next.max(next);
        self.turns = turns;
    }
}
