//! What an asset learned.

use serde::{Deserialize, Serialize};

use crate::definition::{OnMiss, Require};
use crate::dialogue::{Declaration, RecordAsset, Waiter};
use crate::{DefinitionVersion, Json, PartitionKey, RunFailure, RunId, Slug, Version};

/// A fact about an asset. Its time is the commit's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AssetEvent {
    /// A workflow version says how it produces and consumes the asset.
    AssetDeclared(Declaration),
    /// A version exists.
    AssetMaterialized { version: Version, record: Box<RecordAsset> },
    /// A consumer was given a version that was there.
    ConsumptionGranted { waiter: Waiter, partition: Option<PartitionKey>, version: Option<Version> },
    /// A consumer waits for a version to come.
    WaiterAdded { waiter: Waiter, partition: Option<PartitionKey>, require: Require, on_miss: OnMiss },
    /// A producer is started, once for all waiters of the partition.
    MaterializationRequested {
        partition: Option<PartitionKey>,
        run: RunId,
        workflow: Slug,
        definition: DefinitionVersion,
        input: Json,
        requested_by: Waiter,
    },
    /// The producer has ended, and made a version before.
    MaterializationEnded { partition: Option<PartitionKey>, run: RunId },
    /// The producer failed, or succeeded without a version.
    MaterializationFailed { partition: Option<PartitionKey>, run: RunId, failure: RunFailure },
    /// A consumer cannot have what it needs.
    ConsumptionRefused { waiter: Waiter, failure: RunFailure },
    /// A waiter is gone.
    WaiterForgotten { waiter: Waiter },
}
