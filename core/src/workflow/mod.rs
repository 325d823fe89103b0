//! The Workflow: the versions of one slug in one workspace.

mod command;
mod event;

pub use command::{ApplyWorkflow, WorkflowCommand, WorkflowRejection};
pub use event::WorkflowEvent;
