//! What an asset's events mean for `assets`, `asset_versions` and `asset_inputs`.

use headwater_core::asset::{AssetEvent, RecordAsset};
use headwater_core::shard::AssetKey;
use headwater_core::{Revision, Version};

use super::{Changes, CommitHead};
use crate::tables::assets::key_of;
use crate::tables::{InputRow, Known, LatestVersion, VersionRow};

impl Changes {
    pub(super) fn fold_asset(
        &mut self,
        head: CommitHead<'_>,
        key: &AssetKey,
        first: Revision,
        events: Vec<AssetEvent>,
    ) {
        for (index, event) in (0..).zip(events) {
            let revision = first.after(index);
            match event {
                // That the asset exists; who makes and uses it is read off the workflow's document.
                AssetEvent::AssetDeclared(_) => {
                    self.assets.of(key, known(head));
                }
                AssetEvent::AssetMaterialized { version, record } => {
                    self.fold_version(head, key, revision, version, *record);
                }
                // How consumers get their versions is seen on their runs.
                AssetEvent::ConsumptionGranted { .. }
                | AssetEvent::WaiterAdded { .. }
                | AssetEvent::MaterializationRequested { .. }
                | AssetEvent::MaterializationEnded { .. }
                | AssetEvent::MaterializationFailed { .. }
                | AssetEvent::ConsumptionRefused { .. }
                | AssetEvent::WaiterForgotten { .. } => {}
            }
        }
    }

    fn fold_version(
        &mut self,
        head: CommitHead<'_>,
        key: &AssetKey,
        revision: Revision,
        version: Version,
        record: RecordAsset,
    ) {
        let partition = record.partition.map(|key| key.to_string()).unwrap_or_default();
        let asset = self.assets.of(key, known(head));
        asset.latest = Some(LatestVersion { revision, partition: partition.clone(), version });
        let asset_key = asset.key.clone();
        for (ordinal, input) in (0..).zip(record.inputs) {
            self.inputs.push(InputRow {
                workspace: key.workspace.clone(),
                key: asset_key.clone(),
                partition: partition.clone(),
                version,
                ordinal,
                input_key: key_of(&input.asset),
                input_asset: input.asset,
                input_partition: input.partition.map(|key| key.to_string()).unwrap_or_default(),
                input_version: input.version,
            });
        }
        self.versions.push(VersionRow {
            workspace: key.workspace.clone(),
            key: asset_key,
            partition,
            version,
            revision,
            shard: head.shard,
            sequence: head.sequence,
            recorded_at: head.time,
            produced_at: record.produced_at,
            run_started_at: record.run_started_at,
            run: record.run,
            node: record.node,
            attempt: record.attempt,
            workflow: record.workflow,
            definition: record.definition,
            payload: record.payload,
            schema: record.schema,
            freshness: record.freshness,
        });
    }
}

/// Returns by which commit something is said.
pub(super) fn known(head: CommitHead<'_>) -> Known {
    Known { shard: head.shard, sequence: head.sequence, at: head.time }
}
