//! What a run has still to do of its own accord. It follows from its events, so whoever folds them knows how the run goes on: what
//! does not fit one decision is left for the next (`RunCommand::Continue`).

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::state::{Around, Phase, Place, Run};
use super::step::{Readiness, readiness};
use crate::BranchId;
use crate::definition::{Definition, Execution};

/// What is to be done, in the order in which its turn came.
#[derive(Debug, Clone, Default)]
pub(super) struct Agenda {
    order: VecDeque<Todo>,
    /// What needs a place among those that may be under way at once. Whatever needs none goes before.
    held: VecDeque<Todo>,
    /// All of it, while that is more than can be looked through; else empty.
    index: Option<Box<FxHashSet<Todo>>>,
}

/// How many can be looked through.
const FEW: usize = 8;

/// One thing to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Todo {
    /// A node begins, goes on with the assets it has got, or is skipped.
    Begin(Place),
    /// A node with branches opens more, withdraws them or ends.
    Advance(Place),
    /// Nothing is left to be done in a branch: it ends.
    Finish(BranchId),
    /// What is active in a branch is withdrawn, and it ends.
    Close(BranchId),
}

impl Todo {
    /// Returns the branch that it is something of; it is not over before that is done.
    pub fn branch(self) -> Option<BranchId> {
        match self {
            Self::Begin(place) | Self::Advance(place) => Some(place.branch),
            Self::Finish(_) | Self::Close(_) => None,
        }
    }
}

/// What a run does next of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Do(Todo),
    /// Nothing is left to be done: the output is made, and the run ends.
    Finish,
    /// The run ends before everything was done: what is active is withdrawn.
    Withdraw,
}

/// Equality of what is listed, however it is looked up.
impl PartialEq for Agenda {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order && self.held == other.held
    }
}

impl Agenda {
    /// Adds something; says whether it is new.
    fn push(&mut self, todo: Todo, needs_a_place: bool) -> bool {
        if self.lists(&todo) {
            return false;
        }
        if needs_a_place {
            self.held.push_back(todo)
        } else {
            self.order.push_back(todo)
        }
        match &mut self.index {
            Some(index) => {
                index.insert(todo);
            }
            None if self.order.len() + self.held.len() > FEW => {
                self.index = Some(Box::new(self.iter().copied().collect()))
            }
            None => {}
        }
        true
    }

    /// Strikes something out; says whether it was listed.
    fn remove(&mut self, todo: Todo) -> bool {
        if self.order.front() == Some(&todo) {
            self.order.pop_front();
        } else if self.held.front() == Some(&todo) {
            self.held.pop_front();
        } else if self.lists(&todo) {
            self.order.retain(|listed| *listed != todo);
            self.held.retain(|listed| *listed != todo);
        } else {
            return false;
        }
        self.forget(&todo);
        true
    }

    fn lists(&self, todo: &Todo) -> bool {
        match &self.index {
            Some(index) => index.contains(todo),
            None => self.order.contains(todo) || self.held.contains(todo),
        }
    }

    /// Has the index follow what was struck out.
    fn forget(&mut self, todo: &Todo) {
        if let Some(index) = &mut self.index {
            index.remove(todo);
            if index.is_empty() {
                self.index = None;
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty() && self.held.is_empty()
    }

    /// Gives back what an empty one still takes of memory.
    pub fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Todo> {
        self.order.iter().chain(&self.held)
    }

    /// Returns what is to be done next, where there is a place or none.
    pub fn next(&self, has_place: bool) -> Option<Todo> {
        self.order.front().or_else(|| self.held.front().filter(|_| has_place)).copied()
    }
}

impl Run {
    /// Returns whether it has something to do before anything else happens to it.
    pub fn has_agenda(&self) -> bool {
        self.next().is_some()
    }

    pub(super) fn next(&self) -> Option<Next> {
        if self.status.is_terminal() {
            return None;
        }
        if self.ending.is_some() {
            return self.next_of_the_end();
        }
        let is_done = || self.branches.root().active == 0 && self.assets.is_all_recorded();
        match self.next_todo() {
            Some(todo) => Some(Next::Do(todo)),
            None if self.agenda.is_empty() && is_done() => Some(Next::Finish),
            None => None,
        }
    }

    /// Returns what is to be done next, as far as there is a place for it.
    pub(super) fn next_todo(&self) -> Option<Todo> {
        self.agenda.next(self.definition().parallelism.is_none_or(|most| self.branches.under_way() < most))
    }

    /// Lists something to be done.
    pub(super) fn list(&mut self, todo: Todo) {
        let needs_a_place = needs_a_place(self, todo);
        if self.agenda.push(todo, needs_a_place) {
            self.count_listed(todo, |listed| listed + 1);
        }
    }

    /// Strikes something out.
    pub(super) fn strike(&mut self, todo: Todo) {
        if self.agenda.remove(todo) {
            self.count_listed(todo, |listed| listed - 1);
        }
    }

    /// Strikes out whatever is to be done in some branches.
    pub(super) fn strike_all_of(&mut self, branches: &FxHashSet<BranchId>) {
        let is_kept = |todo: &Todo| match todo {
            Todo::Begin(place) | Todo::Advance(place) => !branches.contains(&place.branch),
            Todo::Finish(branch) | Todo::Close(branch) => !branches.contains(branch),
        };
        let (kept, struck): (VecDeque<Todo>, VecDeque<Todo>) =
            std::mem::take(&mut self.agenda.order).into_iter().partition(is_kept);
        let (kept_held, struck_held): (VecDeque<Todo>, VecDeque<Todo>) =
            std::mem::take(&mut self.agenda.held).into_iter().partition(is_kept);
        (self.agenda.order, self.agenda.held) = (kept, kept_held);
        for todo in struck.into_iter().chain(struck_held) {
            self.agenda.forget(&todo);
            self.count_listed(todo, |listed| listed - 1);
        }
    }

    fn count_listed(&mut self, todo: Todo, count: impl FnOnce(u32) -> u32) {
        if let Some(branch) = todo.branch().and_then(|branch| self.branches.get_mut(branch)) {
            branch.listed = count(branch.listed);
        }
    }

    /// Lists a node if its turn has come.
    pub(super) fn list_if_ready(&mut self, place: Place) {
        let is_ready = match &self.node(place).phase {
            Phase::Pending => readiness(self.definition().node(place.node), self.node(place)) != Readiness::Wait,
            Phase::AwaitingAssets { missing } => missing.is_empty(),
            Phase::AwaitingMemo(awaited) => awaited.cleared,
            Phase::Current(current) => current.is_told(),
            Phase::Retrying { .. }
            | Phase::Around(_)
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => false,
        };
        if is_ready {
            self.list(Todo::Begin(place));
        }
    }

    /// Lists a node with branches if it can go on, and strikes it out if it cannot.
    pub(super) fn list_if_it_advances(&mut self, place: Place) {
        let Some(around) = self.node(place).phase.around() else { return };
        let advances = match around {
            Around::Loop(turns) => turns.open.is_none(),
            Around::Group(group) => group.outcome.is_some(),
            Around::Each(each) => {
                let definition = self.definition();
                let of = definition.node(place.node).action.for_each();
                of.is_some_and(|of| each.next(of, self.branches.room(), size_of(definition, place)).is_some())
            }
        };
        if advances { self.list(Todo::Advance(place)) } else { self.strike(Todo::Advance(place)) }
    }

    /// Lists the end of a branch if nothing is left to be done in it.
    pub(super) fn list_if_done(&mut self, id: BranchId) {
        if id != BranchId::ROOT && self.branches.get(id).is_some_and(|branch| branch.is_done()) {
            self.list(Todo::Finish(id));
        }
    }
}

/// Returns how many nodes a branch of a `forEach` has.
pub(super) fn size_of(definition: &Definition, each: Place) -> u64 {
    let body = definition.node(each.node).body;
    body.map_or(0, |body| u64::from(definition.region(body).nodes.end - definition.region(body).nodes.start))
}

/// Returns whether a node takes a place where so many may be under way: from its first attempt to its end, also between two
/// tries. Whoever only waits for its time takes none, and neither does what is made of other nodes.
pub(super) fn has_a_place(run: &Run, place: Place, phase: &Phase) -> bool {
    let is_under_way = match phase {
        Phase::Current(_) | Phase::Retrying { .. } => true,
        Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::AwaitingMemo(_)
        | Phase::Around(_)
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Skipped
        | Phase::Cancelled => false,
    };
    is_under_way && takes_a_place(run, place)
}

fn takes_a_place(run: &Run, place: Place) -> bool {
    run.definition().parallelism.is_some()
        && match &run.definition().node(place.node).action.execution {
            Execution::Fleet { .. } | Execution::Engine(_) | Execution::Calls(_) => true,
            Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_) => false,
        }
}

/// Returns whether what is to be done waits for a place.
fn needs_a_place(run: &Run, todo: Todo) -> bool {
    let Todo::Begin(place) = todo else { return false };
    if !takes_a_place(run, place) || run.origin.is_left_out(place) {
        return false;
    }
    let (node, state) = (run.definition().node(place.node), run.node(place));
    let stands_for_a_loop = node.region != run.branches.of(place).region;
    // What is skipped takes none.
    let has_ways_in = !node.incoming.is_empty();
    let is_skipped = state.phase == Phase::Pending && has_ways_in && readiness(node, state) == Readiness::Dead;
    !stands_for_a_loop && !is_skipped
}
