//! What an event means for the branches of a run.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Fold;
use crate::definition::{Definition, NodeIx, Outcome, RegionKind, Transition, TransitionIx};
use crate::failure::RunFailure;
use crate::run::agenda::{Todo, list_if_it_advances, strike_all_of};
use crate::run::state::{Around, Branch, Each, NodeState, Phase, Place, Run, State, Try, Turns, Undoing};
use crate::run::{BranchKind, BranchOutcome, JoinClosing};
use crate::{BranchId, Json, NodeAddress, NodeId, Timestamp};

impl Fold<'_> {
    /// Decides one transition. One that leads out of a loop waits for the end of its turn.
    pub(in crate::run) fn deliver(&mut self, branch: BranchId, transition: TransitionIx, is_taken: bool) {
        if let Some(target) = self.target(branch, transition) {
            let has_later_words = self.definition().has_later_words;
            let caught = if is_taken && has_later_words { self.caught_over(branch, transition) } else { None };
            let target = self.node_mut(target);
            target.decided += 1;
            target.taken += u32::from(is_taken);
            target.caught = target.caught.take().or(caught);
            return;
        }
        if !is_taken {
            return;
        }
        let definition = Arc::clone(self.definition());
        let Some(of) = self.branches.get_mut(branch) else { return };
        let region = definition.region(of.region);
        if !region.holds(definition.transition(transition).to) {
            of.ways_mut().out.push(transition.0);
            return;
        }
        of.ways_mut().back = true;
        if let Some(parent) = of.parent
            && let Some(Around::Loop(turns)) = self.node_mut(parent).phase.around_mut()
        {
            *turns.taken.entry(transition.0).or_default() += 1;
        }
    }

    /// Returns the node whose failure stands behind a transition that was taken.
    fn caught_over(&self, branch: BranchId, transition: TransitionIx) -> Option<NodeId> {
        let definition = self.definition();
        let Transition { from, on, .. } = definition.transition(transition);
        match on {
            Outcome::Failure => Some(definition.node(*from).id.clone()),
            Outcome::Success => self.node(Place { branch, node: *from }).caught.clone(),
        }
    }

    pub(super) fn list_target_if_ready(&mut self, branch: BranchId, transition: TransitionIx) {
        if let Some(target) = self.target(branch, transition) {
            self.list_if_ready(target);
        }
    }

    /// Writes to the state that the nodes of a branch see.
    pub(super) fn store(&mut self, branch: BranchId, key: Arc<str>, value: Json) {
        let home = self.branches.home_of_state(self.origin.definition(), branch);
        if let Some(branch) = self.branches.get_mut(home) {
            Arc::make_mut(&mut branch.state).insert(key, value);
        }
    }

    /// Has all nodes of a loop that is never entered stand as its first does.
    pub(super) fn skip_loop(&mut self, place: Place) {
        let definition = Arc::clone(self.definition());
        let home = definition.node(place.node).region;
        if home == self.branches.of(place).region {
            return;
        }
        let region = definition.region(home);
        for node in region.nodes.clone().map(NodeIx).filter(|node| *node != place.node) {
            self.node_mut(place.beside(node)).phase = Phase::Skipped;
        }
        for exit in &region.exits {
            // What leaves the first node itself is decided with it.
            if definition.transition(*exit).from != place.node {
                self.deliver(place.branch, *exit, false);
                self.list_target_if_ready(place.branch, *exit);
            }
        }
    }

    pub(super) fn list_items(&mut self, node: &NodeAddress, items: &Json, now: Timestamp) {
        let place = self.place(node);
        let around = if self.definition().node(place.node).action.is_compensation() {
            Around::Undo(Undoing::default())
        } else {
            Around::Each(Each::of(items, self.state_of(place.branch).clone(), now))
        };
        self.enter(place, Phase::Around(Box::new(around)));
        list_if_it_advances(self, place);
    }

    pub(super) fn open_branches(&mut self, node: &NodeAddress, first: BranchId, from: u32, count: u32, now: Timestamp) {
        let place = self.place(node);
        let definition = Arc::clone(self.definition());
        let here = definition.node(place.node);
        // The first node of a loop opens its turns; wherever else it stands, a `forEach` opens branches for its items.
        let is_loop = here.region != self.branches.of(place).region;
        let region = if is_loop { Some(here.region) } else { here.body };
        let Some(region) = region else { return };
        if is_loop && self.node(place).phase == Phase::Pending {
            self.enter(place, Phase::Around(Box::new(Around::Loop(Turns::default()))));
        }
        if !is_loop && here.action.is_group() {
            self.begin_try(place, from + 1, now);
        }
        if here.action.is_compensation() {
            return self.undo_last(place, first, from);
        }
        for (number, index) in (first.get()..).zip(from..from.saturating_add(count)) {
            let (id, mut branch) = (BranchId::new(number), Branch::untouched(&definition, region));
            (branch.parent, branch.index) = (Some(place), index);
            match self.node_mut(place).phase.around_mut() {
                Some(Around::Each(each)) => {
                    let item = each.items.get_mut(index as usize).map(std::mem::take).unwrap_or_default();
                    branch.item = Some([item, Json::of(&index)]);
                    branch.state = State::clone(&each.state);
                    each.opened = each.opened.max(index + 1);
                    each.open.insert(id);
                }
                Some(Around::Loop(turns)) => turns.open = Some(id),
                Some(Around::Group(group)) => {
                    branch.state = State::clone(&group.state);
                    group.open = Some(id);
                }
                Some(Around::Undo(_)) | None => {}
            }
            self.branches.open(id, branch, is_loop);
            for start in &definition.region(region).starts {
                self.list(Todo::Begin(Place { branch: id, node: *start }));
            }
        }
        list_if_it_advances(self, place);
    }

    /// What has succeeded last is undone, in a branch of one node.
    fn undo_last(&mut self, place: Place, id: BranchId, number: u32) {
        let definition = Arc::clone(self.definition());
        let (Some(region), Some(kept)) = (definition.node(place.node).body, self.branches.take_last_kept()) else {
            return;
        };
        let mut branch = Branch::untouched(&definition, region);
        (branch.parent, branch.index) = (Some(place), number);
        branch.item = Some([kept.input, Json::of(&number)]);
        if let Some(Around::Undo(undoing)) = self.node_mut(place).phase.around_mut() {
            undoing.open = Some(id);
        }
        self.branches.open(id, branch, false);
        if let Some(undo) = definition.undo_of(kept.place.node) {
            self.list(Todo::Begin(Place { branch: id, node: undo.node }));
        }
        list_if_it_advances(self, place);
    }

    fn begin_try(&mut self, place: Place, attempt: u32, now: Timestamp) {
        let state = self.state_of(place.branch).clone();
        let is_bounded = self.definition().node(place.node).retry.duration_max.is_some();
        let node = self.node_mut(place);
        node.attempts = attempt;
        if is_bounded {
            node.first_scheduled_at.get_or_insert(now);
        }
        self.enter(place, Phase::Around(Box::new(Around::Group(Try::of(state, now)))));
    }

    /// What a try that succeeded wrote is written around it too.
    fn keep_state_of(&mut self, branch: &Branch, before: &State, place: Place) {
        let written = branch.state.iter().filter(|(key, value)| before.get(*key) != Some(value));
        for (key, value) in written.map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>() {
            self.store(place.branch, key, value);
        }
    }

    /// Some branches are to be withdrawn: nothing of them is to be done any more, or due.
    pub(super) fn close_branches(&mut self, ids: &[BranchId], failure: Option<&RunFailure>) {
        let within = self.within(ids);
        strike_all_of(self, &within);
        for place in self.active_in(&within) {
            self.let_go(place);
        }
        for id in ids {
            // A group whose try is withdrawn has no more time to run out of.
            let parent = self.branches.get(*id).and_then(|branch| branch.parent);
            if let Some(place) = parent.filter(|place| self.node(*place).phase.around().is_some_and(Around::is_group)) {
                self.let_go(place);
                if let Some(Around::Group(group)) = self.node_mut(place).phase.around_mut() {
                    group.closing = true;
                }
            }
            if let Some(branch) = self.branches.get_mut(*id) {
                branch.closing = Some(failure.cloned().map(Box::new));
                self.list(Todo::Close(*id));
            }
        }
    }

    pub(super) fn close_join(&mut self, node: &NodeAddress, join: &JoinClosing) {
        let place = self.place(node);
        self.let_go(place);
        let Some(Around::Each(each)) = self.node_mut(place).phase.around_mut() else { return };
        each.closing = Some(join.clone());
        let mut open: Vec<BranchId> = each.open.iter().copied().collect();
        open.retain(|id| self.branches.get(*id).is_some_and(|branch| branch.closing.is_none()));
        self.close_branches(&open, None);
        list_if_it_advances(self, place);
    }

    pub(super) fn end_branch(&mut self, id: BranchId, outcome: &BranchOutcome) {
        self.strike(Todo::Finish(id));
        self.strike(Todo::Close(id));
        // Withdrawn with the node that opened it, it may have had something to begin.
        if self.branches.get(id).is_some_and(|branch| branch.listed > 0) {
            strike_all_of(self, &FxHashSet::from_iter([id]));
        }
        let looked_up = self.look_up(id, outcome);
        let outcome = looked_up.as_ref().unwrap_or(outcome);
        let Some(branch) = self.branches.close(id) else { return };
        let Some(place) = branch.parent else { return };
        let definition = Arc::clone(self.definition());
        let of = definition.node(place.node).action.for_each();
        // A try that has ended has no more time to run out of.
        if self.node(place).phase.around().is_some_and(Around::is_group) {
            self.let_go(place);
        }
        let Some(around) = self.node_mut(place).phase.around_mut() else { return };
        let mut ends_well = false;
        match around {
            Around::Each(each) => each.learn(of, id, branch.index, outcome),
            Around::Loop(turns) => {
                turns.open = None;
                turns.before = branch.index + 1;
                ends_well = matches!(outcome, BranchOutcome::Turned { again: false });
            }
            Around::Undo(undoing) => undoing.learn(outcome),
            Around::Group(group) => {
                group.open = None;
                group.outcome = Some(outcome.clone());
                let before = State::clone(&group.state);
                if let BranchOutcome::Succeeded { .. } = outcome {
                    self.keep_state_of(&branch, &before, place);
                }
            }
        }
        if ends_well {
            self.end_loop(place, branch);
        } else if self.goes_on(place) {
            list_if_it_advances(self, place);
        }
    }

    /// Finds the output that an outcome names by its node.
    fn look_up(&self, id: BranchId, outcome: &BranchOutcome) -> Option<BranchOutcome> {
        let BranchOutcome::SucceededAs { node, key } = outcome else { return None };
        let output = self.branches.made_in(self.definition(), id, node).cloned().unwrap_or_default();
        Some(BranchOutcome::Succeeded { output, key: key.clone() })
    }

    /// After its last turn the nodes of a loop stand where that left them, and the ways out that it took are taken.
    fn end_loop(&mut self, place: Place, turn: Branch) {
        let definition = Arc::clone(self.definition());
        let region = definition.node(place.node).region;
        for (node, state) in turn.nodes() {
            let at = place.beside(node);
            if node == place.node {
                let before = self.node(place).clone();
                self.enter(place, state.phase.clone());
                let (taken, decided, failed, caught) = (before.taken, before.decided, before.failed, before.caught);
                *self.node_mut(place) = NodeState { taken, decided, failed, caught, ..state.clone() };
            } else {
                *self.node_mut(at) = state.clone();
            }
        }
        let exits = &definition.region(region).exits;
        let taken: FxHashSet<u32> = turn.ways().out.iter().copied().collect();
        for exit in exits {
            let transition = definition.transition(*exit);
            if turn.node(transition.from).phase == Phase::Failed
                && let Some(target) = self.target(place.branch, *exit)
            {
                self.node_mut(target).failed += 1;
            }
            self.deliver(place.branch, *exit, taken.contains(&exit.0));
        }
        for exit in exits {
            self.list_target_if_ready(place.branch, *exit);
        }
        self.list_if_done(place.branch);
    }

    /// Returns some branches and all within them.
    fn within(&self, ids: &[BranchId]) -> FxHashSet<BranchId> {
        let mut all = FxHashSet::default();
        let mut todo = ids.to_vec();
        while let Some(id) = todo.pop() {
            let Some(branch) = self.branches.get(id) else { continue };
            all.insert(id);
            for (_, state) in branch.nodes() {
                todo.extend(state.phase.around().into_iter().flat_map(Around::open));
            }
        }
        all
    }

    fn active_in(&self, branches: &FxHashSet<BranchId>) -> Vec<Place> {
        let mut ids: Vec<BranchId> = branches.iter().copied().collect();
        ids.sort_unstable();
        ids.into_iter().flat_map(|id| self.active_of(id)).collect()
    }
}

impl Run {
    /// Finds the node of a branch that a transition leads to; `None`: it leads out of the branch, or back to where it begins.
    pub(super) fn target(&self, branch: BranchId, transition: TransitionIx) -> Option<Place> {
        let (definition, of) = (self.definition(), self.branches.get(branch)?);
        let (region, transition) = (definition.region(of.region), definition.transition(transition));
        let is_within = region.holds(transition.to) && transition.back.is_none();
        is_within.then_some(Place { branch, node: transition.to })
    }

    /// Returns the nodes of a branch that are neither pending nor ended.
    pub(in crate::run) fn active_of(&self, id: BranchId) -> Vec<Place> {
        let nodes = self.branches.get(id).into_iter().flat_map(Branch::nodes);
        let active = nodes.filter(|(_, state)| state.phase.is_active());
        active.map(|(node, _)| Place { branch: id, node }).collect()
    }

    /// Returns what the branches are of that a node opens.
    pub(in crate::run) fn kind_of_branches(&self, place: Place) -> BranchKind {
        let node = self.definition().node(place.node);
        if node.region != self.branches.of(place).region {
            BranchKind::Turn
        } else if node.action.is_group() {
            BranchKind::Try
        } else if node.action.is_compensation() {
            BranchKind::Undo
        } else {
            BranchKind::Item
        }
    }

    /// Returns the branches that are open in a node.
    pub(in crate::run) fn open_in(&self, place: Place) -> Vec<BranchId> {
        self.node(place).phase.around().map_or_else(Vec::new, Around::open)
    }

    /// Returns the state that the nodes of a branch see.
    pub(in crate::run) fn state_of(&self, branch: BranchId) -> &State {
        let home = self.branches.home_of_state(self.definition(), branch);
        &self.branches.get(home).expect("a branch is open as long as those within it").state
    }
}

/// Returns whether a transition may be taken once more, as often as it has been.
pub(in crate::run) fn may_lead_back(
    run: &Run,
    definition: &Definition,
    branch: BranchId,
    transition: TransitionIx,
) -> bool {
    let Some(back) = &definition.transition(transition).back else { return true };
    let header = definition.transition(transition).to;
    let is_its_turn = |branch: &Branch| definition.region(branch.region).kind == (RegionKind::Loop { header });
    let turn = run.branches.around(branch).find(|(_, branch)| is_its_turn(branch));
    let Some(parent) = turn.and_then(|(_, turn)| turn.parent) else { return false };
    let Some(Around::Loop(turns)) = run.node(parent).phase.around() else { return false };
    turns.taken.get(&transition.0).copied().unwrap_or_default() < back.max
}
