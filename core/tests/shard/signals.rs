//! What somebody outside says to a run: each signal is taken once, by whoever has waited longest for it.

use headwater_core::run::{
    Budget, RunCommand, RunRejection, RunStatus, SIGNAL_BYTES_MAX, SIGNAL_TAKERS_MAX, SIGNALS_KEPT_MAX, SIGNALS_MAX,
};
use headwater_core::shard::{Command, Rejection};
use headwater_core::{CommandId, Json, RunId};
use serde_json::{Value, json};

use crate::for_each::output;
use crate::parts::is_the_same_from_checkpoints;
use crate::world::World;

/// What is said, under a number of its own.
struct Said {
    number: u128,
    name: &'static str,
    key: Option<&'static str>,
    payload: Value,
    broadcast: bool,
}

fn said(number: u128, name: &'static str) -> Said {
    Said { number, name, key: None, payload: json!(number as u64), broadcast: false }
}

fn tell(world: &mut World, run: RunId, said: Said) -> Result<(), RunRejection> {
    let heard = say(world, run, said);
    world.settle();
    heard
}

/// The same, and nothing goes on by itself.
fn say(world: &mut World, run: RunId, said: Said) -> Result<(), RunRejection> {
    let Said { number, name, key, payload, broadcast } = said;
    let command = RunCommand::Signal {
        workspace: "default".parse().unwrap(),
        signal: CommandId::from_uuid(uuid::Uuid::from_u128(number)),
        name: name.parse().unwrap(),
        key: key.map(|key| key.parse().unwrap()),
        payload: Json::of(&payload),
        broadcast,
        update: false,
    };
    let decided = world.decide(Command::Run { run, command });
    decided.map(drop).map_err(|rejection| match rejection {
        Rejection::Run(rejection) => rejection,
        other => panic!("{other:?}"),
    })
}

fn waits(id: &str, action: Value) -> Value {
    let mut wait = json!({"id": id, "action": {"kind": "wait_signal"}});
    wait["action"].as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
    wait
}

/// A run of these nodes, each of which waits from the start on.
fn run_of(nodes: &[Value]) -> (World, RunId) {
    let mut world = World::with(&json!({"slug": "w", "nodes": nodes, "output": {}}));
    let run = world.start("w", json!({"order": 7}));
    world.settle();
    (world, run)
}

fn status(world: &World, run: RunId) -> RunStatus {
    world.shard.run(run).map_or_else(|| world.shard.ended_run(run).unwrap().status, |run| run.status())
}

#[test]
fn whoever_waits_goes_on_with_what_was_said() {
    let (mut world, run) = run_of(&[waits("a", json!({"name": "go"}))]);
    assert_eq!(world.timeline(run), "started a:try1");
    tell(&mut world, run, Said { payload: json!({"by": "ada"}), ..said(1, "go") }).unwrap();
    assert_eq!(world.timeline(run), "started a:try1 hears(go) a:takes a:ok SUCCEEDED");
    let made = output(&world, "a").unwrap();
    assert_eq!((&made["name"], &made["key"], &made["payload"]), (&json!("go"), &Value::Null, &json!({"by": "ada"})));
    assert_eq!(made["signalId"], json!(uuid::Uuid::from_u128(1)));
    assert!(made["receivedAt"].as_str().unwrap().starts_with("2025-06-15T"), "{made}");
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn what_comes_before_anybody_waits_is_kept_and_taken_in_its_order() {
    let before = json!({"id": "first", "action": {"kind": "sleep", "duration": "5s"}});
    let mut second = waits("b", json!({"name": "go"}));
    second["dependsOn"] = json!(["a"]);
    let mut first = waits("a", json!({"name": "go"}));
    first["dependsOn"] = json!(["first"]);
    let mut world = World::with(&json!({"slug": "w", "steps": [before, first, second], "output": {}}));
    let run = world.start("w", json!({}));
    for number in [3, 1, 2] {
        tell(&mut world, run, said(number, "go")).unwrap();
    }
    tell(&mut world, run, said(4, "other")).unwrap();
    world.pass(5);
    world.fire_timers();
    world.settle();
    assert_eq!(output(&world, "a").unwrap()["payload"], json!(3));
    assert_eq!(output(&world, "b").unwrap()["payload"], json!(1), "each once");
    assert_eq!(status(&world, run), RunStatus::Succeeded, "what nobody took goes with the run");
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn it_goes_by_name_and_key_to_who_has_waited_longest() {
    let nodes = [
        waits("seven", json!({"name": "paid", "key": "${{ input.order }}"})),
        waits("eight", json!({"name": "paid", "key": "8"})),
        waits("any", json!({"name": "paid"})),
        waits("later", json!({"name": "paid"})),
    ];
    let (mut world, run) = run_of(&nodes);
    let taken = |world: &World, node: &str| output(world, node).map(|made| made["payload"].clone());
    tell(&mut world, run, Said { key: Some("8"), ..said(1, "paid") }).unwrap();
    tell(&mut world, run, said(2, "paid")).unwrap();
    tell(&mut world, run, Said { key: Some("7"), ..said(3, "paid") }).unwrap();
    let all = ["seven", "eight", "any", "later"].map(|node| taken(&world, node));
    assert_eq!(all, [Some(json!(3)), Some(json!(1)), Some(json!(2)), None], "a key is none of theirs who name none");
    tell(&mut world, run, Said { key: Some("9"), ..said(4, "paid") }).unwrap();
    assert_eq!(world.shard.run(run).unwrap().signals_kept(), 1);
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn the_first_of_several_decides() {
    let (mut world, run) = run_of(&[waits("a", json!({"signals": [{"name": "yes"}, {"name": "no", "key": 1}]}))]);
    tell(&mut world, run, Said { key: Some("1"), ..said(1, "no") }).unwrap();
    assert_eq!(output(&world, "a").unwrap()["name"], "no");
    assert_eq!(status(&world, run), RunStatus::Succeeded);
}

#[test]
fn what_is_said_twice_is_heard_once_however_much_comes_between() {
    let (mut world, run) = run_of(&[waits("a", json!({"name": "go"})), waits("b", json!({"name": "stay"}))]);
    tell(&mut world, run, said(1, "go")).unwrap();
    // More than the shard remembers of commands.
    for number in 2..40 {
        tell(&mut world, run, said(number, "more")).unwrap();
    }
    let before = world.timeline(run);
    tell(&mut world, run, said(1, "go")).unwrap();
    tell(&mut world, run, said(17, "more")).unwrap();
    for other in
        [said(1, "stay"), Said { payload: json!(2), ..said(1, "go") }, Said { key: Some("k"), ..said(1, "go") }]
    {
        assert_eq!(tell(&mut world, run, other), Err(RunRejection::KeyReused { run }));
    }
    let all = Said { broadcast: true, ..said(1, "go") };
    assert_eq!(tell(&mut world, run, all), Err(RunRejection::KeyReused { run }));
    assert_eq!(world.timeline(run), before);
}

#[test]
fn what_does_not_come_in_time_fails_the_node_and_may_come_later() {
    let mut wait = waits("a", json!({"name": "go"}));
    wait["timeout"] = json!("10s");
    let nodes = [wait, json!({"id": "late", "action": "noop"}), waits("again", json!({"name": "go"}))];
    let transitions = json!([{"from": "a", "to": "late", "on": "failure"}, {"from": "late", "to": "again"}]);
    let mut world = World::with(&json!({"slug": "w", "nodes": nodes, "transitions": transitions, "output": {}}));
    let run = world.start("w", json!({}));
    world.settle();
    world.pass(11);
    world.fire_timers();
    world.settle();
    assert_eq!(
        world.timeline(run),
        "started a:try1 a:failed(timeout) a:dead(timeout) late:ok again:try1",
        "it is not tried again unless the node says so"
    );
    tell(&mut world, run, said(1, "go")).unwrap();
    assert_eq!(output(&world, "again").unwrap()["payload"], json!(1));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn items_of_a_for_each_wait_for_their_own() {
    let body = waits("one", json!({"name": "done", "key": "${{ item }}"}));
    let each = json!({"id": "each", "forEach": {"items": ["x", "y", "z"], "body": body}});
    let (mut world, run) = run_of(&[each]);
    for (number, key) in [(1, "z"), (2, "x"), (3, "y")] {
        tell(&mut world, run, Said { key: Some(key), ..said(number, "done") }).unwrap();
    }
    let made = output(&world, "each").unwrap();
    let payloads: Vec<_> = made.as_array().unwrap().iter().map(|item| item["payload"].clone()).collect();
    assert_eq!(payloads, [json!(2), json!(3), json!(1)]);
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn what_all_are_told_all_take_who_wait_and_nobody_later() {
    let nodes =
        [waits("a", json!({"name": "go"})), waits("b", json!({"name": "go"})), waits("c", json!({"name": "no"}))];
    let (mut world, run) = run_of(&nodes);
    tell(&mut world, run, Said { broadcast: true, ..said(1, "nobody") }).unwrap();
    tell(&mut world, run, Said { broadcast: true, ..said(2, "go") }).unwrap();
    assert_eq!(
        (output(&world, "a").unwrap()["payload"].clone(), output(&world, "b").unwrap()["payload"].clone()),
        (json!(2), json!(2))
    );
    assert_eq!(world.shard.run(run).unwrap().signals_kept(), 0);
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn a_run_keeps_and_receives_no_more_than_it_can() {
    let (mut world, run) = run_of(&[waits("a", json!({"name": "go"}))]);
    for number in 0..SIGNALS_KEPT_MAX as u128 {
        tell(&mut world, run, said(number, "early")).unwrap();
    }
    let full = RunRejection::SignalsFull { kept: SIGNALS_KEPT_MAX };
    assert_eq!(tell(&mut world, run, said(5_000, "early")), Err(full));
    for number in SIGNALS_KEPT_MAX as u128..SIGNALS_MAX as u128 {
        tell(&mut world, run, Said { broadcast: true, ..said(number, "early") }).unwrap();
    }
    assert_eq!(tell(&mut world, run, said(20_000, "go")), Err(RunRejection::SignalsExhausted));
    tell(&mut world, run, said(7, "early")).unwrap();
    assert_eq!(status(&world, run), RunStatus::Running);
}

#[test]
fn payloads_are_bounded_by_their_bytes_their_depth_and_all_together() {
    let (mut world, run) = run_of(&[waits("a", json!({"name": "go"}))]);
    let invalid = |refused: Result<(), RunRejection>| matches!(refused, Err(RunRejection::SignalInvalid { .. }));
    let large = json!("x".repeat(SIGNAL_BYTES_MAX));
    assert!(invalid(tell(&mut world, run, Said { payload: large, ..said(1, "go") })));
    let deep = (0..65).fold(json!(1), |inner, _| json!([inner]));
    assert!(invalid(tell(&mut world, run, Said { payload: deep, ..said(2, "go") })));
    let half = json!("x".repeat(SIGNAL_BYTES_MAX / 2));
    let kept = (3..100)
        .take_while(|number| tell(&mut world, run, Said { payload: half.clone(), ..said(*number, "early") }).is_ok());
    assert_eq!(kept.count(), 31, "4 MiB");
    tell(&mut world, run, Said { payload: half, ..said(200, "go") }).unwrap();
    assert_eq!(status(&world, run), RunStatus::Succeeded, "what is taken at once needs no room");
}

#[test]
fn no_more_nodes_take_one_signal_than_one_decision_can() {
    let each = |items: usize| {
        let body = waits("one", json!({"name": "go"}));
        run_of(&[json!({"id": "each", "forEach": {"items": items, "body": body}})])
    };
    let (mut world, run) = each(SIGNAL_TAKERS_MAX + 1);
    let refused = tell(&mut world, run, Said { broadcast: true, ..said(1, "go") });
    assert!(matches!(refused, Err(RunRejection::SignalInvalid { .. })), "{refused:?}");
    tell(&mut world, run, said(2, "go")).unwrap();
    tell(&mut world, run, Said { broadcast: true, ..said(1, "go") }).unwrap();
    assert_eq!(status(&world, run), RunStatus::Succeeded);
}

#[test]
fn who_is_of_another_workspace_or_comes_too_late_says_nothing() {
    let (mut world, run) = run_of(&[waits("a", json!({"name": "go"}))]);
    let command = RunCommand::Signal {
        workspace: "other".parse().unwrap(),
        signal: CommandId::from_uuid(uuid::Uuid::from_u128(1)),
        name: "go".parse().unwrap(),
        key: None,
        payload: Json::null(),
        broadcast: false,
        update: false,
    };
    let refused = world.decide(Command::Run { run, command }).unwrap_err();
    assert_eq!(refused, Rejection::Run(RunRejection::RunNotFound));
    tell(&mut world, run, said(2, "go")).unwrap();
    let closed = RunRejection::RunClosed { status: RunStatus::Succeeded, successor: None };
    assert_eq!(tell(&mut world, run, said(3, "go")), Err(closed));
}

#[test]
fn a_key_that_is_none_fails_the_node() {
    for (key, code) in
        [("${{ [1] }}", "signal_key"), ("${{ '' }}", "signal_key"), ("${{ input.nothing }}", "expression_error")]
    {
        let (world, run) = run_of(&[waits("a", json!({"name": "go", "key": key}))]);
        assert_eq!(world.timeline(run), format!("started a:dead({code}) FAILED({code})"), "{key}");
    }
}

#[test]
fn what_waits_is_withdrawn_with_its_run_and_takes_nothing() {
    let nodes = [
        waits("a", json!({"name": "go"})),
        json!({"id": "b", "action": {"kind": "sleep", "duration": "1s"}}),
        json!({"id": "c", "action": {"kind": "fail", "code": "meant", "message": "m"}, "dependsOn": ["b"]}),
    ];
    let mut world = World::with(&json!({"slug": "w", "steps": nodes}));
    let run = world.start("w", json!({}));
    world.settle();
    world.pass(2);
    world.fire_timers();
    world.settle();
    assert!(world.timeline(run).ends_with("c:dead(meant) a:cancelled FAILED(meant)"), "{}", world.timeline(run));
}

#[test]
fn what_was_taken_by_who_is_withdrawn_before_he_goes_on_is_there_again() {
    let body = waits("one", json!({"name": "go"}));
    let each = json!({"id": "each", "forEach": {"items": 2, "timeout": "10s", "onTimeout": "proceed", "body": body}});
    let mut later = waits("later", json!({"name": "go"}));
    later["dependsOn"] = json!(["each"]);
    // What is said fills most of a decision: it is taken in it, and gone on with in the next.
    let budget = Budget { bytes: 100 << 10, ..Budget::default() };
    let mut world = World::bounded(budget);
    world.apply(&json!({"slug": "w", "steps": [each, later], "output": {}}));
    let run = world.start("w", json!({}));
    world.settle();
    for number in [1, 2] {
        let payload = json!([number as u64, "x".repeat(60_000)]);
        say(&mut world, run, Said { payload, ..said(number, "go") }).unwrap();
    }
    assert!(world.timeline(run).ends_with("hears(go) one@1:takes hears(go) one@2:takes"), "{}", world.timeline(run));
    world.pass(11);
    world.fire_timers();
    world.settle();
    assert_eq!(output(&world, "each"), Some(json!([])), "{}", world.timeline(run));
    assert_eq!(output(&world, "later").unwrap()["payload"][0], json!(1), "{}", world.timeline(run));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn what_is_there_again_goes_to_who_waits_for_it_then() {
    let body = waits("one", json!({"name": "go"}));
    let each = json!({"id": "each", "forEach": {"items": 2, "timeout": "10s", "onTimeout": "proceed", "body": body}});
    // It begins to wait after the items.
    let before = (0..6).map(|n| json!({"id": format!("n{n}"), "action": "noop", "dependsOn": (0..n).rev().take(1).map(|m| format!("n{m}")).collect::<Vec<_>>()}));
    let mut other = waits("other", json!({"name": "go"}));
    other["dependsOn"] = json!(["n5"]);
    let steps: Vec<Value> = [each].into_iter().chain(before).chain([other]).collect();
    let mut world = World::bounded(Budget { bytes: 100 << 10, ..Budget::default() });
    world.apply(&json!({"slug": "w", "steps": steps, "output": {}}));
    let run = world.start("w", json!({}));
    world.settle();
    for number in [1, 2] {
        let payload = json!([number as u64, "x".repeat(60_000)]);
        say(&mut world, run, Said { payload, ..said(number, "go") }).unwrap();
    }
    assert!(world.timeline(run).ends_with("hears(go) one@1:takes hears(go) one@2:takes"), "{}", world.timeline(run));
    world.pass(11);
    world.fire_timers();
    world.settle();
    assert_eq!(output(&world, "other").unwrap()["payload"][0], json!(1), "{}", world.timeline(run));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn a_large_payload_is_refused_where_there_is_no_memory_for_it() {
    let mut world = World::bounded(Budget { held: 80 << 10, ..Budget::default() });
    world.apply(&json!({"slug": "w", "steps": [waits("a", json!({"name": "go"}))], "output": {}}));
    let run = world.start("w", json!({}));
    world.settle();
    let large = json!("x".repeat(100 << 10));
    let refused = tell(&mut world, run, Said { payload: large, ..said(1, "go") });
    assert_eq!(refused, Err(RunRejection::SignalsFull { kept: 0 }));
    tell(&mut world, run, said(1, "go")).unwrap();
    assert_eq!(status(&world, run), RunStatus::Succeeded, "what was refused was not received");
}
