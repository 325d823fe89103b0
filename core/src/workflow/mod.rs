//! The Workflow: the versions of one slug in one workspace, which of them is current, which one starts, and whether
//! any does.

mod command;
mod decide;
mod event;
mod react;

pub use command::{ApplyWorkflow, PauseStarts, PinVersion, WorkflowCommand, WorkflowRejection};
pub(crate) use decide::evolve;
pub use decide::{Workflow, decide};
pub use event::WorkflowEvent;
pub use react::{News, declarations, news};
