//! What an event means for an asset. Total: history is not argued with.

use super::AssetEvent;
use super::state::{Asset, KeptVersion, Partition, VERSIONS_KEPT_MAX, WaitingConsumer};
use crate::PartitionKey;

impl Asset {
    fn partition(&mut self, key: &Option<PartitionKey>) -> &mut Partition {
        self.partitions.entry(key.clone()).or_default()
    }
}

/// Folds one event.
pub(crate) fn evolve(asset: &mut Asset, event: &AssetEvent) {
    asset.revision = asset.revision.next();
    match event {
        AssetEvent::AssetDeclared(declaration) => {
            asset.declarations.insert(declaration.workflow.clone(), declaration.clone());
        }
        AssetEvent::AssetMaterialized { version, record } => {
            let partition = asset.partition(&record.partition);
            if partition.kept.len() == VERSIONS_KEPT_MAX {
                partition.kept.pop_front();
            }
            partition.kept.push_back(KeptVersion {
                version: *version,
                run: record.run,
                node: record.node.clone(),
                produced_at: record.produced_at,
                payload: record.payload.clone(),
            });
            partition.last = Some((record.workflow.clone(), record.run_input.clone()));
        }
        AssetEvent::ConsumptionGranted { waiter, partition, .. } => {
            asset.partition(partition).waiting.retain(|w| w.waiter != *waiter);
        }
        AssetEvent::WaiterAdded { waiter, partition, require, on_miss } => {
            let waiting = WaitingConsumer { waiter: waiter.clone(), require: *require, on_miss: *on_miss };
            asset.partition(partition).waiting.push(waiting);
        }
        AssetEvent::MaterializationRequested { partition, run, .. } => {
            asset.partition(partition).producer = Some(*run);
        }
        AssetEvent::MaterializationEnded { partition, .. } | AssetEvent::MaterializationFailed { partition, .. } => {
            asset.partition(partition).producer = None;
        }
        AssetEvent::ConsumptionRefused { waiter, .. } | AssetEvent::WaiterForgotten { waiter } => {
            for partition in asset.partitions.values_mut() {
                partition.waiting.retain(|w| w.waiter != *waiter);
            }
        }
    }
}
