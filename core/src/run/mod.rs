//! The Run: one execution of one definition version.
//!
//! Where to look: what may happen is decided in [`decide`](decide()), what it means is folded in
//! `evolve`, what follows from it outside is said in [`react`](react()); when a node becomes ready stands in `ready`.

mod command;
mod event;
mod state;

pub use command::{Report, ReportOutcome, RunCommand, RunRejection, StartRun};
pub use event::{ProducedAsset, RunEvent, RunFailure, Trigger};
pub use state::{NodeStatus, Run, RunStatus};
