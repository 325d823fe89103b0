//! Workflows that are held at a version.

use headwater_core::definition::compile;
use headwater_core::shard::{BUNDLE_FORMAT, Bundle, Command, Effect, Event, Granted, Rejection};
use headwater_core::workflow::{ApplyWorkflow, PinVersion, WorkflowCommand, WorkflowEvent, WorkflowRejection};
use headwater_core::{DefinitionVersion, Json};
use serde_json::{Value, json};

use crate::world::{World, key};

fn make(asset: &str) -> Value {
    json!({"slug": "make", "steps": [{"id": "build", "jobSlug": "work", "produces": [{"assetId": asset}]}]})
}

fn pin(world: &mut World, workflow: &str, version: Option<u32>) -> Result<Option<Granted>, Rejection> {
    let wish = PinVersion { version: version.map(DefinitionVersion::new) };
    let command = Command::Workflow { key: key(workflow), command: WorkflowCommand::PinVersion(wish) };
    world.decide(command).map(|decided| decided.granted)
}

/// Applies it, and says which versions the effects publish, and whether each starts; and how many things assets are told.
fn apply(world: &mut World, document: &Value) -> (Vec<(u32, bool)>, usize) {
    let definition = compile(document).unwrap().0;
    let apply = ApplyWorkflow { document: definition.source, content_hash: definition.content_hash };
    let command = Command::Workflow { key: key("make"), command: WorkflowCommand::ApplyWorkflow(apply) };
    tell(world, command)
}

fn tell(world: &mut World, command: Command) -> (Vec<(u32, bool)>, usize) {
    world.effects.clear();
    world.decide(command).unwrap();
    told(&world.effects)
}

fn told(effects: &[Effect]) -> (Vec<(u32, bool)>, usize) {
    let published = effects.iter().filter_map(|effect| match effect {
        Effect::PublishDefinition { version, starts, .. } => Some((version.get(), *starts)),
        _ => None,
    });
    (published.collect(), effects.iter().filter(|effect| matches!(effect, Effect::Submit(_))).count())
}

fn started(world: &World) -> (Option<u32>, Option<u32>) {
    let workflow = world.shard.workflow(&key("make")).unwrap();
    (workflow.current().map(DefinitionVersion::get), workflow.started().map(DefinitionVersion::get))
}

#[test]
fn applying_changes_nothing_that_starts_while_a_workflow_is_pinned() {
    let mut world = World::new();
    assert_eq!(apply(&mut world, &make("site.one")), (vec![(1, true)], 1));
    let granted = pin(&mut world, "make", Some(1)).unwrap();
    let pinned = |version: u32, created| Granted::Workflow {
        version: DefinitionVersion::new(version),
        created,
        pinned: Some(DefinitionVersion::FIRST),
    };
    assert_eq!(granted, Some(pinned(1, true)));
    assert_eq!(pin(&mut world, "make", Some(1)).unwrap(), Some(pinned(1, false)), "the same again is nothing new");
    assert_eq!(apply(&mut world, &make("site.two")), (vec![(2, false)], 0));
    assert_eq!(started(&world), (Some(2), Some(1)));
    // Version 2 lets go of what version 1 declares.
    let command = PinVersion { version: Some(DefinitionVersion::new(2)) };
    let command = Command::Workflow { key: key("make"), command: WorkflowCommand::PinVersion(command) };
    assert_eq!(tell(&mut world, command), (vec![(2, true)], 2));
    assert_eq!(apply(&mut world, &make("site.one")), (vec![(1, false)], 0));
    assert_eq!(started(&world), (Some(1), Some(2)));
    let command =
        Command::Workflow { key: key("make"), command: WorkflowCommand::PinVersion(PinVersion { version: None }) };
    assert_eq!(tell(&mut world, command), (vec![(1, true)], 2));
    assert_eq!(started(&world), (Some(1), Some(1)));
    let pins = world.commits.iter().flat_map(|commit| &commit.events).filter_map(|event| match event {
        Event::Workflow(WorkflowEvent::VersionPinned { version }) => Some(version.map(DefinitionVersion::get)),
        _ => None,
    });
    assert_eq!(pins.collect::<Vec<_>>(), [Some(1), Some(2), None]);
}

#[test]
fn what_is_not_there_cannot_be_pinned() {
    let mut world = World::new();
    let refused = |why| Err(Rejection::Workflow(why));
    assert_eq!(pin(&mut world, "make", Some(1)), refused(WorkflowRejection::WorkflowNotFound));
    assert_eq!(pin(&mut world, "make", None), refused(WorkflowRejection::WorkflowNotFound));
    apply(&mut world, &make("site.one"));
    for version in [0, 2, u32::MAX] {
        let refusal = WorkflowRejection::VersionNotFound { version: DefinitionVersion::new(version) };
        assert_eq!(pin(&mut world, "make", Some(version)), refused(refusal));
    }
    assert!(pin(&mut world, "make", None).is_ok());
}

#[test]
fn a_bundle_that_pins_is_not_for_releases_that_do_not_know_it() {
    let mut world = World::new();
    apply(&mut world, &make("site.one"));
    let before = crate::checkpoints::journal(&world.commits, 1);
    let mut owner = crate::checkpoints::owner();
    crate::checkpoints::fold(&mut owner, &before);
    let command = Command::Workflow {
        key: key("make"),
        command: WorkflowCommand::PinVersion(PinVersion { version: Some(DefinitionVersion::FIRST) }),
    };
    let wish = headwater_core::shard::Submission::new(world.fresh_id(), command);
    owner.submit(0, wish, world.now, &mut headwater_core::credit::Hands::default());
    let bytes = owner.next_append(headwater_core::BundleId::from_uuid(uuid::Uuid::from_u128(0))).unwrap().bytes;
    let bundle = Bundle::read(&bytes).unwrap();
    assert_eq!((bundle.needs, bundle.commits.len()), (BUNDLE_FORMAT, 1));
    let text = Json::from_text(String::from_utf8(bytes).unwrap()).unwrap();
    assert!(text.as_str().contains(r#"{"workflow":{"versionPinned":{"version":1}}}"#), "{text:?}");
}
