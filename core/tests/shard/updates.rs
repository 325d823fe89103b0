//! Updates: signals that are answered with a value.

use headwater_core::run::{
    REPLIES_KEPT_MAX, REPLY_BYTES_MAX, RunCommand, RunEvent, RunRejection, RunStatus, UpdateStanding,
    standing_of_update,
};
use headwater_core::shard::{Command, Event, Rejection};
use headwater_core::{CommandId, Json, RunId};
use serde_json::{Value, json};

use crate::for_each::output;
use crate::parts::is_the_same_from_checkpoints;
use crate::world::World;

fn id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn say(world: &mut World, run: RunId, number: u128, payload: &Value, update: bool) -> Result<(), RunRejection> {
    let command = RunCommand::Signal {
        workspace: "default".parse().unwrap(),
        signal: id(number),
        name: "add".parse().unwrap(),
        key: None,
        payload: Json::of(payload),
        broadcast: false,
        update,
    };
    let decided = world.decide(Command::Run { run, command });
    world.settle();
    decided.map(drop).map_err(|rejection| match rejection {
        Rejection::Run(rejection) => rejection,
        other => panic!("{other:?}"),
    })
}

fn update(world: &mut World, run: RunId, number: u128, payload: &Value) -> Result<(), RunRejection> {
    say(world, run, number, payload, true)
}

fn waits(id: &str, reply: &Value) -> Value {
    let mut wait = json!({"id": id, "action": {"kind": "wait_signal", "name": "add"}});
    if !reply.is_null() {
        wait["action"]["reply"] = reply.clone();
    }
    wait
}

/// A run that takes one, and then waits for another that never comes.
fn run_of(reply: &Value) -> (World, RunId) {
    let mut never = waits("never", &Value::Null);
    never["dependsOn"] = json!(["first"]);
    never["action"]["name"] = json!("never");
    let mut world = World::with(&json!({"slug": "w", "steps": [waits("first", reply), never], "output": {}}));
    let run = world.start("w", json!({"base": 40}));
    world.settle();
    (world, run)
}

fn standing(world: &World, run: RunId, number: u128) -> UpdateStanding {
    standing_of_update(world.shard.run(run).unwrap(), id(number))
}

/// What was replied, in order.
fn replies(world: &World) -> Vec<Value> {
    let events = world.commits.iter().flat_map(|commit| &commit.events);
    let reply = |event: &Event| match event {
        Event::Run(RunEvent::SignalAnswered { reply, .. }) => Some(reply.value.to_value()),
        _ => None,
    };
    events.filter_map(reply).collect()
}

#[test]
fn an_update_is_answered_by_who_takes_it() {
    let reply =
        json!({"sum": "${{ input.base + signal.payload }}", "of": "${{ signal.name }}", "key": "${{ signal.key }}"});
    let (mut world, run) = run_of(&reply);
    assert_eq!(standing(&world, run, 1), UpdateStanding::Unknown);
    update(&mut world, run, 1, &json!(2)).unwrap();
    let UpdateStanding::Replied(made) = standing(&world, run, 1) else { panic!("{:?}", standing(&world, run, 1)) };
    assert_eq!((made.value.to_value(), made.failure), (json!({"sum": 42, "of": "add", "key": null}), None));
    assert_eq!(world.timeline(run), "started first:try1 hears(add) first:takes first:replies first:ok never:try1");
    assert_eq!(output(&world, "first").unwrap()["payload"], 2, "the node goes on with what was said");
    let before = world.timeline(run);
    update(&mut world, run, 1, &json!(2)).unwrap();
    assert_eq!(world.timeline(run), before, "it is said once");
    for (payload, is_update) in [(3, true), (2, false)] {
        let refused = say(&mut world, run, 1, &json!(payload), is_update);
        assert_eq!(refused, Err(RunRejection::KeyReused { run }));
    }
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn who_says_nothing_of_a_reply_answers_nothing() {
    let (mut world, run) = run_of(&Value::Null);
    update(&mut world, run, 1, &json!(2)).unwrap();
    assert_eq!(replies(&world), [Value::Null]);
}

#[test]
fn a_signal_is_not_answered() {
    let (mut world, run) = run_of(&json!("${{ signal.payload }}"));
    say(&mut world, run, 1, &json!(2), false).unwrap();
    assert_eq!(replies(&world), [] as [Value; 0]);
    assert_eq!(standing(&world, run, 1), UpdateStanding::Waits, "nobody waits for it");
}

#[test]
fn an_update_that_nobody_takes_is_kept_and_answered_later() {
    let before = json!({"id": "nap", "action": {"kind": "sleep", "duration": "5s"}});
    let mut after = waits("after", &json!("${{ signal.payload * 2 }}"));
    after["dependsOn"] = json!(["nap"]);
    let mut world = World::with(&json!({"slug": "w", "steps": [before, after], "output": {}}));
    let run = world.start("w", json!({}));
    update(&mut world, run, 1, &json!(21)).unwrap();
    assert_eq!(standing(&world, run, 1), UpdateStanding::Waits);
    is_the_same_from_checkpoints(&world, run);
    world.pass(5);
    world.fire_timers();
    world.settle();
    assert_eq!(replies(&world), [json!(42)]);
    assert_eq!(world.shard.ended_run(run).unwrap().status, RunStatus::Succeeded);
}

#[test]
fn a_reply_that_cannot_be_made_says_so_and_fails_its_node() {
    let large = format!("${{{{ '{}' + string(signal.payload) }}}}", "x".repeat(1_000));
    let doubled = (0..6).fold(large, |text, _| text);
    for (reply, payload, code) in [
        ("${{ 1 / signal.payload }}".to_owned(), json!(0), "expression_error"),
        ("${{ signal.nothing }}".to_owned(), json!(0), "expression_error"),
        ("${{ signal.payload }}".to_owned(), json!("x".repeat(REPLY_BYTES_MAX)), "signal_reply"),
        (doubled, json!("x".repeat(REPLY_BYTES_MAX)), "signal_reply"),
    ] {
        let nodes = json!([waits("first", &json!(reply)), {"id": "caught", "action": {"kind": "transform", "output": "${{ error.code }}"}},
            {"id": "stay", "action": {"kind": "sleep", "duration": "1h"}}]);
        let transitions = json!([{"from": "first", "to": "caught", "on": "failure"}]);
        let mut world = World::with(&json!({"slug": "w", "nodes": nodes, "transitions": transitions, "output": {}}));
        let run = world.start("w", json!({}));
        world.settle();
        update(&mut world, run, 1, &payload).unwrap();
        let UpdateStanding::Replied(made) = standing(&world, run, 1) else { panic!("{:?}", standing(&world, run, 1)) };
        assert_eq!(made.failure.unwrap().code, code);
        assert_eq!(output(&world, "caught"), Some(json!(code)), "{}", world.timeline(run));
        is_the_same_from_checkpoints(&world, run);
    }
}

#[test]
fn a_run_remembers_so_many_replies_and_of_the_others_that_there_were() {
    let turn =
        json!({"id": "turn", "action": {"kind": "wait_signal", "name": "add", "reply": "${{ signal.payload }}"}});
    let nodes = json!([turn, {"id": "again", "action": "noop"}]);
    let transitions = json!([{"from": "turn", "to": "again"}, {"from": "again", "to": "turn", "maxIterations": 5_000}]);
    let mut world = World::with(&json!({"slug": "w", "nodes": nodes, "transitions": transitions, "output": {}}));
    let run = world.start("w", json!({}));
    world.settle();
    for number in 0..=REPLIES_KEPT_MAX as u128 {
        update(&mut world, run, number, &json!(number as u64)).unwrap();
    }
    assert_eq!(standing(&world, run, 0), UpdateStanding::Forgotten);
    let UpdateStanding::Replied(made) = standing(&world, run, 1) else { panic!("it is remembered") };
    assert_eq!(made.value.to_value(), json!(1));
    let large = json!("x".repeat(REPLY_BYTES_MAX - 2));
    for number in 2_000..2_130 {
        update(&mut world, run, number, &large).unwrap();
    }
    assert_eq!(standing(&world, run, 2_001), UpdateStanding::Forgotten, "4 MiB of them");
    assert!(matches!(standing(&world, run, 2_129), UpdateStanding::Replied(_)));
}
