//! What a run has still to do of its own accord. It follows from its events, so whoever folds them knows how the run goes on: what
//! does not fit one decision is left for the next (`RunCommand::Continue`).

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::finally::next_of_the_end;
use super::recall;
use super::state::{Around, Phase, Place, Run};
use super::step::{Readiness, readiness};
use crate::BranchId;
use crate::definition::{Definition, Execution, NodeIx};

/// What is to be done, in the order in which its turn came.
#[derive(Debug, Clone, Default)]
pub(super) struct Agenda {
    order: VecDeque<Todo>,
    /// Most runs have nothing to put off, and keep no room for it.
    later: Option<Box<Later>>,
    /// All of it, while that is more than can be looked through; else empty.
    index: Option<Box<FxHashSet<Todo>>>,
}

/// What goes after all the rest. One that is empty is kept by nobody but for a moment.
#[derive(Debug, Clone, Default, PartialEq)]
struct Later {
    /// What needs a place among those that may be under way at once. Whatever needs none goes before.
    held: VecDeque<Todo>,
    /// What is not done before somebody resumes its node.
    aside: VecDeque<Todo>,
}

impl Later {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.aside.is_empty()
    }
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

/// Where something stands that is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Order,
    /// It needs a place.
    Held,
    /// Its node is halted.
    Aside,
}

impl Todo {
    /// Returns the node that begins, or goes on with its branches.
    pub fn place(self) -> Option<Place> {
        match self {
            Self::Begin(place) | Self::Advance(place) => Some(place),
            Self::Finish(_) | Self::Close(_) => None,
        }
    }

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
    /// It was cancelled with a grace, and nobody works on anything of it any more.
    Stop,
}

/// Equality of what is listed, however it is looked up.
impl PartialEq for Agenda {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order && self.later == other.later
    }
}

impl Agenda {
    /// Adds something; says whether it is new.
    fn push(&mut self, todo: Todo, lane: Lane) -> bool {
        if self.lists(&todo) {
            return false;
        }
        match lane {
            Lane::Order => self.order.push_back(todo),
            Lane::Held => self.later.get_or_insert_default().held.push_back(todo),
            Lane::Aside => self.later.get_or_insert_default().aside.push_back(todo),
        }
        let count = self.count();
        match &mut self.index {
            Some(index) => {
                index.insert(todo);
            }
            None if count > FEW => self.index = Some(Box::new(self.iter().copied().collect())),
            None => {}
        }
        true
    }

    /// Strikes something out; says whether it was listed.
    fn remove(&mut self, todo: Todo) -> bool {
        if self.order.front() == Some(&todo) {
            self.order.pop_front();
        } else if !self.lists(&todo) {
            return false;
        } else if let Some(later) = self.later.as_mut().filter(|later| later.held.front() == Some(&todo)) {
            later.held.pop_front();
        } else {
            self.order.retain(|listed| *listed != todo);
            if let Some(Later { held, aside }) = self.later.as_deref_mut() {
                held.retain(|listed| *listed != todo);
                aside.retain(|listed| *listed != todo);
            }
        }
        self.later.take_if(|later| later.is_empty());
        self.forget(&todo);
        true
    }

    fn lists(&self, todo: &Todo) -> bool {
        match &self.index {
            Some(index) => index.contains(todo),
            None => self.iter().any(|listed| listed == todo),
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
        self.count() == 0
    }

    fn count(&self) -> usize {
        self.order.len() + self.later.as_ref().map_or(0, |later| later.held.len() + later.aside.len())
    }

    /// Gives back what an empty one still takes of memory.
    pub fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Todo> {
        self.order.iter().chain(self.later.iter().flat_map(|later| later.held.iter().chain(&later.aside)))
    }

    /// Returns what is to be done next, where there is a place or none.
    pub fn next(&self, has_place: bool) -> Option<Todo> {
        let held = || self.later.as_ref().filter(|_| has_place)?.held.front();
        self.order.front().or_else(held).copied()
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
        if self.ending.is_some() || self.is_stopping() {
            return next_of_the_end(self);
        }
        if recall::is_awaited(self) {
            return None;
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
        if self.paused_since().is_some() {
            return None;
        }
        self.agenda.next(self.definition().parallelism.is_none_or(|most| self.branches.under_way() < most))
    }

    /// Lists something to be done.
    pub(super) fn list(&mut self, todo: Todo) {
        let lane = match todo.place() {
            Some(place) if self.waiting.halts().holds(place.node) => Lane::Aside,
            Some(_) | None if needs_a_place(self, todo) => Lane::Held,
            Some(_) | None => Lane::Order,
        };
        if self.agenda.push(todo, lane) {
            self.count_listed(todo, |listed| listed + 1);
        }
    }

    /// Strikes something out.
    pub(super) fn strike(&mut self, todo: Todo) {
        if self.agenda.remove(todo) {
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

    /// Lists the end of a branch if nothing is left to be done in it.
    pub(super) fn list_if_done(&mut self, id: BranchId) {
        if id != BranchId::ROOT && self.branches.get(id).is_some_and(|branch| branch.is_done()) {
            self.list(Todo::Finish(id));
        }
    }
}

/// Strikes out whatever is to be done in some branches.
pub(super) fn strike_all_of(run: &mut Run, branches: &FxHashSet<BranchId>) {
    let is_kept = |todo: &Todo| match todo {
        Todo::Begin(place) | Todo::Advance(place) => !branches.contains(&place.branch),
        Todo::Finish(branch) | Todo::Close(branch) => !branches.contains(branch),
    };
    let mut struck = Vec::new();
    let mut keep = |list: &mut VecDeque<Todo>| {
        list.retain(|todo| {
            let is_kept = is_kept(todo);
            if !is_kept {
                struck.push(*todo);
            }
            is_kept
        });
    };
    keep(&mut run.agenda.order);
    if let Some(Later { held, aside }) = run.agenda.later.as_deref_mut() {
        keep(held);
        keep(aside);
    }
    run.agenda.later.take_if(|later| later.is_empty());
    for todo in struck {
        run.agenda.forget(&todo);
        run.count_listed(todo, |listed| listed - 1);
    }
}

/// Lists what is to be done of a node again, as it is halted or not any more.
pub(super) fn list_again(run: &mut Run, node: NodeIx) {
    let is_of_it = |todo: &&Todo| todo.place().is_some_and(|place| place.node == node);
    let listed: Vec<Todo> = run.agenda.iter().filter(is_of_it).copied().collect();
    for todo in listed {
        run.strike(todo);
        run.list(todo);
    }
}

/// Lists a node with branches if it can go on, and strikes it out if it cannot.
pub(super) fn list_if_it_advances(run: &mut Run, place: Place) {
    let Some(around) = run.node(place).phase.around() else { return };
    let advances = match around {
        Around::Loop(turns) => turns.open.is_none(),
        Around::Group(group) => group.outcome.is_some(),
        Around::Undo(undoing) => undoing.open.is_none(),
        Around::Each(each) => {
            let definition = run.definition();
            let of = definition.node(place.node).action.for_each();
            of.is_some_and(|of| each.next(of, run.branches.room(), size_of(definition, place)).is_some())
        }
    };
    if advances { run.list(Todo::Advance(place)) } else { run.strike(Todo::Advance(place)) }
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
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => false,
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
