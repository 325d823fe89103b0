//! What is asked of an action: how it is carried out, and what it can come to.

use super::{
    Action, COMPENSATION, Call, Callback, ContinueAs, EACH, Execution, GROUP, HumanInput, Pause, WaitSignal, noop,
    queue_of_engine, queue_of_job,
};
use crate::QueueName;
use crate::definition::{ForEach, Group};
use crate::expr::Template;

impl Action {
    /// Returns its kind as documents spell it.
    pub fn kind(&self) -> &'static str {
        self.kind.word
    }

    /// The action of a node with `forEach`.
    pub(in crate::definition) fn each(each: ForEach) -> Self {
        Self { kind: &EACH, execution: Execution::Each(Box::new(each)) }
    }

    /// The action of a node with `group`.
    pub(in crate::definition) fn group(group: Group) -> Self {
        Self { kind: &GROUP, execution: Execution::Group(Box::new(group)) }
    }

    /// The action of the node whose branches undo.
    pub(in crate::definition) fn undoes() -> Self {
        Self { kind: &COMPENSATION, execution: Execution::Undoes }
    }

    /// Returns whether its branches undo.
    pub fn is_compensation(&self) -> bool {
        matches!(self.execution, Execution::Undoes)
    }

    /// The action of a node whose own is broken, so that the rest of it can be read.
    pub(in crate::definition) fn stand_in() -> Self {
        Self { kind: &noop::KIND, execution: Execution::Inside { output: None } }
    }

    /// The queue of a node that names none.
    pub(in crate::definition) fn default_queue(&self) -> QueueName {
        match &self.execution {
            Execution::Fleet { job } => queue_of_job(job),
            Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => queue_of_engine(),
        }
    }

    /// Says whether a worker carries it out.
    pub(in crate::definition) fn has_worker(&self) -> bool {
        match &self.execution {
            Execution::Fleet { .. } | Execution::Engine(_) => true,
            Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => false,
        }
    }

    /// Returns whether it is a group.
    pub fn is_group(&self) -> bool {
        matches!(self.execution, Execution::Group(_))
    }

    /// Returns what it calls, where it does.
    pub fn call(&self) -> Option<&Call> {
        match &self.execution {
            Execution::Calls(call) => Some(call),
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => None,
        }
    }

    /// Returns what ends it from outside, where that does.
    pub fn callback(&self) -> Option<&Callback> {
        if let Execution::Callback(callback) = &self.execution { Some(callback) } else { None }
    }

    /// Returns as what the run goes on, where it does.
    pub fn continues(&self) -> Option<&ContinueAs> {
        if let Execution::Continues(continues) = &self.execution { Some(continues) } else { None }
    }

    /// Returns what it waits for, where it waits for signals.
    pub fn listens(&self) -> Option<&WaitSignal> {
        match &self.execution {
            Execution::Listens(wait) => Some(wait),
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Asks(_)
            | Execution::Undoes => None,
        }
    }

    /// Returns what people are asked, where they are.
    pub fn asks(&self) -> Option<&HumanInput> {
        match &self.execution {
            Execution::Asks(ask) => Some(ask),
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Undoes => None,
        }
    }

    /// Returns what the output of its body is made of, where it has one and says so.
    pub fn body_output(&self) -> Option<&Template> {
        match &self.execution {
            Execution::Each(each) => each.output.as_ref(),
            Execution::Group(group) => group.output.as_ref(),
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => None,
        }
    }

    /// Takes what the output of its body is made of.
    pub(in crate::definition) fn take_output(&mut self, output: Option<Template>) {
        match &mut self.execution {
            Execution::Each(each) => each.output = output,
            Execution::Group(group) => group.output = output,
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => {}
        }
    }

    /// Returns what it says of items, where it is a `forEach`.
    pub fn for_each(&self) -> Option<&ForEach> {
        match &self.execution {
            Execution::Each(each) => Some(each),
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Fails { .. }
            | Execution::Group(_)
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => None,
        }
    }

    /// Says whether it is carried out in a way that releases before 0.2 do not know.
    pub(in crate::definition) fn is_later_word(&self) -> bool {
        match &self.execution {
            Execution::Fails { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(Pause::Until(_))
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => true,
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Waits(Pause::For(_)) => false,
        }
    }

    /// Says whether it can end well.
    pub fn can_succeed(&self) -> bool {
        match &self.execution {
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Continues(_)
            | Execution::Waits(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => true,
            Execution::Fails { .. } => false,
        }
    }

    /// Says whether it has an output that can be the payload of an asset.
    pub(in crate::definition) fn has_output(&self) -> bool {
        match &self.execution {
            Execution::Fleet { .. }
            | Execution::Engine(_)
            | Execution::Inside { .. }
            | Execution::Each(_)
            | Execution::Group(_)
            // What it produces its child has recorded.
            | Execution::Calls(_)
            | Execution::Callback(_)
            | Execution::Listens(_)
            | Execution::Asks(_)
            | Execution::Undoes => true,
            Execution::Fails { .. } | Execution::Continues(_) | Execution::Waits(_) => false,
        }
    }
}
