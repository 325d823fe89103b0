//! What the shard of a run has of it.

use std::time::Duration;

use headwater_core::run::{RunDigest, RunRejection, RunStatus};
use headwater_core::shard::Rejection;
use headwater_core::{Revision, RunId, WorkspaceId};
use headwater_workers::shard_client::ClientError;
use serde::Serialize;

use crate::api::Api;

/// How long the shard may take to say what it has.
const WAIT: Duration = Duration::from_secs(5);

/// What the shard says.
#[derive(Debug)]
pub enum Told {
    /// It is active, and this is what it has.
    Active(RunDigest),
    Ended(RunStatus),
    /// It has long ended, or there never was one.
    Unknown,
    /// It does not say; why.
    Silent(String),
}

/// Whether that was held against what the commits give.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    pub compared: bool,
    /// After which event; absent of a run that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Compared {
    pub fn at(revision: Option<Revision>) -> Self {
        Self { compared: true, revision, reason: None }
    }

    pub fn not(reason: impl Into<String>) -> Self {
        Self { compared: false, revision: None, reason: Some(reason.into()) }
    }
}

/// Asks the shard of a run.
pub async fn ask(api: &Api, workspace: &WorkspaceId, run: RunId) -> Told {
    if !api.shards.has(run.shard()) {
        return Told::Silent("its shard is not in the map".to_owned());
    }
    let _turn = api.turns.live().await;
    match api.shards.client.digest_run(workspace.clone(), run, WAIT).await {
        Ok(digest) => Told::Active(digest),
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunClosed { status, .. }))) => Told::Ended(status),
        Err(ClientError::Refused(Rejection::Run(RunRejection::RunNotFound))) => Told::Unknown,
        Err(other) => Told::Silent(other.to_string()),
    }
}

impl Told {
    /// Returns whether a row that goes so far shows as much.
    pub fn is_shown_by(&self, revision: u64, has_ended: bool) -> bool {
        match self {
            Self::Active(digest) => digest.revision.get() <= revision,
            Self::Ended(_) => has_ended,
            Self::Unknown | Self::Silent(_) => true,
        }
    }
}
