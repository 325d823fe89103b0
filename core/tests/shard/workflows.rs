//! Workflows: which documents become versions, and which never do.

use headwater_core::shard::{Command, Rejection};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand, WorkflowRejection};
use headwater_core::{DefinitionVersion, Json};
use serde_json::json;

use crate::world::{World, chain, key};

fn apply(world: &mut World, to: &str, document: Json, content_hash: &str) -> Result<(), Rejection> {
    let apply = ApplyWorkflow { document, content_hash: content_hash.to_owned() };
    let command = Command::Workflow { key: key(to), command: WorkflowCommand::ApplyWorkflow(apply) };
    world.decide(command).map(|_| ())
}

fn refused(rejection: WorkflowRejection) -> Result<(), Rejection> {
    Err(Rejection::Workflow(rejection))
}

#[test]
fn a_document_with_another_hash_than_its_own_is_refused() {
    let mut world = World::with(&chain(&["a"]));
    let (first, _) = headwater_core::definition::compile(&chain(&["a"])).unwrap();
    let (second, _) = headwater_core::definition::compile(&chain(&["a", "b"])).unwrap();
    let mismatch = refused(WorkflowRejection::ContentMismatch);
    assert_eq!(apply(&mut world, "chain", second.source.clone(), &first.content_hash), mismatch);
    assert_eq!(apply(&mut world, "chain", second.source.clone(), "x"), mismatch);
    assert_eq!(world.shard.workflow(&key("chain")).unwrap().current(), Some(DefinitionVersion::FIRST));
}

#[test]
fn a_document_of_another_workflow_is_neither_applied_nor_adopted() {
    let mut world = World::new();
    let (definition, _) = headwater_core::definition::compile(&chain(&["a"])).unwrap();
    let other = || refused(WorkflowRejection::OtherWorkflow { found: "chain".parse().unwrap() });
    assert_eq!(apply(&mut world, "links", definition.source.clone(), &definition.content_hash), other());
    let version = DefinitionVersion::FIRST;
    let adopt = Command::AdoptDefinition { key: key("links"), version, document: definition.source };
    assert_eq!(world.decide(adopt).map(|_| ()), other());
}

#[test]
fn a_version_is_kept_in_its_canonical_text() {
    let mut world = World::new();
    let (definition, _) = headwater_core::definition::compile(&chain(&["a"])).unwrap();
    let spaced = Json::parse_strict(&serde_json::to_string_pretty(&chain(&["a"])).unwrap()).unwrap();
    apply(&mut world, "chain", spaced, &definition.content_hash).unwrap();
    let text = serde_json::to_string(&world.commits).unwrap();
    assert!(text.contains(definition.source.as_str()), "{text}");
}

#[test]
fn a_version_whose_declarations_would_be_too_large_is_refused() {
    let steps: Vec<_> = (0..20)
        .map(|n| json!({"id": format!("n{n}"), "jobSlug": "work", "produces": [{"assetId": "site.x"}]}))
        .collect();
    let document = json!({"slug": "wide", "defaults": {"x": "x".repeat(500_000)}, "steps": steps});
    let (definition, _) = headwater_core::definition::compile(&document).unwrap();
    let mut world = World::new();
    let refusal = apply(&mut world, "wide", definition.source, &definition.content_hash).unwrap_err();
    assert!(matches!(refusal, Rejection::Workflow(WorkflowRejection::DefinitionInvalid { .. })), "{refusal}");
}
