//! Who hears about a new version: every process; and of the one that starts, every asset it produces or consumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Workflow, WorkflowEvent};
use crate::address::WorkflowKey;
use crate::definition::{Definition, Node};
use crate::dialogue::{ConsumerDeclaration, Declaration, ProducerDeclaration};
use crate::{AssetId, DefinitionVersion, Json, Revision};

/// That a version is there, and what is to be said of it. Texts are shared.
#[derive(Debug, Clone)]
pub struct News {
    pub key: WorkflowKey,
    /// Of the event.
    pub revision: Revision,
    pub version: DefinitionVersion,
    pub document: Json,
    /// Whether it starts where none is named: another one may be pinned.
    pub starts: bool,
    /// Whether nothing starts it.
    pub paused: bool,
    /// The version that started before.
    before: Option<(DefinitionVersion, Json)>,
}

/// Returns what is new after an event. `workflow` is the state after the event.
pub fn news(workflow: &Workflow, event: &WorkflowEvent, revision: Revision) -> Option<News> {
    let started = workflow.started()?;
    let version = match event {
        WorkflowEvent::WorkflowApplied { version, .. } | WorkflowEvent::VersionSelected { version } => *version,
        WorkflowEvent::VersionPinned { .. }
        | WorkflowEvent::StartsPaused { .. }
        | WorkflowEvent::StartsResumed { .. } => started,
    };
    let starts = version == started;
    let document = workflow.document(version)?.clone();
    let before = workflow.before.and_then(|version| Some((version, workflow.document(version)?.clone())));
    let paused = workflow.paused;
    Some(News { key: workflow.key.clone(), revision, version, document, starts, paused, before })
}

impl News {
    /// Returns what its assets are told. `graph` is asked for its graph, and for that of the version before; what has none
    /// declares nothing.
    pub fn declarations(
        &self,
        graph: &mut dyn FnMut(&Json) -> Option<Arc<Definition>>,
    ) -> BTreeMap<AssetId, Declaration> {
        if !self.starts {
            return BTreeMap::new();
        }
        let mut declared = |version, document: &Json| {
            graph(document).map(|definition| declarations(&definition, version)).unwrap_or_default()
        };
        let mut declarations = declared(self.version, &self.document);
        // What only the version before declared is withdrawn by an empty declaration.
        let before = self.before.as_ref().map(|(version, document)| declared(*version, document));
        for asset in before.unwrap_or_default().into_keys() {
            declarations.entry(asset).or_insert_with(|| Declaration {
                workflow: self.key.workflow.clone(),
                version: self.version,
                producers: Vec::new(),
                consumers: Vec::new(),
                paused: false,
            });
        }
        if self.paused {
            declarations.values_mut().for_each(|declaration| declaration.paused = true);
        }
        declarations
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
            paused: false,
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
        kind: node.action.kind().to_owned(),
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
        kind: node.action.kind().to_owned(),
        schema: consumes.schema.as_ref().map(|schema| schema.source().clone()),
        freshness: consumes.freshness.clone(),
        partitioning: consumes.partitioning.clone(),
        auto_materialize: consumes.auto_materialize.clone(),
    }
}
