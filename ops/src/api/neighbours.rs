//! Whether definitions go with what other workflows of the workspace declare of the same assets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater_core::asset::{Clash, ClashKind, Declaration, clashes};
use headwater_core::definition::{Definition, Problem as Finding, ProblemCode, Severity};
use headwater_core::shard::{AggregateId, AssetKey, WorkflowKey};
use headwater_core::workflow::declarations;
use headwater_core::{AssetId, DefinitionVersion, Slug, WorkspaceId};
use tokio::time::Instant;

use super::{Api, COMMAND_WAIT, Problem};
use crate::codes::Code;
use crate::documents::Compiled;

/// Adds to each definition what does not go with the other workflows: those of the same request as they are there, all
/// others as their assets know them. A workflow that is applied at the same moment may be missed.
///
/// # Errors
/// When the shard of an asset does not answer.
pub async fn compare(api: &Api, workspace: &WorkspaceId, compiled: &mut [Compiled]) -> Result<(), Problem> {
    // Which version it will be is not known yet, and says nothing here.
    let declared: Vec<_> =
        compiled.iter().map(|(definition, _)| declarations(definition, DefinitionVersion::FIRST)).collect();
    let slugs: BTreeSet<Slug> = compiled.iter().map(|(definition, _)| definition.slug.clone()).collect();
    let assets: BTreeSet<&AssetId> = declared.iter().flat_map(BTreeMap::keys).collect();
    let asked = assets.into_iter().map(async |asset| {
        let mut others = applied(api, AssetKey { workspace: workspace.clone(), asset: asset.clone() }).await?;
        others.retain(|other| !slugs.contains(&other.workflow));
        others.extend(declared.iter().filter_map(|of| of.get(asset).cloned()));
        Ok::<_, Problem>((asset, others))
    });
    let known: BTreeMap<_, _> = futures_util::future::try_join_all(asked).await?.into_iter().collect();
    for ((definition, findings), declared) in compiled.iter_mut().zip(&declared) {
        for (asset, own) in declared {
            let others = known.get(asset).into_iter().flatten().filter(|other| other.workflow != own.workflow);
            let others: Vec<_> = others.cloned().collect();
            for Clash { node, kind, message } in clashes(asset, own, &others) {
                let (side, code, severity) = match kind {
                    ClashKind::SeveralProducers => ("produces", ProblemCode::SeveralProducers, Severity::Warning),
                    ClashKind::PromisesTooLittle => ("produces", ProblemCode::ContractBreak, Severity::Error),
                    ClashKind::NeedsTooMuch => ("consumes", ProblemCode::ContractBreak, Severity::Warning),
                };
                let path = definition.place_of(&node, side, asset);
                findings.push(Finding { path, code, severity, message });
            }
        }
    }
    Ok(())
}

/// Waits until the assets know what this version declares of them, so that a consumer that is started right after
/// finds its producer, and an apply right after is compared with it.
///
/// # Errors
/// When they do not know after `COMMAND_WAIT`, and no other version was applied meanwhile either.
pub async fn await_declared(
    api: &Api,
    key: &WorkflowKey,
    definition: &Definition,
    version: DefinitionVersion,
) -> Result<(), Problem> {
    let deadline = Instant::now() + COMMAND_WAIT;
    for asset in declarations(definition, version).into_keys() {
        let asset = AssetKey { workspace: key.workspace.clone(), asset };
        let mut pause = Duration::from_millis(2);
        loop {
            let known = applied(api, asset.clone()).await?;
            if known.iter().any(|known| known.workflow == key.workflow && known.version == version) {
                break;
            }
            if api.definitions.current(key).await?.is_some_and(|current| current.version != version) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let detail = format!("version {version} of `{}` is applied; its assets do not know yet", key.workflow);
                return Err(Problem::new(Code::Indeterminate, detail));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
    Ok(())
}

async fn applied(api: &Api, key: AssetKey) -> Result<Vec<Declaration>, Problem> {
    let shard = api.map.shard_of(&AggregateId::Asset(key.clone()));
    let shard = shard.ok_or_else(|| Problem::new(Code::Internal, "the shard map has no place for the asset"))?;
    Ok(api.client.describe_asset(shard, key, COMMAND_WAIT).await?)
}
