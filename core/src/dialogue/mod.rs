//! What aggregates say to each other, one conversation a file. An aggregate knows these words and no other aggregate: the
//! shard carries them, in order and at least once, so each conversation must bear being said again.
//!
//! | file | between | about |
//! |---|---|---|
//! | `declaration` | workflow → asset | how a version of the workflow produces and consumes it |
//! | `consumption` | run ⇄ asset | which version a node gets |
//! | `recording` | run ⇄ asset | a version that a node produced |
//! | `materialization` | asset ⇄ run | a version that is missing, and the run that makes it |
//! | `memo` | run ⇄ memo | a result that was made before, and who makes one |
//! | `description` | whoever starts a run → run | what it is called, and which part of it happens |
//! | `continuation` | whoever starts a run → run | another run that it goes on from, and what that came to |
//! | `call` | run ⇄ run, run ⇄ workflow | a workflow that a node calls, and how its run ended |

mod call;
mod consumption;
mod continuation;
mod declaration;
mod description;
mod materialization;
mod memo;
mod recording;

use serde::{Deserialize, Serialize};

pub use call::{Answer, CALL_DEPTH_MAX, Caller, ChildEnd};
pub use consumption::{ResolveConsumption, Waiter};
pub use continuation::{Continuation, ContinuedFrom, Inherited, Recalled, RecalledResult};
pub use declaration::{ConsumerDeclaration, Declaration, ProducerDeclaration};

pub use description::{Description, StartWishes};
pub(crate) use description::{invalid, text_of};
pub use materialization::{CalledBy, INPUT_BYTES_MAX, ProducerEnd, StartRun, Trigger};
pub use memo::{Asker, MemoAnswer, MemoCommand, RESULT_BYTES_MAX};
pub(crate) use memo::{bytes_of, is_kept};
pub use recording::{InputVersion, RecordAsset};

use crate::expr::ConsumedAsset;
use crate::failure::RunFailure;
use crate::{AssetId, Attempt, NodeAddress, PartitionKey, RunId, Version};

/// What an asset is told. Journals hold it among effects that are owed, so its form is a format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AssetCommand {
    /// A workflow version was applied: this is how it now produces and consumes the asset (perhaps no longer).
    DeclareAsset(Declaration),
    /// A node produced a version.
    RecordAsset(Box<RecordAsset>),
    /// A node needs a version.
    ResolveConsumption(ResolveConsumption),
    /// A run that was started to produce the asset has ended.
    EndProducer { run: RunId, end: ProducerEnd },
    /// A run that waited has ended without it.
    ForgetWaiter { waiter: Waiter },
}

/// What a run is told by an asset, or by another run.
#[derive(Debug, Clone, PartialEq)]
pub enum ToRun {
    /// Start: something is missing that it produces, or a node calls it.
    Start(StartRun),
    /// The asset chose a version for a waiting node, or none.
    Resolve { node: NodeAddress, asset: AssetId, chosen: Option<ConsumedAsset> },
    /// It cannot give a waiting node what it needs.
    Refuse { node: NodeAddress, asset: AssetId, failure: RunFailure },
    /// It recorded what a node produced.
    Acknowledge { node: NodeAddress, asset: AssetId, partition: Option<PartitionKey>, version: Version },
    /// What a memo says to a node that asked it.
    Memo { node: NodeAddress, digest: String, answer: MemoAnswer },
    /// How a call goes on.
    Answer { node: NodeAddress, attempt: Attempt, answer: Answer },
    /// It inherits a signal of the run that it goes on from.
    Inherit(Box<Inherited>),
    /// The run that goes on from it has begun.
    Succeeded { successor: RunId },
    /// The attempt that called it is over.
    Withdraw {
        reason: String,
        /// Nothing of what has succeeded in it is undone.
        keeps: bool,
    },
}
