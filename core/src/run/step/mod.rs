//! A node in a decision.
//!
//! | file | question |
//! |---|---|
//! | `ready` | when a node becomes ready |
//! | `kind` | which kinds of node there are, and what each has to say |
//! | `job`, `pure`, `sleep`, `fail`, `items`, `together`, `call`, `signal`, `person`, `callback`, `successor` | a kind: how it begins, wakes, is withdrawn; `items` is a `forEach`, `together` a `group`, `signal` a `wait_signal`, `person` a `human_input`, `callback` itself, `successor` a `continue_as` |
//! | `hand` | what becomes of a node that somebody ends, or puts off, by hand |
//! | `undo` | what undoes a node is kept, and how all of it is undone |
//! | `outside` | what somebody outside says |
//! | `losers` | whom a join leaves behind that has enough |
//! | `merge` | what becomes of the outputs of items |
//! | `turns` | how a loop begins, and goes round |
//! | `signature` | whether its parameters and its output are what its action says |
//! | `recalled` | whether a run that this one goes on from had made it |
//! | `memo` | whether its result was made before |
//! | `assets` | which versions of assets a node waits for |
//! | `attempt` | when an attempt exists, whose it is, and what its worker says of it |
//! | `retry` | whether and when a failed attempt is tried again |
//! | `route` | over which transitions the run goes on |
//! | `tolerate` | whether it goes on after a failure that takes none |
//! | `end` | how a node ends |

mod assets;
mod attempt;
mod call;
mod callback;
mod end;
mod fail;
mod hand;
mod items;
mod job;
mod kind;
mod losers;
mod memo;
mod merge;
mod outside;
mod person;
mod pure;
mod ready;
mod recalled;
mod retry;
mod route;
mod signal;
mod signature;
mod sleep;
mod successor;
mod together;
mod tolerate;
mod turns;
mod undo;

pub(super) use attempt::shortened;
pub(super) use call::{answer_call, depth_of};
pub(super) use callback::call_back;
pub(super) use hand::{
    By, complete as complete_node_by_hand, set_timer as set_timer_by_hand, skip as skip_node_by_hand,
};
pub(super) use memo::{answer as answer_memo, is_minded as minds_memo};
pub(super) use outside::hear;
pub(super) use ready::{Readiness, readiness};
pub(super) use route::{Exit, Failed};
pub(super) use signal::inherit as inherit_signal;

use attempt::{Begins, Seen};
use call::Calls;
use fail::Fail;
use items::Items;
use job::Job;
use person::Asks;
use pure::Pure;
use signal::Listens;
use sleep::Sleep;
use successor::Continues;
use together::Together;
use undo::Undoes;

use super::RunEvent;
use super::attempt::CurrentAttempt;
use super::budget::Later;
use super::decision::Decision;
use super::recall;
use super::state::{Due, NodeState, Phase, Place};
use crate::definition::Node;
use crate::dialogue::Asker;
use crate::expr::{EvaluationError, Template, Work};
use crate::{Attempt, Json, NodeAddress};

/// A node in a decision. What it is told it does whole, or not at all: then it is [`Later`], and nothing has happened.
pub(super) struct Step<'d, 'a> {
    decision: &'d mut Decision<'a>,
    place: Place,
    /// What the parameters of its action have been found to be.
    params: Option<Json>,
    /// Who had made its output before.
    reused: Option<Box<Asker>>,
    /// What its attempt was given that somebody has ended by hand.
    given: Option<Json>,
}

impl<'d, 'a> Step<'d, 'a> {
    pub fn at(decision: &'d mut Decision<'a>, place: Place) -> Self {
        Self { decision, place, params: None, reused: None, given: None }
    }

    /// Does what the agenda says: begins the node, goes on with the assets it got, or skips it.
    ///
    /// # Errors
    /// [`Later`]; nothing has happened, here and below.
    pub fn begin(&mut self) -> Result<(), Later> {
        let node = self.node();
        if self.decision.run().origin.is_left_out(self.place) {
            let node = self.address();
            self.decision.emit(RunEvent::NodeSkipped { node });
            return Ok(());
        }
        if self.stands_for_a_loop() {
            return self.enter_loop();
        }
        if memo::is_asked(self) || signal::is_told(self) || successor::is_told(self) {
            return begin_as_it_is(self, self.input());
        }
        if self.state().phase != Phase::Pending {
            return begin_with_input(self);
        }
        if self.skip_if_dead() {
            return Ok(());
        }
        losers::withdraw(self)?;
        if recalled::take(self)? {
            return Ok(());
        }
        if node.consumes.is_empty() { begin_with_input(self) } else { self.await_assets() }
    }

    /// Skips the node if no way in is left.
    fn skip_if_dead(&mut self) -> bool {
        let node = self.node();
        let is_dead = !node.incoming.is_empty() && readiness(node, self.state()) == Readiness::Dead;
        if is_dead {
            let node = self.address();
            self.decision.emit(RunEvent::NodeSkipped { node });
        }
        is_dead
    }

    /// Does what is due.
    pub fn wake(&mut self, due: Due) -> Result<(), Later> {
        kind::with(&self.node().action.execution, |kind| kind.wake(self, due))
    }

    /// Lets go of the node: the run ends before it does.
    pub fn withdraw(&mut self) {
        kind::with(&self.node().action.execution, |kind| kind.withdraw(self));
    }

    fn node(&self) -> &'a Node {
        self.decision.definition().node(self.place.node)
    }

    fn address(&self) -> NodeAddress {
        self.decision.run().address(self.place)
    }

    fn state(&self) -> &NodeState {
        self.decision.run().node(self.place)
    }

    /// The attempt that it is at, also where nothing of it is heard any more.
    fn current_in_any_case(&self) -> Option<&CurrentAttempt> {
        self.state().phase.current()
    }

    fn current(&self) -> Option<&CurrentAttempt> {
        self.decision.run().current(self.place)
    }

    /// The attempt under way, or the one that there would be.
    fn attempt(&self) -> Attempt {
        self.current().map_or(Attempt::FIRST, |current| current.attempt)
    }

    /// The input that its attempts have had so far.
    fn input(&self) -> Option<Json> {
        match &self.state().phase {
            Phase::Current(current) => current.input.clone(),
            Phase::Retrying { input, .. } => input.clone(),
            Phase::AwaitingMemo(awaited) => awaited.input.clone(),
            Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::Around(_)
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => None,
        }
    }

    fn work(&self) -> &Work {
        self.decision.turn.work()
    }

    fn render(&self, template: &Template) -> Result<Json, EvaluationError> {
        signature::render(self, template)
    }
}

/// Renders the node's input, and lets its kind begin, or asks whether it has to.
fn begin_with_input(step: &mut Step<'_, '_>) -> Result<(), Later> {
    let node = step.node();
    if let Some(failure) = undo::is_full(step) {
        return step.fail(failure, None);
    }
    match signature::find_params(step) {
        Ok(params) => step.params = params,
        Err(failure) => return step.fail(failure, None),
    }
    let input = match node.input.as_ref().map(|template| step.render(template)).transpose() {
        Ok(input) => input,
        Err(error) => return step.fail(error.into_failure(), None),
    };
    if recalled::take_if_same(step, input.as_ref())? {
        return Ok(());
    }
    match node.reuse.as_ref().filter(|_| !recall::is_sandbox(step.decision.run())) {
        Some(reuse) => memo::ask(step, reuse, input),
        None => begin_as_it_is(step, input),
    }
}

fn begin_as_it_is(step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
    kind::with(&step.node().action.execution, |kind| kind.begin(step, input))
}
