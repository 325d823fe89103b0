//! Who hears about what an asset learned.

use super::state::Asset;
use super::{AssetEvent, Waiter};
use crate::expr::ConsumedAsset;
use crate::run::{RunCommand, StartRun, Trigger};
use crate::shard::{AggregateId, AssetNotice, Command, Effect, Submission};
use crate::{Json, Revision, RunId, Timestamp};

/// Appends the effects of one event. `asset` is the state after the whole decision, `revision` the event's own.
pub fn react(asset: &Asset, event: &AssetEvent, revision: Revision, now: Timestamp, effects: &mut Vec<Effect>) {
    let to_run = |run: RunId, command: RunCommand| {
        let from = AggregateId::Asset(asset.key.clone());
        Effect::Submit(Submission::following(&from, revision, 0, Command::Run { run, command }))
    };
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
            effects.push(Effect::PublishAsset(AssetNotice {
                workspace: asset.key.workspace.clone(),
                asset: asset.key.asset.clone(),
                partition: record.partition.clone(),
                version: *version,
                time: now,
                data: Json::of(&data),
            }));
            let command = RunCommand::AcknowledgeAsset {
                node: record.node.clone(),
                asset: asset.key.asset.clone(),
                partition: record.partition.clone(),
                version: *version,
            };
            effects.push(to_run(record.run, command));
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
            effects.push(to_run(run, RunCommand::ResolveAsset { node, asset: asset.key.asset.clone(), chosen }));
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
            };
            effects.push(to_run(*run, RunCommand::StartRun(start)));
        }
        AssetEvent::ConsumptionRefused { waiter, failure } => {
            let Waiter { run, node } = waiter.clone();
            let (asset, failure) = (asset.key.asset.clone(), failure.clone());
            effects.push(to_run(run, RunCommand::RefuseAsset { node, asset, failure }));
        }
        AssetEvent::AssetDeclared(_)
        | AssetEvent::WaiterAdded { .. }
        | AssetEvent::MaterializationEnded { .. }
        | AssetEvent::MaterializationFailed { .. }
        | AssetEvent::WaiterForgotten { .. } => {}
    }
}
