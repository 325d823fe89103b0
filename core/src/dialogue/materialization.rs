//! Asset to run and back: a version is missing, so a run is started that produces it; it says how it ended. A run that cannot
//! even be started has failed, which its shard says in its place.

use serde::{Deserialize, Serialize};

use super::StartWishes;
use crate::failure::RunFailure;
use crate::{AssetId, Attempt, DefinitionVersion, Json, NodeAddress, PartitionKey, RunId, Slug, WorkspaceId};

/// How many bytes the input of a run may have as JSON.
pub const INPUT_BYTES_MAX: usize = 1 << 20;

/// What a new run needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartRun {
    pub workspace: WorkspaceId,
    pub workflow: Slug,
    pub version: DefinitionVersion,
    /// An object; the definition's defaults fill the keys it does not name.
    pub input: Json,
    pub trigger: Trigger,
    /// Whether the run id was derived from the caller's idempotency key. Until a day after its end the run answers
    /// for every start with the same [`RunId::cause`]; the next one after that starts another run.
    #[serde(default)]
    pub keyed: bool,
    /// What it says beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<Box<StartWishes>>,
}

/// Why a run exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Trigger {
    /// Somebody asked for it, over the API or the command line.
    Manual {},
    /// A consumer needed an asset that was not there.
    Materialize {
        asset: AssetId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partition: Option<PartitionKey>,
        /// The run that asked first.
        requested_by: RunId,
    },
    /// A node of another run called it.
    Call(Box<CalledBy>),
}

/// Which node of another run called a run, and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CalledBy {
    pub parent: RunId,
    pub node: NodeAddress,
    pub attempt: Attempt,
    /// How many calls it stands in, this one among them: 1 to [`super::CALL_DEPTH_MAX`].
    pub depth: u32,
    /// The node goes on as soon as it has begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// Of which the caller wants to know in which version they are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<AssetId>,
}

impl Trigger {
    /// Returns the assets that whoever called the run waits for.
    pub fn promised(&self) -> &[AssetId] {
        match self {
            Self::Call(by) => &by.assets,
            Self::Manual {} | Self::Materialize { .. } => &[],
        }
    }
}

/// How a run that was started to produce an asset ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProducerEnd {
    /// It succeeded; everything it produced was recorded before.
    Succeeded,
    /// It failed, was cancelled, or could not even be started.
    Failed { failure: RunFailure },
}
