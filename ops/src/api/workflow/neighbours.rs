//! Whether definitions go with what other workflows of the workspace declare of the same assets.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::asset::{Clash, ClashKind, Declaration, Maker, awaited, circle, clashes};
use headwater_core::definition::{Problem as Finding, ProblemCode, Severity, compile, nearest};
use headwater_core::shard::{AggregateId, AssetKey, WorkflowKey};
use headwater_core::{AssetId, DefinitionVersion, NodeId, Slug, WorkspaceId};
use headwater_projector::queries::{PAGE_MAX, View};
use tokio::time::Instant;

use crate::api::{Api, COMMAND_WAIT, Problem};
use crate::codes::Code;
use crate::documents::Checked;

/// How much of a name is taken to be spelt right, when it is not known.
const MEANT_PREFIX: usize = 3;
/// How many assets are followed in search of circles.
const FOLLOWED_MAX: usize = 1_000;

/// Adds to each definition what does not go with the other workflows: those of the same request as they are there, all
/// others as their assets know them. A workflow that is applied at the same moment may be missed.
///
/// # Errors
/// When the shard of an asset, or the broker, does not answer.
pub async fn compare(api: &Api, workspace: &WorkspaceId, checked: &mut [Checked]) -> Result<(), Problem> {
    let mut around = Neighbours::new(api, workspace, checked);
    let mut found = Vec::with_capacity(checked.len());
    for one in checked.iter() {
        let mut findings = Vec::new();
        around.find_clashes(one, &mut findings).await?;
        around.find_circles(one, &mut findings).await?;
        around.find_orphans(one, &mut findings).await?;
        found.push(findings);
    }
    for (one, more) in checked.iter_mut().zip(found) {
        one.findings.extend(more.into_iter().map(Into::into));
    }
    Ok(())
}

/// What is known of the workflows around those of a request.
struct Neighbours<'a> {
    api: &'a Api,
    workspace: &'a WorkspaceId,
    /// Of the request.
    given: BTreeMap<Slug, &'a Checked>,
    /// By asset, as far as it was asked: all that is declared of it, the request's declarations among them.
    declared: BTreeMap<AssetId, Vec<Declaration>>,
    /// By asset, as far as it was asked.
    makers: BTreeMap<AssetId, Vec<Maker>>,
}

impl<'a> Neighbours<'a> {
    fn new(api: &'a Api, workspace: &'a WorkspaceId, checked: &'a [Checked]) -> Self {
        let given = checked.iter().map(|one| (one.slug.clone(), one)).collect();
        Self { api, workspace, given, declared: BTreeMap::new(), makers: BTreeMap::new() }
    }

    async fn declared(&mut self, asset: &AssetId) -> Result<&[Declaration], Problem> {
        if !self.declared.contains_key(asset) {
            let key = AssetKey { workspace: self.workspace.clone(), asset: asset.clone() };
            let mut all = applied(self.api, key).await?;
            all.retain(|other| !self.given.contains_key(&other.workflow));
            all.extend(self.given.values().filter_map(|one| one.declares.get(asset).cloned()));
            self.declared.insert(asset.clone(), all);
        }
        Ok(&self.declared[asset])
    }

    async fn find_clashes(&mut self, definition: &Checked, findings: &mut Vec<Finding>) -> Result<(), Problem> {
        for (asset, own) in &definition.declares {
            let others = self.declared(asset).await?.iter().filter(|other| other.workflow != own.workflow);
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
        Ok(())
    }

    async fn find_circles(&mut self, definition: &Checked, findings: &mut Vec<Finding>) -> Result<(), Problem> {
        let made = definition.declares.iter().filter(|(_, declares)| !declares.producers.is_empty());
        let made: BTreeSet<AssetId> = made.map(|(asset, _)| asset.clone()).collect();
        if made.is_empty() {
            return Ok(());
        }
        let awaited = definition.awaited.clone();
        self.learn_makers(awaited.iter().map(|(_, asset)| asset.clone()).collect()).await?;
        for (node, asset) in awaited {
            let Some((way, back)) = circle(&asset, &made, &self.makers) else { continue };
            let sources = way.iter().skip(1).map(|(_, asset)| asset).chain([&back]);
            let steps = way.iter().zip(sources);
            let steps: Vec<_> =
                steps.map(|((workflow, asset), from)| format!("{workflow} makes `{asset}` from `{from}`")).collect();
            let message = format!(
                "{}, which is made here: the first versions wait for each other; \
                 say `onMiss: ignore`, `fail` or `wait` at one place",
                steps.join(", ")
            );
            let path = definition.place_of(&node, "consumes", &asset);
            findings.push(Finding { path, code: ProblemCode::AssetCircle, severity: Severity::Warning, message });
        }
        Ok(())
    }

    /// Finds consumed assets that nobody produces, here or elsewhere.
    async fn find_orphans(&mut self, definition: &Checked, findings: &mut Vec<Finding>) -> Result<(), Problem> {
        for (asset, own) in definition.declares.iter().filter(|(_, own)| !own.consumers.is_empty()) {
            if self.declared(asset).await?.iter().any(|declaration| !declaration.producers.is_empty()) {
                continue;
            }
            let message = format!("no workflow produces `{asset}`{}", self.meant(asset).await);
            findings.extend(own.consumers.iter().map(|consumer| Finding {
                path: definition.place_of(&consumer.node, "consumes", asset),
                code: ProblemCode::NoProducer,
                severity: Severity::Warning,
                message: message.clone(),
            }));
        }
        Ok(())
    }

    /// Says which known asset may be meant, as far as the read models know them; they decide nothing here.
    async fn meant(&self, asset: &AssetId) -> String {
        let (api, workspace) = (self.api, self.workspace);
        // Among those that begin alike first: there may be many.
        let start: String = asset.as_str().chars().take(MEANT_PREFIX).collect();
        let (mut known, mut here, view) = (Vec::new(), BTreeSet::new(), View::now(workspace.clone()));
        for prefix in [start.as_str(), ""] {
            let page = api.reads.assets(&view, prefix, None, PAGE_MAX).await;
            known.extend(page.into_iter().flat_map(|page| page.assets).map(|found| found.asset_id));
        }
        for one in self.given.values() {
            let made = one.declares.iter().filter(|(_, declaration)| !declaration.producers.is_empty());
            here.extend(made.map(|(asset, _)| asset.to_string()));
        }
        let others = here.iter().chain(&known).map(String::as_str);
        nearest(asset.as_str(), others.filter(|known| !known.eq_ignore_ascii_case(asset.as_str())))
    }

    /// Learns who makes these assets, and what those are made from, and so on.
    async fn learn_makers(&mut self, mut assets: Vec<AssetId>) -> Result<(), Problem> {
        while let Some(asset) = assets.pop().filter(|_| self.makers.len() < FOLLOWED_MAX) {
            if self.makers.contains_key(&asset) {
                continue;
            }
            let producing = self.declared(&asset).await?.iter().filter(|declares| !declares.producers.is_empty());
            let workflows: Vec<_> = producing.map(|declares| declares.workflow.clone()).collect();
            let mut makers = Vec::with_capacity(workflows.len());
            for workflow in workflows {
                let needs = self.needs_of(&workflow).await?;
                assets.extend(needs.iter().cloned());
                makers.push(Maker { workflow, needs });
            }
            self.makers.insert(asset, makers);
        }
        Ok(())
    }

    async fn needs_of(&self, workflow: &Slug) -> Result<Vec<AssetId>, Problem> {
        let needs = |awaited: &[(NodeId, AssetId)]| awaited.iter().map(|(_, asset)| asset.clone()).collect();
        if let Some(one) = self.given.get(workflow) {
            return Ok(needs(&one.awaited));
        }
        let key = WorkflowKey { workspace: self.workspace.clone(), workflow: workflow.clone() };
        let stored = self.api.workflows.definitions.current(&key).await?;
        let compiled = stored.and_then(|stored| compile(&stored.document.to_value()).ok());
        Ok(compiled.map(|(definition, _)| needs(&awaited(&definition))).unwrap_or_default())
    }
}

/// Waits until the assets know what this version declares of them, so that a consumer that is started right after
/// finds its producer, and an apply right after is compared with it.
///
/// # Errors
/// When they do not know after `COMMAND_WAIT`, and no other version was applied meanwhile either.
pub async fn await_declared(
    api: &Api,
    key: &WorkflowKey,
    assets: impl Iterator<Item = &AssetId>,
    version: DefinitionVersion,
) -> Result<(), Problem> {
    let deadline = Instant::now() + COMMAND_WAIT;
    for asset in assets {
        let asset = AssetKey { workspace: key.workspace.clone(), asset: asset.clone() };
        let mut backoff = super::ARRIVING;
        loop {
            let known = applied(api, asset.clone()).await?;
            if known.iter().any(|known| known.workflow == key.workflow && known.version == version) {
                break;
            }
            if api.workflows.definitions.current_version(key).await?.is_some_and(|current| current != version) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let detail = format!("version {version} of `{}` is applied; its assets do not know yet", key.workflow);
                return Err(Problem::new(Code::Indeterminate, detail));
            }
            backoff.wait().await;
        }
    }
    Ok(())
}

async fn applied(api: &Api, key: AssetKey) -> Result<Vec<Declaration>, Problem> {
    let shard = api.shards.of(&AggregateId::Asset(key.clone()));
    let shard = shard.ok_or_else(|| Problem::new(Code::Internal, "the shard map has no place for the asset"))?;
    Ok(api.shards.client.describe_asset(shard, key, COMMAND_WAIT).await?)
}
