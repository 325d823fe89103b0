//! What comes to a desk.

use std::time::Duration;

use super::Needed;
use crate::protocol::{Hello, Malformed, ReadFrame, ShardRequest, Task};
use crate::shard::{Awaited, Compiled, RefoldOrder, Refolded, Submission, Way};
use crate::{Json, Sequence, Timestamp, WorkspaceId};

/// When something happens, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// What facts are dated with and timers go by.
    pub wall: Timestamp,
    /// What silence is measured with: never goes backwards, counts from any moment.
    pub steady: Duration,
}

/// Everything that can come to a desk. Each is taken in whole, and none waits.
#[derive(Debug)]
pub enum Input<R, T> {
    /// A worker's frame, and the workspace whose subject it came on.
    Work { workspace: WorkspaceId, frame: ReadFrame, reply: R },
    /// A frame that cannot be read.
    Unreadable { malformed: Malformed, reply: R },
    /// A frame of one of the engine's own processes.
    Commands { requests: Vec<ShardRequest>, reply: R },
    /// A worker introduces itself.
    Hello { workspace: WorkspaceId, hello: Hello },
    /// A command that an effect of this shard carries to this shard, or what follows where another has refused one. The
    /// ticket comes back in [`super::Output::Done`] when its outcome is durable.
    Follows { submission: Submission, ticket: T },
    /// What [`super::Output::Find`] asked for, or that there is none.
    Found { needed: Needed, document: Option<Json> },
    /// What came of a [`super::Output::Compile`], for each of its documents.
    Compiled { awaited: Awaited, compiled: Vec<Compiled> },
    /// What came of a [`super::Output::Refold`], or why nothing did.
    Refolded { order: RefoldOrder, outcome: Result<Refolded, String> },
    /// The tasks of a [`super::Output::Hand`] are too large for one message, which would have had so many bytes.
    TooLarge { tasks: Vec<Task>, bytes: usize },
    /// The bundle in flight is durable.
    Appended(Sequence),
    /// All effects of a bundle on one way have been delivered.
    Delivered { way: Way, sequence: Sequence },
    /// Something of a run is due.
    Due,
    /// The next of the runs that go on by themselves has its turn: see [`super::Desk::goes_on`].
    Continue,
    /// A moment is over: come at least four times in a lease's time, and twice a second.
    Sweep,
}
