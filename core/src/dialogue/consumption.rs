//! Run to asset and back: a node needs a version, and is given one, or is refused, or waits until either. One that does not
//! wait any more says so. Asked again, a waiter that was served is served the same.

use serde::{Deserialize, Serialize};

use crate::definition::{OnMiss, Require};
use crate::{Json, NodeAddress, PartitionKey, RunId};

/// A consumer's need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolveConsumption {
    pub waiter: Waiter,
    pub partition: Option<PartitionKey>,
    pub require: Require,
    pub on_miss: Option<OnMiss>,
    /// The consumer's own mapping for a producer that has to be started.
    pub producer_input: Option<Json>,
}

/// A node of a run that needs an asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiter {
    pub run: RunId,
    pub node: NodeAddress,
}
