//! Reusable actions: their versions, and what runs make of nodes that were filled in.

use headwater_core::action::{ActionCommand, ActionEvent, ActionRejection, VERSIONS_MAX};
use headwater_core::definition::compile_action;
use headwater_core::shard::{ActionKey, AggregateId, Command, Event, Granted, Rejection};
use headwater_core::{DefinitionVersion, Json};
use serde_json::{Value, json};

use crate::world::{World, empty, failed, ok};

fn action(url: &str) -> Value {
    json!({"kind": "action", "slug": "fetch", "action": {"kind": "http_request", "url": url}})
}

fn key(slug: &str) -> ActionKey {
    ActionKey { workspace: "default".parse().unwrap(), action: slug.parse().unwrap() }
}

fn applying(document: &Value, to: &str) -> Command {
    let (definition, _) = compile_action(document).unwrap();
    let command = ActionCommand::ApplyAction { document: definition.source, content_hash: definition.content_hash };
    Command::Action { key: key(to), command }
}

/// Applies it, and returns which version it is, and whether that is new.
fn apply(world: &mut World, document: &Value) -> (u32, bool) {
    match world.decide(applying(document, "fetch")).unwrap().granted {
        Some(Granted::Action { version, created }) => (version.get(), created),
        other => panic!("{other:?}"),
    }
}

fn events(world: &World) -> Vec<ActionEvent> {
    let id = AggregateId::Action(key("fetch"));
    let of = world.commits.iter().filter(|commit| commit.aggregate == id).flat_map(|commit| &commit.events);
    of.filter_map(|event| if let Event::Action(event) = event { Some(event.clone()) } else { None }).collect()
}

#[test]
fn the_same_content_is_the_same_version() {
    let mut world = World::new();
    assert_eq!(apply(&mut world, &action("a")), (1, true));
    assert_eq!(apply(&mut world, &action("a")), (1, false));
    assert_eq!(apply(&mut world, &action("b")), (2, true));
    assert_eq!(apply(&mut world, &action("a")), (1, true));
    let versions = events(&world).into_iter().map(|event| match event {
        ActionEvent::ActionApplied { version, .. } => ("new", version.get()),
        ActionEvent::ActionSelected { version } => ("again", version.get()),
    });
    assert_eq!(versions.collect::<Vec<_>>(), [("new", 1), ("new", 2), ("again", 1)]);
    let known = world.shard.action(&key("fetch")).unwrap();
    assert_eq!(known.current(), Some(DefinitionVersion::FIRST));
    let hash = compile_action(&action("b")).unwrap().0.content_hash;
    assert_eq!([known.version_of(&hash).get(), known.version_of("other").get()], [2, 3]);
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let mut world = World::new();
    let refused = |world: &mut World, command| match world.decide(command) {
        Err(Rejection::Action(rejection)) => rejection,
        other => panic!("{other:?}"),
    };
    let found = "fetch".parse().unwrap();
    assert_eq!(refused(&mut world, applying(&action("a"), "other")), ActionRejection::OtherAction { found });
    let forged = |document: Value| Command::Action {
        key: key("fetch"),
        command: ActionCommand::ApplyAction { document: Json::of(&document), content_hash: "0".repeat(64) },
    };
    assert_eq!(refused(&mut world, forged(action("a"))), ActionRejection::ContentMismatch);
    let invalid = refused(&mut world, forged(json!({"kind": "action", "slug": "fetch", "jobSlug": 1})));
    assert!(matches!(invalid, ActionRejection::ActionInvalid { .. }), "{invalid}");
    assert!(world.shard.action(&key("fetch")).is_none());
}

#[test]
fn journal_and_checkpoint_give_the_same_actions() {
    let mut world = World::new();
    for url in ["a", "b", "a"] {
        apply(&mut world, &action(url));
    }
    let mut folded = empty();
    for bundle in world.bundles(2) {
        assert!(folded.fold(&bundle, None).is_empty());
    }
    assert_eq!(folded.action(&key("fetch")), world.shard.action(&key("fetch")));
}

fn with_node(node: Value) -> World {
    let mut all = json!({"id": "a", "jobSlug": "work", "input": {"url": "${{ params.base }}/x"},
        "params": {"base": "${{ input.base }}"}, "retry": {"maxAttempts": 2, "delay": 0},
        "paramsSchema": {"type": "object", "properties": {"base": {"type": "string"}}}, "outputSchema": {"type": "integer"}});
    all.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
    World::with(&json!({"slug": "w", "steps": [all]}))
}

#[test]
fn an_action_sees_its_parameters_in_every_attempt() {
    let mut world = with_node(json!({}));
    let run = world.start("w", json!({"base": "b"}));
    for outcome in [failed("boom"), ok(json!(3))] {
        let task = world.tasks().remove(0);
        assert_eq!(task.input.as_str(), r#"{"url":"b/x"}"#);
        world.report(&task, outcome).unwrap();
    }
    assert_eq!(world.timeline(run), "started a:try1 a:failed(boom) a:retry2 a:try2 a:ok SUCCEEDED");
}

#[test]
fn parameters_that_do_not_fit_fail_the_node_before_any_attempt() {
    let mut world = with_node(json!({}));
    let run = world.start("w", json!({"base": 7}));
    assert_eq!(world.timeline(run), "started a:dead(action_input) FAILED(action_input)");
}

#[test]
fn an_output_that_does_not_fit_fails_the_attempt() {
    let mut world = with_node(json!({}));
    let run = world.start("w", json!({"base": "b"}));
    for _ in 0..2 {
        let task = world.tasks().remove(0);
        world.report(&task, ok(json!("three"))).unwrap();
    }
    let expected = "started a:try1 a:failed(action_output) a:retry2 a:try2 a:failed(action_output) a:dead(action_output) \
                    FAILED(action_output)";
    assert_eq!(world.timeline(run), expected);
}

#[test]
fn what_has_no_attempt_is_held_to_its_parameters_and_its_output_too() {
    let node = |output: &str| json!({"jobSlug": null, "input": null, "retry": null, "action": {"kind": "transform", "output": output}});
    for (output, end) in [
        ("${{ size(params.base) }}", "started a:ok SUCCEEDED"),
        ("${{ params.base }}", "started a:dead(action_output) FAILED(action_output)"),
        ("${{ params.other }}", "started a:dead(expression_error) FAILED(expression_error)"),
    ] {
        let mut world = with_node(node(output));
        let run = world.start("w", json!({"base": "b"}));
        assert_eq!(world.timeline(run), end, "{output}");
    }
}

#[test]
fn parameters_see_what_a_body_binds_and_hide_none_of_it() {
    let body = json!({"id": "b", "action": {"kind": "transform", "output": "${{ [params.n, item] }}"},
        "params": {"n": "${{ item * 2 }}"}});
    let document = json!({"slug": "w", "output": "${{ nodes.e.output }}",
        "steps": [{"id": "e", "forEach": {"items": [1, 2], "body": body}}]});
    let mut world = World::with(&document);
    let run = world.start("w", json!({}));
    while world.go_on().is_some() {}
    let ended = world.commits.iter().flat_map(|commit| &commit.events).find_map(|event| match event {
        Event::Run(headwater_core::run::RunEvent::RunSucceeded { output, .. }) => Some(output.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(ended.as_deref(), Some("[[2,1],[4,2]]"), "{}", world.timeline(run));
}

#[test]
fn an_action_has_so_many_versions_and_not_one_more() {
    let mut world = World::new();
    for n in 1..=VERSIONS_MAX {
        assert_eq!(apply(&mut world, &action(&n.to_string())), (n, true));
    }
    let refused = world.decide(applying(&action("one more"), "fetch"));
    assert!(matches!(refused, Err(Rejection::Action(ActionRejection::TooManyVersions { .. }))), "{refused:?}");
    assert_eq!(apply(&mut world, &action("7")), (7, true));
}
