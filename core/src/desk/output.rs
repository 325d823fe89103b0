//! What leaves a desk.

use super::Needed;
use crate::protocol::{Call, Handed};
use crate::shard::{Append, Awaited, Effect, RefoldOrder, Rejection};
use crate::{Attempt, Json, NodeAddress, RunId, Sequence, SessionId, WorkerId, WorkspaceId};

/// Everything that can leave a desk, in the order in which it has to leave.
#[derive(Debug)]
pub enum Output<R, T> {
    /// Append this bundle, and say when it is durable. One at a time.
    Append(Append),
    /// Send this answer.
    Answer { reply: R, bytes: Vec<u8> },
    /// Hand this to a worker. It need not arrive: what nobody speaks of is said again. What is too large for one message
    /// comes back as [`super::Input::TooLarge`].
    Hand { workspace: WorkspaceId, worker: WorkerId, session: SessionId, handed: Handed },
    /// Call for workers of a workspace. It need not arrive.
    Call { workspace: WorkspaceId, call: Call },
    /// Deliver these effects, each until it is acknowledged, and say for each way when all that leave on it are.
    Deliver { sequence: Sequence, effects: Vec<Effect> },
    /// What this ticket stands for is durable.
    Done(T),
    /// Look up this definition version.
    Find(Needed),
    /// Compile these documents ([`crate::shard::Compiled::of`]), where nothing else waits for it.
    Compile { awaited: Awaited, documents: Vec<Json> },
    /// Give a [`crate::shard::Refolding`] of this the journal up to where it says, in order, and say what came of it.
    Refold(RefoldOrder),
    /// A worker fell silent about an attempt: it is lost. For the log.
    FellSilent { run: RunId, node: NodeAddress, attempt: Attempt, worker: WorkerId },
    /// A definition version that was found cannot be adopted. For the log.
    Unadoptable(Rejection),
}
