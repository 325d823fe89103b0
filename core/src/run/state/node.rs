//! Where one node stands.

use serde::{Deserialize, Serialize};

use super::Around;
use crate::expr::ConsumedAsset;
use crate::failure::RunFailure;
use crate::run::attempt::CurrentAttempt;
use crate::run::{AssetNeed, NodeStatus};
use crate::{Json, NodeId, Timestamp};

/// Where one node stands. Checkpoints hold it as it is: a change is a new format of their section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::run) struct NodeState {
    pub phase: Phase,
    /// Attempts scheduled so far.
    pub attempts: u32,
    /// Of those, how many were given back before they began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned: u32,
    /// When the first was, where the retry policy bounds the time of all. Since format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_scheduled_at: Option<Timestamp>,
    /// Incoming transitions that were taken.
    pub taken: u32,
    /// Incoming transitions that were taken or are dead.
    pub decided: u32,
    /// Of those, how many leave a node that failed. Follows from where the others stand.
    #[serde(skip)]
    pub failed: u32,
    /// Of one that has succeeded, or that has failed and is tolerated: then it is `null`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<ConsumedAsset>,
    /// The node whose failure it stands behind. Since format 3 of runs, as the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught: Option<NodeId>,
    /// What it asked a memo for, which is to hear how it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<str>>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<RunFailure>>,
}

/// The phases of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(in crate::run) enum Phase {
    Pending,
    AwaitingAssets {
        missing: Vec<AssetNeed>,
    },
    AwaitingMemo(Box<AwaitedMemo>),
    Current(Box<CurrentAttempt>),
    Retrying {
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
        input: Option<Json>,
        due_at: Timestamp,
    },
    /// It has branches.
    Around(Box<Around>),
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

/// What a node waits for that has asked a memo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::run) struct AwaitedMemo {
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
    pub input: Option<Json>,
    /// It has its answer: it is to do it itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cleared: bool,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl NodeState {
    /// Where a node stands that nothing has happened to yet.
    pub fn untouched() -> Self {
        Self {
            phase: Phase::Pending,
            attempts: 0,
            returned: 0,
            first_scheduled_at: None,
            taken: 0,
            decided: 0,
            failed: 0,
            output: None,
            consumed: Vec::new(),
            caught: None,
            asked: None,
            failure: None,
        }
    }

    /// Returns whether it has failed, and the run goes on as if it had not.
    pub fn is_tolerated(&self) -> bool {
        self.phase == Phase::Failed && self.output.is_some()
    }
}

impl Phase {
    pub fn is_active(&self) -> bool {
        match self {
            Self::AwaitingAssets { .. }
            | Self::AwaitingMemo(_)
            | Self::Current(_)
            | Self::Retrying { .. }
            | Self::Around(_) => true,
            Self::Pending | Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled => false,
        }
    }

    /// Returns the attempt under way.
    pub fn current(&self) -> Option<&CurrentAttempt> {
        match self {
            Self::Current(current) => Some(current),
            Self::Pending
            | Self::AwaitingAssets { .. }
            | Self::AwaitingMemo(_)
            | Self::Retrying { .. }
            | Self::Around(_)
            | Self::Succeeded
            | Self::Failed
            | Self::Skipped
            | Self::Cancelled => None,
        }
    }

    /// Returns what it is at that has branches.
    pub fn around(&self) -> Option<&Around> {
        if let Self::Around(around) = self { Some(around) } else { None }
    }

    /// Returns the same, to change it.
    pub fn around_mut(&mut self) -> Option<&mut Around> {
        if let Self::Around(around) = self { Some(around) } else { None }
    }

    /// Returns where that is, in the words users see.
    pub fn status(&self) -> NodeStatus {
        match self {
            Self::Pending => NodeStatus::Pending,
            Self::AwaitingAssets { .. } | Self::AwaitingMemo(_) | Self::Retrying { .. } => NodeStatus::Waiting,
            Self::Current(current) if current.waits_outside() => NodeStatus::Waiting,
            Self::Current(current) if current.is_waiting() => NodeStatus::Queued,
            Self::Current(_) | Self::Around(_) => NodeStatus::Running,
            Self::Succeeded => NodeStatus::Succeeded,
            Self::Failed => NodeStatus::Failed,
            Self::Skipped => NodeStatus::Skipped,
            Self::Cancelled => NodeStatus::Cancelled,
        }
    }
}
