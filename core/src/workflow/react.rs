//! Who hears about a new current version: every process, and every asset the version produces or consumes.

use std::collections::BTreeMap;

use super::{Workflow, WorkflowEvent};
use crate::asset::{AssetCommand, ConsumerDeclaration, Declaration, ProducerDeclaration};
use crate::definition::{Action, BuiltIn, Definition, Node, compile};
use crate::shard::{AggregateId, AssetKey, Command, Effect, Submission};
use crate::{AssetId, DefinitionVersion, Revision};

/// Appends the effects of one event. `workflow` is the state after the event.
pub fn react(workflow: &Workflow, event: &WorkflowEvent, revision: Revision, effects: &mut Vec<Effect>) {
    let version = match event {
        WorkflowEvent::WorkflowApplied { version, .. } | WorkflowEvent::VersionSelected { version } => *version,
    };
    let Some(document) = workflow.document(version) else { return };
    effects.push(Effect::PublishDefinition {
        workspace: workflow.key.workspace.clone(),
        workflow: workflow.key.workflow.clone(),
        version,
        document: document.clone(),
    });
    let declared = |version| {
        let compiled = workflow.document(version).and_then(|document| compile(&document.to_value()).ok());
        compiled.map(|(definition, _)| declarations(&definition, version)).unwrap_or_default()
    };
    let mut declarations = declared(version);
    // What only the version before declared is withdrawn by an empty declaration.
    for asset in workflow.before.map(declared).unwrap_or_default().into_keys() {
        declarations.entry(asset).or_insert_with(|| Declaration {
            workflow: workflow.key.workflow.clone(),
            version,
            producers: Vec::new(),
            consumers: Vec::new(),
        });
    }
    for (index, (asset, declaration)) in (0..).zip(declarations) {
        let key = AssetKey { workspace: workflow.key.workspace.clone(), asset };
        let command = Command::Asset { key, command: AssetCommand::DeclareAsset(declaration) };
        let from = AggregateId::Workflow(workflow.key.clone());
        effects.push(Effect::Submit(Submission::following(&from, revision, index, command)));
    }
}

/// Returns what a definition declares of each asset it touches, as version `version` of its workflow.
pub fn declarations(definition: &Definition, version: DefinitionVersion) -> BTreeMap<AssetId, Declaration> {
    let mut declarations = BTreeMap::new();
    let mut of = |asset: &AssetId, declare: &mut dyn FnMut(&mut Declaration)| {
        declare(declarations.entry(asset.clone()).or_insert_with(|| Declaration {
            workflow: definition.slug.clone(),
            version,
            producers: Vec::new(),
            consumers: Vec::new(),
        }));
    };
    for node in &definition.nodes {
        for produces in &node.produces {
            of(&produces.asset, &mut |it| it.producers.push(producer(definition, node, produces)));
        }
        for consumes in &node.consumes {
            of(&consumes.asset, &mut |it| it.consumers.push(consumer(node, consumes)));
        }
    }
    declarations
}

fn producer(definition: &Definition, node: &Node, produces: &crate::definition::Produces) -> ProducerDeclaration {
    let schema = definition.input_schema.as_ref().map(|schema| schema.source().to_value());
    let required = schema.as_ref().and_then(|schema| schema.get("required")?.as_array().cloned()).unwrap_or_default();
    ProducerDeclaration {
        node: node.id.clone(),
        name: node.name.clone(),
        kind: kind(&node.action).to_owned(),
        schema: produces.schema.as_ref().map(|schema| schema.source().clone()),
        freshness: produces.freshness.clone(),
        partitioning: produces.partitioning.clone(),
        auto_materialize: produces.auto_materialize.clone(),
        primary: produces.primary,
        defaults: definition.defaults.clone(),
        required: required.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
    }
}

fn consumer(node: &Node, consumes: &crate::definition::Consumes) -> ConsumerDeclaration {
    ConsumerDeclaration {
        node: node.id.clone(),
        name: node.name.clone(),
        kind: kind(&node.action).to_owned(),
        schema: consumes.schema.as_ref().map(|schema| schema.source().clone()),
        freshness: consumes.freshness.clone(),
        partitioning: consumes.partitioning.clone(),
        auto_materialize: consumes.auto_materialize.clone(),
    }
}

/// The action's kind as documents spell it.
fn kind(action: &Action) -> &'static str {
    match action {
        Action::Job { .. } => "job",
        Action::BuiltIn(BuiltIn::HttpRequest) => "http_request",
        Action::BuiltIn(BuiltIn::Process) => "process",
        Action::Transform { .. } => "transform",
        Action::Noop => "noop",
        Action::Sleep { .. } => "sleep",
    }
}
