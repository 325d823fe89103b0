//! What there is to say of a kind of node.

use super::callback::Calls as CallsBack;
use super::{Asks, Calls, Continues, Fail, Items, Job, Listens, Pure, Sleep, Step, Together, Undoes};
use crate::Json;
use crate::definition::Execution;
use crate::run::budget::Later;
use crate::run::state::Due;

/// A kind of node, at the three moments at which it has a say. That its turn has come, which assets it gets and what its
/// input is, was found out before; how it ends is the same for all.
pub(super) trait Kind {
    /// It begins with this input; without one of its own, the run's.
    ///
    /// # Errors
    /// [`Later`]; nothing has happened, here and below.
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later>;

    /// Something of it is due. Whatever that is, it is not due any more when this has happened.
    ///
    /// # Errors
    /// [`Later`].
    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later>;

    /// The run ends before it does.
    fn withdraw(&self, step: &mut Step<'_, '_>);
}

/// Lets the kind of a node have its say.
pub(super) fn with<T>(execution: &Execution, say: impl FnOnce(&dyn Kind) -> T) -> T {
    match execution {
        Execution::Fleet { .. } | Execution::Engine(_) => say(&Job),
        Execution::Inside { output } => say(&Pure { output: output.as_ref() }),
        Execution::Fails { code, message } => say(&Fail { code, message }),
        Execution::Each(each) => say(&Items { each }),
        Execution::Group(_) => say(&Together),
        Execution::Calls(call) => say(&Calls { call }),
        Execution::Callback(callback) => say(&CallsBack { callback }),
        Execution::Continues(continues) => say(&Continues { continues }),
        Execution::Waits(pause) => say(&Sleep { pause }),
        Execution::Listens(wait) => say(&Listens { wait }),
        Execution::Undoes => say(&Undoes),
        Execution::Asks(ask) => say(&Asks { ask }),
    }
}
