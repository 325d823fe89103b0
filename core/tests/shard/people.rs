//! What people are asked: who may answer, what an answer has to be, when it is too late; and that each is received once.

use headwater_core::run::{ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX, ANSWERS_MAX, RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection};
use headwater_core::{Actor, Attempt, CommandId, Json, NodeAddress, RunId};
use serde_json::{Value, json};

use crate::for_each::output;
use crate::parts::is_the_same_from_checkpoints;
use crate::world::World;

const ADA: &str = "ada";

pub fn person(name: &str) -> Actor {
    Actor::Claimed(name.parse().unwrap())
}

fn wish(world: &mut World, run: RunId, command: RunCommand) -> Result<(), RunRejection> {
    let decided = world.decide(Command::Run { run, command });
    world.settle();
    decided.map(drop).map_err(|rejection| match rejection {
        Rejection::Run(rejection) => rejection,
        other => panic!("{other:?}"),
    })
}

fn node(text: &str) -> NodeAddress {
    text.parse().unwrap()
}

/// Somebody answers, under a number of its own.
fn answer(world: &mut World, run: RunId, at: &str, number: u128, by: &str, value: &Value) -> Result<(), RunRejection> {
    let answer = CommandId::from_uuid(uuid::Uuid::from_u128(number));
    let (workspace, node, value) = ("default".parse().unwrap(), node(at), Json::of(value));
    let command = RunCommand::AnswerPerson { workspace, node, attempt: None, answer, by: person(by), value };
    wish(world, run, command)
}

fn reassign(world: &mut World, run: RunId, at: &str, to: &[&str]) -> Result<(), RunRejection> {
    let assignees = to.iter().map(|name| name.parse().unwrap()).collect();
    let (workspace, node, by) = ("default".parse().unwrap(), node(at), Some(person("boss")));
    let reason = "away".to_owned();
    let id = world.fresh_id();
    wish(world, run, RunCommand::ReassignPerson { workspace, id, node, attempt: None, assignees, by, reason })
}

/// A run that asks at `gate`, with a way for either outcome.
fn asks(more: &Value) -> (World, RunId) {
    let mut gate = json!({"id": "gate", "action": {"kind": "human_input", "title": "Publish ${{ input.what }}?",
        "form": {"type": "object", "required": ["publish"], "properties": {"publish": {"type": "boolean"}}}}});
    gate["action"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let yes = json!({"id": "yes", "action": "noop"});
    let no = json!({"id": "no", "action": {"kind": "transform", "output": "${{ error.code }}"}});
    let transitions = json!([{"from": "gate", "to": "yes"}, {"from": "gate", "to": "no", "on": "failure"}]);
    let document = json!({"slug": "w", "nodes": [gate, yes, no], "transitions": transitions, "output": {}});
    let mut world = World::with(&document);
    let run = world.start("w", json!({"what": "it", "who": ["ada", "bo"]}));
    world.settle();
    (world, run)
}

fn pass(world: &mut World, seconds: u64) {
    world.pass(seconds);
    world.fire_timers();
    world.settle();
}

/// The task is closed, or its run has ended.
fn is_over(refused: Result<(), RunRejection>) -> bool {
    matches!(refused, Err(RunRejection::TaskClosed | RunRejection::RunClosed { .. }))
}

fn asked(world: &World) -> Value {
    let events = world.commits.iter().flat_map(|commit| &commit.events);
    let mut found = events.map(|event| serde_json::to_value(event).unwrap()["run"]["personAsked"]["task"].clone());
    found.find(|task| !task.is_null()).unwrap()
}

#[test]
fn the_answer_is_what_the_node_has_made() {
    let (mut world, run) =
        asks(&json!({"description": "by ${{ input.who[0] }}", "assignees": "${{ input.who }}", "due": "2h"}));
    let task = asked(&world);
    assert_eq!((&task["title"], &task["description"]), (&json!("Publish it?"), &json!("by ada")));
    assert_eq!((&task["assignees"], &task["quorum"]), (&json!(["ada", "bo"]), &json!(1)));
    assert_eq!(world.timeline(run), "started gate:try1 gate:asked");
    answer(&mut world, run, "gate", 1, "bo", &json!({"publish": true})).unwrap();
    assert_eq!(output(&world, "gate"), Some(json!({"publish": true})));
    let words = "started gate:try1 gate:asked gate:answered gate:ok yes:ok no:skipped SUCCEEDED";
    assert_eq!(world.timeline(run), words);
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn an_answer_that_breaks_the_form_is_refused_with_its_place_and_the_task_stays_open() {
    let (mut world, run) = asks(&json!({}));
    let before = world.timeline(run);
    let refused = answer(&mut world, run, "gate", 1, ADA, &json!({"publish": "maybe"})).unwrap_err();
    let RunRejection::AnswerInvalid { message } = &refused else { panic!("{refused:?}") };
    assert!(message.contains("(at /publish)"), "{message}");
    assert_eq!(world.timeline(run), before);
    answer(&mut world, run, "gate", 1, ADA, &json!({"publish": false})).unwrap();
    assert_eq!(world.shard.ended_run(run).unwrap().status, RunStatus::Succeeded);
}

#[test]
fn a_wrong_answer_takes_its_transition_where_the_definition_says_so() {
    let (mut world, run) = asks(&json!({"onInvalid": "fail"}));
    answer(&mut world, run, "gate", 1, ADA, &json!({})).unwrap();
    assert_eq!(output(&world, "no"), Some(json!("human_answer_invalid")), "{}", world.timeline(run));
    assert!(world.timeline(run).contains("gate:answered gate:failed(human_answer_invalid) gate:dead"));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn whoever_is_late_is_refused_and_the_time_takes_its_transition() {
    let (mut world, run) = asks(&json!({"due": "100s"}));
    pass(&mut world, 74);
    assert_eq!(world.timeline(run), "started gate:try1 gate:asked");
    pass(&mut world, 1);
    assert_eq!(world.timeline(run), "started gate:try1 gate:asked gate:reminded", "at three quarters");
    is_the_same_from_checkpoints(&world, run);
    world.pass(25);
    // The time is over, and nothing has noticed yet.
    let yes = json!({"publish": true});
    assert_eq!(answer(&mut world, run, "gate", 1, ADA, &yes), Err(RunRejection::TaskClosed));
    assert_eq!(reassign(&mut world, run, "gate", &["bo"]), Err(RunRejection::TaskClosed));
    pass(&mut world, 0);
    assert_eq!(output(&world, "no"), Some(json!("human_overdue")), "{}", world.timeline(run));
    assert!(is_over(answer(&mut world, run, "gate", 1, ADA, &yes)), "also when the run is over");
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn who_was_asleep_all_the_time_reminds_nobody() {
    let (mut world, run) = asks(&json!({"due": "100s"}));
    pass(&mut world, 500);
    assert!(world.timeline(run).starts_with("started gate:try1 gate:asked gate:failed(human_overdue)"));
}

#[test]
fn what_was_not_answered_is_asked_again_only_where_the_node_says_so() {
    let gate = json!({"id": "gate", "retry": {"maxAttempts": 2, "delay": "1s"},
        "action": {"kind": "human_input", "title": "${{ 'a' }}", "form": true, "due": "10s"}});
    let mut world = World::with(&json!({"slug": "w", "nodes": [gate]}));
    let run = world.start("w", json!({}));
    [8, 3, 2].into_iter().for_each(|seconds| pass(&mut world, seconds));
    let words =
        "started gate:try1 gate:asked gate:reminded gate:failed(human_overdue) gate:retry2 gate:try2 gate:asked";
    assert_eq!(world.timeline(run), words);
    let late = RunCommand::AnswerPerson {
        workspace: "default".parse().unwrap(),
        node: node("gate"),
        attempt: Some(Attempt::FIRST),
        answer: CommandId::from_uuid(uuid::Uuid::from_u128(7)),
        by: person(ADA),
        value: Json::null(),
    };
    assert_eq!(wish(&mut world, run, late), Err(RunRejection::TaskClosed), "it was for the first");
    answer(&mut world, run, "gate", 8, ADA, &Value::Null).unwrap();
    assert!(world.timeline(run).ends_with("gate:asked gate:answered gate:ok SUCCEEDED"));
}

#[test]
fn a_quorum_counts_distinct_names_in_the_order_in_which_they_answer() {
    let (mut world, run) = asks(&json!({"quorum": 2, "assignees": ["ada", "bo", "cy"], "form": true}));
    answer(&mut world, run, "gate", 1, "cy", &json!(3)).unwrap();
    assert_eq!(answer(&mut world, run, "gate", 2, "cy", &json!(4)), Err(RunRejection::AlreadyAnswered));
    assert_eq!(answer(&mut world, run, "gate", 3, "eve", &json!(4)), Err(RunRejection::NotAssigned));
    is_the_same_from_checkpoints(&world, run);
    world.pass(5);
    answer(&mut world, run, "gate", 4, "ada", &json!(1)).unwrap();
    let made = output(&world, "gate").unwrap();
    let told: Vec<_> = made.as_array().unwrap().iter().map(|one| (one["by"].clone(), one["value"].clone())).collect();
    assert_eq!(told, [(json!("cy"), json!(3)), (json!("ada"), json!(1))]);
    assert!(made[0]["at"].as_str().unwrap() < made[1]["at"].as_str().unwrap(), "{made}");
    assert!(is_over(answer(&mut world, run, "gate", 5, "bo", &json!(2))), "the second hears it");
}

#[test]
fn what_is_answered_twice_is_received_once() {
    let (mut world, run) = asks(&json!({"quorum": 3, "form": true}));
    answer(&mut world, run, "gate", 1, ADA, &json!(1)).unwrap();
    let before = world.timeline(run);
    answer(&mut world, run, "gate", 1, ADA, &json!(1)).unwrap();
    assert_eq!(world.timeline(run), before);
    for (by, value) in [("bo", 1), (ADA, 2)] {
        assert_eq!(answer(&mut world, run, "gate", 1, by, &json!(value)), Err(RunRejection::KeyReused { run }));
    }
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn others_are_asked_instead_and_who_has_answered_counts() {
    let (mut world, run) = asks(&json!({"quorum": 2, "assignees": ["ada", "bo"], "form": true}));
    answer(&mut world, run, "gate", 1, ADA, &json!(1)).unwrap();
    for nobody in [&[][..], &["ada"]] {
        let refused = reassign(&mut world, run, "gate", nobody);
        assert!(matches!(refused, Err(RunRejection::AssigneesInvalid { .. })), "{refused:?}");
    }
    reassign(&mut world, run, "gate", &["cy"]).unwrap();
    let before = world.timeline(run);
    assert!(before.ends_with("gate:answered gate:reassigned"), "{before}");
    reassign(&mut world, run, "gate", &["cy"]).unwrap();
    assert_eq!(world.timeline(run), before, "it changes nothing");
    is_the_same_from_checkpoints(&world, run);
    assert_eq!(answer(&mut world, run, "gate", 2, "bo", &json!(2)), Err(RunRejection::NotAssigned));
    answer(&mut world, run, "gate", 3, "cy", &json!(2)).unwrap();
    assert!(is_over(reassign(&mut world, run, "gate", &["bo"])));
}

#[test]
fn nobody_is_asked_where_nobody_is() {
    let later =
        json!({"id": "later", "dependsOn": ["b"], "action": {"kind": "human_input", "title": "t", "form": true}});
    let steps = json!([{"id": "b", "action": {"kind": "sleep", "duration": "5s"}}, later]);
    let mut world = World::with(&json!({"slug": "w", "steps": steps}));
    let run = world.start("w", json!({}));
    world.settle();
    for at in ["b", "later", "nothing", "later@7"] {
        assert_eq!(answer(&mut world, run, at, 1, ADA, &json!(1)), Err(RunRejection::TaskNotFound), "{at}");
        assert_eq!(reassign(&mut world, run, at, &["bo"]), Err(RunRejection::TaskNotFound), "{at}");
    }
    pass(&mut world, 5);
    let other = RunCommand::AnswerPerson {
        workspace: "other".parse().unwrap(),
        node: node("later"),
        attempt: None,
        answer: CommandId::from_uuid(uuid::Uuid::from_u128(1)),
        by: person(ADA),
        value: Json::null(),
    };
    assert_eq!(wish(&mut world, run, other), Err(RunRejection::RunNotFound));
}

#[test]
fn who_is_asked_is_withdrawn_with_the_run_and_with_its_branch() {
    let body = json!({"id": "one", "action": {"kind": "human_input", "title": "t ${{ item }}", "form": true}});
    let each = json!({"id": "each", "forEach": {"items": 3, "join": "any", "body": body}});
    let mut world = World::with(&json!({"slug": "w", "nodes": [each], "output": {}}));
    let run = world.start("w", json!({}));
    world.settle();
    answer(&mut world, run, "one@2", 1, ADA, &json!("yes")).unwrap();
    assert!(world.timeline(run).contains("one@1:cancelled"), "{}", world.timeline(run));
    assert_eq!(output(&world, "each"), Some(json!(["yes"])));
    assert!(is_over(answer(&mut world, run, "one@1", 2, ADA, &json!("no"))));
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn what_cannot_be_asked_fails_its_node() {
    for (field, wrong) in [
        ("title", json!("${{ 7 }}")),
        ("title", json!("${{ '' }}")),
        ("description", json!("${{ [1] }}")),
        ("assignees", json!("${{ 'ada' }}")),
        ("assignees", json!(["${{ ' ada' }}"])),
        ("due", json!("${{ 'soon' }}")),
        ("due", json!("${{ input.nothing }}")),
    ] {
        let (world, run) = asks(&json!({(field): wrong.clone()}));
        assert_eq!(output(&world, "no"), Some(json!("human_task")), "{field} {wrong}: {}", world.timeline(run));
    }
    let (world, _) = asks(&json!({"assignees": "${{ input.who }}", "quorum": 3}));
    assert_eq!(output(&world, "no"), Some(json!("human_task")));
}

#[test]
fn answers_are_bounded_by_their_bytes_their_depth_and_their_number() {
    let invalid = |refused: Result<(), RunRejection>| matches!(refused, Err(RunRejection::AnswerInvalid { .. }));
    let (mut world, run) = asks(&json!({"quorum": 100, "form": true}));
    assert!(invalid(answer(&mut world, run, "gate", 1, ADA, &json!("x".repeat(ANSWER_BYTES_MAX)))));
    let deep = (0..65).fold(json!(1), |inner, _| json!([inner]));
    assert!(invalid(answer(&mut world, run, "gate", 1, ADA, &deep)));
    let large = json!("x".repeat(ANSWER_BYTES_MAX - 2));
    let most = (ANSWERS_BYTES_MAX / ANSWER_BYTES_MAX) as u128;
    for number in 1..=most {
        answer(&mut world, run, "gate", number, &format!("p{number}"), &large).unwrap();
    }
    assert!(invalid(answer(&mut world, run, "gate", 90, "late", &json!(1))));
    assert_eq!(ANSWERS_MAX, 10_000);
}
