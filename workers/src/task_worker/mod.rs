//! Takes tasks, runs their handlers, and reports: the loop behind every worker.
//!
//! One task owns everything. Reports to one shard that wait together go in one frame, and one frame is under way for
//! each shard while the next fills: at full load every frame is full, and a lone report never waits. Handlers are
//! polled once in place; those that are not ready then get a task of their own. Every frame says what is lent to the shard, and
//! the answer to a report brings the next task, which is run right away.
//!
//! # Invariants
//! * `WRK-1` A report is offered until it is answered or its patience is over, always under the same command id.
//! * `WRK-2` A task that waited here, or came while this process stood still, is begun only after its shard has said that it is
//!   wanted.
//! * `WRK-3` An attempt is begun at most once, however often it is handed over.

mod answers;
mod attempts;
mod drive;
mod frame;
mod handed;
mod lending;
mod outbox;
mod report;

use std::time::Duration;

use headwater_core::{SessionId, WorkerId, WorkspaceId};
use headwater_streams::clock::now;

pub(crate) use drive::TaskWorker;

/// How a worker works.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) worker: WorkerId,
    /// This life of the process.
    pub(crate) session: SessionId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) slots: usize,
    pub(crate) heartbeat: Duration,
    pub(crate) cancel_grace: Duration,
    pub(crate) stop_grace: Duration,
    pub(crate) report_patience: Duration,
}
