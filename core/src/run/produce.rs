//! Whether a handler's result keeps the node's contract: declared assets, all of them, in their schemas.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RunFailure;
use crate::definition::{Node, Produces, Schema, SchemaRefusal};
use crate::expr::Work;
use crate::{AssetId, Json, PartitionKey, Timestamp};

/// An asset as a handler returned it, already checked against its schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducedAsset {
    pub asset_id: AssetId,
    pub payload: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produced_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<PartitionKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Json>,
}

/// Checks what a node returned.
///
/// # Errors
/// `asset_undeclared`, `asset_missing_output`, `asset_duplicate` or `asset_schema`; then nothing is published.
pub(super) fn check(node: &Node, assets: Vec<ProducedAsset>, work: &Work) -> Result<Vec<ProducedAsset>, RunFailure> {
    if node.produces.is_empty() && assets.is_empty() {
        return Ok(assets);
    }
    let mut returned_before = BTreeSet::new();
    for asset in &assets {
        let declared = declaration(node, asset).ok_or_else(|| {
            let message =
                format!("the node returned the asset {}, which it does not declare to produce", asset.asset_id);
            RunFailure::new("asset_undeclared", message)
        })?;
        if !returned_before.insert((&asset.asset_id, &asset.partition_key)) {
            let message = format!("the node returned the asset {} twice", asset.asset_id);
            return Err(RunFailure::new("asset_duplicate", message));
        }
        check_schema(declared, asset, work)?;
    }
    let returned = |declared: &Produces| assets.iter().any(|asset| asset.asset_id == declared.asset);
    let missing = node.produces.iter().find(|declared| !declared.optional && !returned(declared));
    if let Some(missing) = missing {
        let message = format!("the node succeeded without the asset {}, which it declares to produce", missing.asset);
        return Err(RunFailure::new("asset_missing_output", message));
    }
    Ok(assets)
}

/// How many bytes a result may have in all.
const RESULT_BYTES_MAX: usize = 1 << 20;

/// Checks how much a worker sent. That the parts further down can keep it, [`super::report`] saw to.
///
/// # Errors
/// `output_too_large`.
pub(super) fn check_size(output: &Json, assets: &[ProducedAsset]) -> Result<(), RunFailure> {
    let of = |json: &Option<Json>| json.as_ref().map_or(0, Json::len_bytes);
    let bytes: usize = assets.iter().map(|a| a.payload.len_bytes() + of(&a.schema) + of(&a.freshness)).sum();
    if output.len_bytes() + bytes > RESULT_BYTES_MAX {
        let message = format!("the result has more than {RESULT_BYTES_MAX} bytes");
        return Err(RunFailure::new("output_too_large", message));
    }
    Ok(())
}

/// How far a worker's clock may be ahead of the shard's.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Holds that nothing was produced after it is recorded: a clock that is a little ahead is set right.
///
/// # Errors
/// `result_invalid` for a time that lies further in the future.
pub(super) fn check_times(mut assets: Vec<ProducedAsset>, now: Timestamp) -> Result<Vec<ProducedAsset>, RunFailure> {
    for asset in &mut assets {
        let Some(produced_at) = &mut asset.produced_at else { continue };
        if *produced_at > now.after(SKEW) {
            let message =
                format!("the asset {} is produced at {produced_at}, in the future: it is {now}", asset.asset_id);
            return Err(RunFailure::new("result_invalid", message));
        }
        *produced_at = (*produced_at).min(now);
    }
    Ok(assets)
}

/// A pure node that declares exactly one asset produces it: its output is the payload.
pub(super) fn of_pure(node: &Node, output: &Json) -> Vec<ProducedAsset> {
    match node.produces.as_slice() {
        [only] => vec![ProducedAsset {
            asset_id: only.asset.clone(),
            payload: output.clone(),
            produced_at: None,
            partition_key: None,
            schema: None,
            freshness: None,
        }],
        [] | [_, _, ..] => Vec::new(),
    }
}

fn declaration<'n>(node: &'n Node, asset: &ProducedAsset) -> Option<&'n Produces> {
    node.produces.iter().find(|declared| declared.asset == asset.asset_id)
}

fn check_schema(declared: &Produces, asset: &ProducedAsset, work: &Work) -> Result<(), RunFailure> {
    let prefix = || format!("the payload of {} breaks its schema: ", asset.asset_id);
    let refused = |refusal: SchemaRefusal| refusal.into_failure("asset_schema", &prefix());
    if let Some(schema) = &declared.schema {
        schema.check_within(&asset.payload, work).map_err(refused)?;
    }
    if let Some(own) = &asset.schema {
        work.take(Schema::COMPILE_WORK.saturating_mul(own.len_bytes() as u64))?;
        let own = Schema::compile(&own.to_value()).map_err(|error| {
            RunFailure::new(
                "asset_schema",
                format!("what was returned as the schema of {} is not a JSON Schema: {error}", asset.asset_id),
            )
        })?;
        own.check_within(&asset.payload, work).map_err(refused)?;
    }
    Ok(())
}
