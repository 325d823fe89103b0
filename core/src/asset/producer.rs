//! Which workflow makes an asset, and with which input.

use super::ResolveConsumption;
use super::state::Asset;
use super::{Declaration, Ground, ProducerDeclaration};
use crate::dialogue::INPUT_BYTES_MAX;
use crate::{DefinitionVersion, Json, PartitionKey, RunFailure, RunId, Slug};

/// A run to be started.
pub(super) struct Start {
    pub run: RunId,
    pub workflow: Slug,
    pub definition: DefinitionVersion,
    pub input: Json,
}

/// Chooses the producer: the primary one, else the one that produced last, else the first by slug.
pub(super) fn choose<'a>(
    asset: &'a Asset,
    partition: &Option<PartitionKey>,
) -> Option<(&'a Declaration, &'a ProducerDeclaration)> {
    let all = || asset.declarations.values().flat_map(|d| d.producers.iter().map(move |p| (d, p)));
    let last = asset.partitions.get(partition).and_then(|p| p.last.as_ref()).map(|(workflow, _)| workflow);
    all()
        .find(|(_, producer)| producer.primary)
        .or_else(|| all().find(|(declaration, _)| Some(&declaration.workflow) == last))
        .or_else(|| all().next())
}

/// Plans the run that makes a version for the consumer.
///
/// # Errors
/// `asset_no_producer`, `workflow_paused`, or `producer_input_missing` naming the required values nobody gave.
pub(super) fn start(asset: &Asset, need: &ResolveConsumption, ground: &Ground<'_>) -> Result<Start, RunFailure> {
    let Some((declaration, producer)) = choose(asset, &need.partition) else {
        let message = format!("no workflow produces the asset {}", asset.key.asset);
        return Err(RunFailure::new("asset_no_producer", message));
    };
    if declaration.paused {
        let message = format!("the workflow {} is paused, which produces {}", declaration.workflow, asset.key.asset);
        return Err(RunFailure::new("workflow_paused", message));
    }
    let input = input_for(asset, need, declaration, producer);
    let missing: Vec<_> =
        producer.required.iter().filter(|key| !input.contains_key(*key)).map(String::as_str).collect();
    if !missing.is_empty() {
        let message = format!(
            "the workflow {} must run to produce {}, and nobody gave its required input: {}",
            declaration.workflow,
            asset.key.asset,
            missing.join(", ")
        );
        return Err(RunFailure::new("producer_input_missing", message));
    }
    let input = Json::of(&input);
    if input.len_bytes() > INPUT_BYTES_MAX {
        let message = format!("the input for {} has more than {INPUT_BYTES_MAX} bytes", declaration.workflow);
        return Err(RunFailure::new("producer_input_too_large", message));
    }
    // The next revision is new to this asset, so the cause, and with it the run id, never comes twice.
    let revision = asset.revision.next().get().to_be_bytes();
    let name = asset.key.asset.as_str().to_ascii_lowercase();
    let cause: [&[u8]; 4] = [b"materialize", asset.key.workspace.as_str().as_bytes(), name.as_bytes(), &revision];
    let spread = crate::LeaseToken::derived(&cause).bits();
    Ok(Start {
        run: RunId::derived((ground.shard_for)(spread), ground.now, &cause),
        workflow: declaration.workflow.clone(),
        definition: declaration.version,
        input,
    })
}

/// The consumer's mapping, else the input of the last run that produced this partition, else the declared
/// parameter defaults; the definition's defaults lie under all of them.
fn input_for(
    asset: &Asset,
    need: &ResolveConsumption,
    declaration: &Declaration,
    producer: &ProducerDeclaration,
) -> serde_json::Map<String, serde_json::Value> {
    let object = |json: &Json| match json.to_value() {
        serde_json::Value::Object(map) => map,
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_) => serde_json::Map::new(),
    };
    let last = asset.partitions.get(&need.partition).and_then(|p| p.last.as_ref());
    let last = last.filter(|(workflow, _)| *workflow == declaration.workflow).map(|(_, input)| object(input));
    let declared = || {
        let automation = producer.auto_materialize.as_ref().and_then(|declared| declared.meaning());
        automation.map(|automation| automation.parameter_defaults.clone()).unwrap_or_default()
    };
    // A mapping whose values are all null says nothing: the consumer had no input of that kind itself.
    let mapped = need.producer_input.as_ref().map(object).map(|mut map| {
        map.retain(|_, value| !value.is_null());
        map
    });
    let mut input = object(&producer.defaults);
    input.extend(mapped.filter(|map| !map.is_empty()).or(last).unwrap_or_else(declared));
    input
}
