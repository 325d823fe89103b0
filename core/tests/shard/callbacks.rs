//! Attempts that somebody outside ends: by a token that only the attempt has, or under its key.

use headwater_core::run::{CALLBACKS_KEPT_MAX, CallbackToken, CalledBack, RunCommand, RunRejection, awaited_callback};
use headwater_core::shard::{Command, Rejection};
use headwater_core::{CommandId, Json, RunId};
use serde_json::{Value, json};

use crate::calls::output;
use crate::continued_as::say;
use crate::parts::is_the_same_from_checkpoints;
use crate::world::World;

fn one(action: Value, more: Value) -> Value {
    let mut node = json!({"id": "gate", "action": action});
    node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"slug": "w", "steps": [node], "output": {"got": "${{ nodes.gate.output }}"}})
}

fn run_of(action: Value, more: Value) -> (World, RunId) {
    let mut world = World::with(&one(action, more));
    let run = world.start("w", json!({"n": 7}));
    (world, run)
}

fn token(world: &World, run: RunId) -> CallbackToken {
    awaited_callback(world.shard.run(run).expect("it goes on"), &"gate".parse().unwrap()).expect("it is waited for")
}

fn tell(world: &mut World, token: &CallbackToken, said: CalledBack) -> Result<(), RunRejection> {
    let CallbackToken { run, node, attempt, proof } = token.clone();
    let command = Command::Run { run, command: RunCommand::CallBack { node, attempt, proof, said } };
    let decided = world.decide(command);
    world.settle();
    match decided {
        Ok(_) => Ok(()),
        Err(Rejection::Run(rejection)) => Err(rejection),
        Err(other) => panic!("{other:?}"),
    }
}

fn done(value: Value) -> CalledBack {
    CalledBack::Output { output: Json::of(&value) }
}

fn failed(permanent: bool) -> CalledBack {
    CalledBack::Error { code: "no_luck".into(), message: "today".into(), permanent, details: None }
}

#[test]
fn whoever_has_the_token_ends_the_attempt() {
    let (mut world, run) = run_of(json!("callback"), json!({}));
    assert_eq!(world.timeline(run), "started gate:try1 gate:waits");
    let token = token(&world, run);
    assert_eq!(token.to_string().parse::<CallbackToken>().unwrap(), token);
    tell(&mut world, &token, done(json!({"ok": true}))).unwrap();
    assert_eq!(output(&world, run), json!({"got": {"ok": true}}));
    assert_eq!(world.timeline(run), "started gate:try1 gate:waits gate:ok called(back) SUCCEEDED");
    is_the_same_from_checkpoints(&world, run);
    let late = tell(&mut world, &token, done(json!(2)));
    assert!(matches!(late, Err(RunRejection::RunClosed { .. })), "{late:?}");
}

#[test]
fn a_token_that_is_not_its_own_ends_nothing() {
    let (mut world, run) = run_of(json!("callback"), json!({"retry": {"maxAttempts": 3, "backoff": "none"}}));
    let mine = token(&world, run);
    let before = world.commits.len();
    let guessed = CallbackToken { proof: CommandId::from_uuid(uuid::Uuid::from_u128(1)), ..mine.clone() };
    let elsewhere = CallbackToken { node: "gate@3".parse().unwrap(), ..mine.clone() };
    let later = CallbackToken { attempt: mine.attempt.next(), ..mine.clone() };
    for token in [&guessed, &elsewhere, &later] {
        for said in [done(json!(1)), failed(true), CalledBack::Alive {}] {
            assert_eq!(tell(&mut world, token, said), Err(RunRejection::CallbackNotFound));
        }
    }
    let other = world.start("w", json!({}));
    let foreign = CallbackToken { run: other, ..mine.clone() };
    assert_eq!(tell(&mut world, &foreign, done(json!(1))), Err(RunRejection::CallbackNotFound));
    assert_eq!(world.commits.len(), before + 1);
    // Each attempt has a token of its own.
    tell(&mut world, &mine, failed(false)).unwrap();
    let second = token(&world, run);
    assert_ne!(second.proof, mine.proof);
    assert_eq!(tell(&mut world, &mine, done(json!(1))), Err(RunRejection::CallbackClosed));
    assert_eq!(tell(&mut world, &mine, CalledBack::Alive {}), Err(RunRejection::CallbackClosed));
    // As it was ended it changes nothing.
    assert_eq!(tell(&mut world, &mine, failed(false)), Ok(()));
    tell(&mut world, &second, failed(true)).unwrap();
    assert!(world.timeline(run).ends_with("FAILED(no_luck)"), "{}", world.timeline(run));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn an_attempt_that_is_not_ended_in_time_fails_and_its_token_is_closed() {
    let more = json!({"timeout": "60s", "heartbeatTimeout": "8s", "retry": {"maxAttempts": 2, "backoff": "none"}});
    let (mut world, run) = run_of(json!("callback"), more);
    let first = token(&world, run);
    // It is heard for as long as there are signs of life, not every one of which is taken down.
    for second in 0..30 {
        world.pass(1);
        world.fire_timers();
        world.settle();
        assert_eq!(tell(&mut world, &first, CalledBack::Alive {}), Ok(()), "after {second} seconds");
    }
    let signs = world.timeline(run).matches("gate:alive").count();
    assert_eq!(signs, 15);
    is_the_same_from_checkpoints(&world, run);
    world.pass(9);
    world.fire_timers();
    assert_eq!(token(&world, run), first, "a quarter longer, because of those that are not taken down");
    world.pass(2);
    world.fire_timers();
    world.settle();
    assert!(
        world.timeline(run).contains("gate:failed(heartbeat_timeout) gate:retry2 gate:try2"),
        "{}",
        world.timeline(run)
    );
    assert_eq!(tell(&mut world, &first, done(json!(1))), Err(RunRejection::CallbackClosed));
    let second = token(&world, run);
    for _ in 0..30 {
        world.pass(2);
        let _may_be_over = tell(&mut world, &second, CalledBack::Alive {});
        world.fire_timers();
        world.settle();
    }
    assert!(
        world.timeline(run).ends_with("gate:failed(timeout) gate:dead(timeout) FAILED(timeout)"),
        "{}",
        world.timeline(run)
    );
}

#[test]
fn one_that_never_gives_a_sign_of_life_is_silent_from_its_start() {
    let (mut world, run) = run_of(json!("callback"), json!({"heartbeatTimeout": "8s"}));
    world.pass(8);
    world.fire_timers();
    world.settle();
    assert!(world.timeline(run).ends_with("FAILED(heartbeat_timeout)"), "{}", world.timeline(run));
}

#[test]
fn what_comes_before_the_node_is_reached_is_kept_under_its_key_and_taken_once() {
    let document = json!({"slug": "w", "steps": [
        {"id": "nap", "action": {"kind": "sleep", "duration": "5s"}},
        {"id": "gate", "dependsOn": ["nap"], "action": {"kind": "callback", "key": "${{ input.n }}"}},
        {"id": "again", "dependsOn": ["gate"], "action": {"kind": "callback", "key": "${{ input.n }}"}}]});
    let mut world = World::with(&document);
    let run = world.start("w", json!({"n": 7}));
    let call = |world: &mut World, number: u128, payload: Value| {
        let command = RunCommand::Signal {
            workspace: "default".parse().unwrap(),
            signal: CommandId::from_uuid(uuid::Uuid::from_u128(number)),
            name: "callback".parse().unwrap(),
            key: Some("7".parse().unwrap()),
            payload: Json::of(&payload),
            broadcast: false,
            update: false,
        };
        world.decide(Command::Run { run, command }).map(drop)
    };
    call(&mut world, 1, json!({"output": "early"})).unwrap();
    call(&mut world, 1, json!({"output": "early"})).unwrap();
    say(&mut world, run, 9, "callback").unwrap();
    world.pass(5);
    world.fire_timers();
    world.settle();
    let told = world.timeline(run);
    assert!(told.contains("gate:try1 gate:waits gate:takes gate:ok again:try1 again:waits"), "{told}");
    is_the_same_from_checkpoints(&world, run);
    let again = awaited_callback(world.shard.run(run).unwrap(), &"again".parse().unwrap()).unwrap();
    call(&mut world, 2, json!({"error": {"code": "nope", "message": "no"}, "more": 1})).unwrap();
    world.settle();
    assert!(world.timeline(run).ends_with("FAILED(callback_invalid)"), "{}", world.timeline(run));
    assert!(tell(&mut world, &again, done(json!(1))).is_err());
}

#[test]
fn an_output_is_held_to_the_schema_and_the_size_of_the_node() {
    let schema =
        json!({"outputSchema": {"type": "object", "required": ["ok"]}, "retry": {"maxAttempts": 2, "backoff": "none"}});
    let (mut world, run) = run_of(json!("callback"), schema);
    let first = token(&world, run);
    tell(&mut world, &first, done(json!({"no": 1}))).unwrap();
    assert!(world.timeline(run).contains("action_output"), "{}", world.timeline(run));
    let (mut world, run) = run_of(json!("callback"), json!({"retry": {"maxAttempts": 2, "backoff": "none"}}));
    let first = token(&world, run);
    tell(&mut world, &first, done(json!("x".repeat(2 << 20)))).unwrap();
    assert!(world.timeline(run).ends_with("FAILED(output_too_large)"), "{}", world.timeline(run));
    let mut deep = json!(1);
    (0..80).for_each(|_| deep = json!([deep]));
    let (mut world, run) = run_of(json!("callback"), json!({}));
    let first = token(&world, run);
    tell(&mut world, &first, done(deep)).unwrap();
    assert!(world.timeline(run).ends_with("FAILED(output_invalid)"), "{}", world.timeline(run));
}

#[test]
fn an_asset_that_the_node_produces_is_what_is_called_back() {
    let (mut world, run) = run_of(json!("callback"), json!({"produces": [{"assetId": "site.page"}]}));
    let first = token(&world, run);
    tell(&mut world, &first, done(json!({"page": 1}))).unwrap();
    world.deliver_submissions();
    world.settle();
    assert!(world.timeline(run).contains("site.page@1"), "{}", world.timeline(run));
}

#[test]
fn while_a_run_is_paused_callbacks_are_heard_and_time_goes_on() {
    let (mut world, run) = run_of(json!("callback"), json!({"heartbeatTimeout": "8s"}));
    let first = token(&world, run);
    let pause = headwater_core::run::Operation::Pause { node: None };
    let id = world.fresh_id();
    let command = RunCommand::Operate { workspace: "default".parse().unwrap(), id, operation: pause, reason: None };
    world.decide(Command::Run { run, command }).unwrap();
    world.pass(6);
    assert_eq!(tell(&mut world, &first, CalledBack::Alive {}), Ok(()));
    world.pass(11);
    world.fire_timers();
    world.settle();
    assert!(world.timeline(run).contains("gate:failed(heartbeat_timeout)"), "{}", world.timeline(run));
}

#[test]
fn a_run_remembers_so_many_callbacks_that_are_over() {
    let document = json!({"slug": "w", "nodes": [{"id": "gate", "action": "callback", "onNoRoute": "end"}],
        "transitions": [{"from": "gate", "to": "gate", "maxIterations": 2_000}]});
    let mut world = World::with(&document);
    let run = world.start("w", json!({}));
    let mut tokens = Vec::new();
    let at = |world: &World, turn: u32| {
        awaited_callback(world.shard.run(run).unwrap(), &format!("gate@{turn}").parse().unwrap()).unwrap()
    };
    for turn in 1..=CALLBACKS_KEPT_MAX as u32 + 1 {
        let token = at(&world, turn);
        tell(&mut world, &token, done(json!(turn))).unwrap();
        tokens.push(token);
    }
    assert_eq!(tell(&mut world, &tokens[0], done(json!(1))), Err(RunRejection::CallbackNotFound));
    assert_eq!(tell(&mut world, &tokens[1], done(json!(2))), Ok(()));
    assert_eq!(tell(&mut world, &tokens[1], done(json!(3))), Err(RunRejection::CallbackClosed));
}
