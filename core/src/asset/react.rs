//! Who hears about what an asset learned.

use serde::{Deserialize, Serialize};

use super::state::Asset;
use super::{AssetEvent, Waiter};
use crate::dialogue::{StartRun, ToRun, Trigger};
use crate::expr::ConsumedAsset;
use crate::{AssetId, Json, PartitionKey, RunId, Timestamp, Version, WorkspaceId};

/// What follows from an event outside the asset.
#[derive(Debug, Clone, PartialEq)]
pub enum AssetEffect {
    /// One run hears of it: each event tells one at most.
    ToRun { run: RunId, said: ToRun },
    /// Publish the change on the feed.
    Publish(AssetNotice),
}

/// `asset.produced`: one CloudEvent on the asset feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetNotice {
    pub workspace: WorkspaceId,
    pub asset: AssetId,
    pub partition: Option<PartitionKey>,
    pub version: Version,
    pub time: Timestamp,
    /// The CloudEvent's `data`.
    pub data: Json,
}

/// Says what follows from one event. `asset` is the state after the whole decision.
pub fn react(asset: &Asset, event: &AssetEvent, now: Timestamp, follows: &mut impl FnMut(AssetEffect)) {
    match event {
        AssetEvent::AssetMaterialized { version, record } => {
            let data = serde_json::json!({
                "assetId": asset.key.asset,
                "partitionKey": record.partition,
                "version": version,
                "runId": record.run,
                "workflow": record.workflow,
                "stepId": record.node,
                "producedAt": record.produced_at.to_string(),
                "payload": record.payload,
                "inputs": record.inputs,
            });
            follows(AssetEffect::Publish(AssetNotice {
                workspace: asset.key.workspace.clone(),
                asset: asset.key.asset.clone(),
                partition: record.partition.clone(),
                version: *version,
                time: now,
                data: Json::of(&data),
            }));
            let said = ToRun::Acknowledge {
                node: record.node.clone(),
                asset: asset.key.asset.clone(),
                partition: record.partition.clone(),
                version: *version,
            };
            follows(AssetEffect::ToRun { run: record.run, said });
        }
        AssetEvent::ConsumptionGranted { waiter, partition, version } => {
            let found = version.and_then(|v| asset.partitions.get(partition)?.find(v));
            let chosen = found.map(|kept| ConsumedAsset {
                asset: asset.key.asset.clone(),
                partition: partition.clone(),
                version: kept.version,
                payload: kept.payload.clone(),
            });
            let Waiter { run, node } = waiter.clone();
            follows(AssetEffect::ToRun { run, said: ToRun::Resolve { node, asset: asset.key.asset.clone(), chosen } });
        }
        AssetEvent::MaterializationRequested { partition, run, workflow, definition, input, requested_by } => {
            let start = StartRun {
                workspace: asset.key.workspace.clone(),
                workflow: workflow.clone(),
                version: *definition,
                input: input.clone(),
                trigger: Trigger::Materialize {
                    asset: asset.key.asset.clone(),
                    partition: partition.clone(),
                    requested_by: requested_by.run,
                },
                keyed: false,
                wishes: None,
            };
            follows(AssetEffect::ToRun { run: *run, said: ToRun::Start(start) });
        }
        AssetEvent::ConsumptionRefused { waiter, failure } => {
            let Waiter { run, node } = waiter.clone();
            let (asset, failure) = (asset.key.asset.clone(), failure.clone());
            follows(AssetEffect::ToRun { run, said: ToRun::Refuse { node, asset, failure } });
        }
        AssetEvent::AssetDeclared(_)
        | AssetEvent::WaiterAdded { .. }
        | AssetEvent::MaterializationEnded { .. }
        | AssetEvent::MaterializationFailed { .. }
        | AssetEvent::WaiterForgotten { .. } => {}
    }
}
