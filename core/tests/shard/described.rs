//! What runs are called: by their definition, by whoever starts them, by what their nodes make.

use headwater_core::run::{Description, RunCommand, RunEvent, RunRejection, StartRun, StartWishes};
use headwater_core::shard::{AggregateId, Command, Event, Rejection};
use headwater_core::{RunId, ShardId};
use serde_json::{Value, json};

use crate::parts::is_the_same_from_checkpoints;
use crate::world::{World, ok};

fn described(world: &World, run: RunId) -> Vec<Value> {
    let events = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let described = events.flat_map(|commit| &commit.events).filter_map(|event| match event {
        Event::Run(RunEvent::RunDescribed { description }) => Some(serde_json::to_value(description).unwrap()),
        _ => None,
    });
    described.collect()
}

fn document() -> Value {
    json!({"slug": "w", "run": {
            "name": "scan of ${{ input.dir }}", "labels": {"env": "${{ input.env }}", "n": "${{ 1 + 1 }}"},
            "attributes": {"size": "${{ input.size }}"}},
        "steps": [{"id": "a", "jobSlug": "work", "setAttributes": {"rows": "${{ nodes.a.output.rows }}"}}]})
}

#[test]
fn a_run_is_named_by_its_definition_and_by_its_nodes() {
    let mut world = World::with(&document());
    let run = world.start("w", json!({"dir": "/x", "env": "prod", "size": 7}));
    let start = json!({"name": "scan of /x", "labels": {"env": "prod", "n": "2"}, "attributes": {"size": 7}});
    assert_eq!(described(&world, run), std::slice::from_ref(&start));
    is_the_same_from_checkpoints(&world, run);
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!({"rows": 3}))).unwrap();
    assert_eq!(described(&world, run), [start, json!({"attributes": {"rows": 3}})]);
    assert_eq!(world.timeline(run), "started described a:try1 described a:ok SUCCEEDED");
}

#[test]
fn whoever_starts_it_has_the_last_word() {
    let mut world = World::with(&document());
    let run = RunId::new(ShardId::new(0).unwrap(), world.now, 7 << 20);
    let start_as = |world: &mut World, description: Description| {
        let wishes = Some(Box::new(StartWishes { description, ..StartWishes::default() }));
        let start = StartRun { wishes, ..world.start_of("w", json!({"dir": "/x", "env": "prod", "size": 7})) };
        world.decide(Command::Run { run, command: RunCommand::StartRun(start) })
    };
    let long = Description { name: Some("x".repeat(201)), ..Description::default() };
    let refusal = start_as(&mut world, long).unwrap_err();
    assert!(matches!(refusal, Rejection::Run(RunRejection::DescriptionInvalid { .. })), "{refusal}");
    let labels = [("env".to_owned(), "test".to_owned())].into();
    start_as(&mut world, Description { name: Some("mine".to_owned()), labels, ..Description::default() }).unwrap();
    let expected = json!({"name": "mine", "labels": {"env": "test", "n": "2"}, "attributes": {"size": 7}});
    assert_eq!(described(&world, run), [expected]);
}

#[test]
fn what_cannot_be_a_name_fails_the_run_and_what_cannot_be_an_attribute_its_node() {
    let mut world = World::with(&document());
    for (input, code) in [
        (json!({"dir": "/x", "env": "prod"}), "expression_error"),
        (json!({"dir": "/x", "env": "prod", "size": [1]}), "run_description"),
        (json!({"dir": "x".repeat(200), "env": "prod", "size": 1}), "run_description"),
    ] {
        let run = world.start("w", input);
        assert_eq!(world.timeline(run), format!("started FAILED({code})"));
    }
    let run = world.start("w", json!({"dir": "/x", "env": "prod", "size": 7}));
    let task = world.tasks().pop().unwrap();
    world.report(&task, ok(json!({"rows": {"no": "attribute"}}))).unwrap();
    assert!(
        world.timeline(run).ends_with("a:dead(run_description) FAILED(run_description)"),
        "{}",
        world.timeline(run)
    );
}

/// However many nodes set them, a run has so many.
#[test]
fn the_attributes_of_a_run_are_bounded_whoever_sets_them() {
    let set = |n: usize| -> Value {
        (0..20).map(|k| (format!("k{n}.{k}"), json!(k))).collect::<serde_json::Map<_, _>>().into()
    };
    let steps = [
        json!({"id": "a", "action": "noop", "setAttributes": set(1)}),
        json!({"id": "b", "action": "noop", "dependsOn": ["a"], "setAttributes": set(2)}),
    ];
    let mut world = World::with(&json!({"slug": "w", "steps": steps}));
    let run = world.start("w", json!({}));
    assert_eq!(world.timeline(run), "started described a:ok b:dead(run_description) FAILED(run_description)");
    let failure = world.commits.last().unwrap().events.iter().find_map(|event| match event {
        Event::Run(RunEvent::RunFailed { failure }) => Some(failure.message.clone()),
        _ => None,
    });
    assert!(failure.unwrap().contains("40 search attributes"));
    assert_eq!(described(&world, run).len(), 1);
}
