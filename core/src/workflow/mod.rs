//! The Workflow: the versions of one slug in one workspace, which of them is current, and which one starts.

mod command;
mod decide;
mod event;
mod react;

pub use command::{ApplyWorkflow, PinVersion, WorkflowCommand, WorkflowRejection};
pub(crate) use decide::evolve;
pub use decide::{Workflow, decide};
pub use event::WorkflowEvent;
pub use react::{News, declarations, news};
