//! Results that were made before: who gets them, who makes them, and what becomes of those who wait.

use headwater_core::dialogue::{Asker, MemoAnswer, MemoCommand};
use headwater_core::memo::{ASKERS_MAX, KEPT_BYTES_MAX, KEPT_MAX, Memo, MemoEvent, MemoKey, decide};
use headwater_core::run::{RunCommand, RunEvent};
use headwater_core::shard::{AggregateId, Command, Effect, Event};
use headwater_core::{Json, RunId, Timestamp};
use serde_json::{Value, json};

use crate::world::{World, empty, failed, ok};

fn job(reuse: Value) -> Value {
    json!({"slug": "w", "steps": [{"id": "a", "jobSlug": "work", "input": "${{ input.n }}", "reuse": reuse,
        "retry": {"maxAttempts": 1}}]})
}

pub fn start(world: &mut World, n: Value) -> RunId {
    let run = world.start("w", json!({ "n": n }));
    exchange(world);
    run
}

pub fn exchange(world: &mut World) {
    world.deliver_submissions();
    while world.settle() > 0 {
        world.deliver_submissions();
    }
}

/// Ends the only task there is, and lets everybody hear of it.
fn end(world: &mut World, output: Value) {
    let tasks = world.tasks();
    assert_eq!(tasks.len(), 1, "one flies at a time");
    world.report(&tasks[0], ok(output)).unwrap();
    exchange(world);
}

pub fn output(world: &World, run: RunId) -> Option<String> {
    let events = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    events.flat_map(|commit| &commit.events).find_map(|event| match event {
        Event::Run(RunEvent::RunSucceeded { output, .. }) => Some(output.as_str().to_owned()),
        _ => None,
    })
}

/// Lets the memo hear what there is for it, and nobody what it says.
fn hear(world: &mut World) {
    for effect in std::mem::take(&mut world.effects) {
        let Effect::Submit(submission) = effect else { continue };
        world.decide(submission.command).unwrap();
    }
}

const FLOWN: &str = "started a:asks a:flies a:try1 a:ok SUCCEEDED";
const REUSED: &str = "started a:asks a:reuses(a) SUCCEEDED";

#[test]
fn equal_keys_give_the_result_that_there_is() {
    let mut world = World::with(&job(json!({"key": {"of": "${{ input.n }}", "and": 1}})));
    let first = start(&mut world, json!(1));
    end(&mut world, json!("made"));
    let (second, other) = (start(&mut world, json!(1)), start(&mut world, json!(2)));
    assert_eq!([first, second].map(|run| world.timeline(run)), [FLOWN, REUSED]);
    assert_eq!(output(&world, second).as_deref(), Some(r#"{"a":"made"}"#));
    assert_eq!(world.timeline(other), "started a:asks a:flies a:try1");
}

#[test]
fn equal_keys_fly_once_and_all_who_wait_have_the_result() {
    let mut world = World::with(&job(json!({"key": 1})));
    let runs: Vec<_> = (0..3).map(|n| start(&mut world, json!(n))).collect();
    assert_eq!(world.timeline(runs[2]), "started a:asks");
    end(&mut world, json!(7));
    assert_eq!(runs.into_iter().map(|run| world.timeline(run)).collect::<Vec<_>>(), [FLOWN, REUSED, REUSED]);
}

#[test]
fn failures_are_not_kept_and_the_next_one_flies() {
    let mut world = World::with(&job(json!({"key": 1})));
    let runs: Vec<_> = (0..3).map(|n| start(&mut world, json!(n))).collect();
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    exchange(&mut world);
    end(&mut world, json!(7));
    let lost = "started a:asks a:flies a:try1 a:failed(boom) a:leaves a:dead(boom) FAILED(boom)";
    assert_eq!(runs.into_iter().map(|run| world.timeline(run)).collect::<Vec<_>>(), [lost, FLOWN, REUSED]);
}

#[test]
fn whoever_is_cancelled_is_forgotten_and_holds_up_nobody() {
    for cancelled in [0, 1] {
        let mut world = World::with(&job(json!({"key": 1})));
        let runs: Vec<_> = (0..3).map(|n| start(&mut world, json!(n))).collect();
        let command = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
        world.decide(Command::Run { run: runs[cancelled], command }).unwrap();
        exchange(&mut world);
        end(&mut world, json!(7));
        assert_eq!(world.timeline(runs[2]), REUSED);
        assert!(
            world.timeline(runs[cancelled]).ends_with("a:leaves a:cancelled CANCELLED"),
            "{}",
            world.timeline(runs[cancelled])
        );
    }
}

#[test]
fn a_result_that_is_too_old_is_none() {
    let mut world = World::with(&job(json!({"key": 1, "maxAge": "10s"})));
    start(&mut world, json!(1));
    end(&mut world, json!(1));
    world.pass(10);
    let young = start(&mut world, json!(1));
    world.pass(1);
    let old = start(&mut world, json!(1));
    assert_eq!(
        (world.timeline(young).as_str(), world.timeline(old).as_str()),
        (REUSED, "started a:asks a:flies a:try1")
    );
    end(&mut world, json!(2));
    let new = start(&mut world, json!(1));
    assert_eq!(output(&world, new).as_deref(), Some(r#"{"a":2}"#));
}

#[test]
fn a_key_of_null_asks_nobody() {
    let mut world = World::with(&job(json!({"key": "${{ input.n }}"})));
    let run = start(&mut world, json!(null));
    assert_eq!(world.timeline(run), "started a:try1");
}

#[test]
fn if_unchanged_goes_by_what_the_node_does_and_what_it_gets() {
    let mut world = World::with(&job(json!("ifUnchanged")));
    start(&mut world, json!({"a": 1, "b": 2}));
    end(&mut world, json!(1));
    let same = start(&mut world, json!({"b": 2, "a": 1}));
    assert_eq!(world.timeline(same), REUSED);
    // What is said beside what it does changes nothing.
    let mut document = job(json!("ifUnchanged"));
    document["steps"][0]["name"] = json!("A");
    document["steps"][0]["timeout"] = json!("1h");
    world.apply(&document);
    let same = start(&mut world, json!({"b": 2, "a": 1}));
    assert_eq!(world.timeline(same), REUSED);
    document["steps"][0]["jobSlug"] = json!("other");
    world.apply(&document);
    let other = start(&mut world, json!({"b": 2, "a": 1}));
    assert_eq!(world.timeline(other), "started a:asks a:flies a:try1");
}

#[test]
fn a_scope_is_the_node_or_the_workspace_and_never_more() {
    let document = |slug: &str, scope: &str| json!({"slug": slug, "steps": [{"id": "a", "jobSlug": "work", "reuse": {"key": 1, "scope": scope}}]});
    for (scope, expected) in [("node", "started a:asks a:flies a:try1"), ("workspace", REUSED)] {
        let mut world = World::with(&document("w", scope));
        world.apply(&document("v", scope));
        start(&mut world, json!(1));
        end(&mut world, json!(1));
        let run = world.start("v", json!({}));
        exchange(&mut world);
        assert_eq!(world.timeline(run), expected, "{scope}");
    }
}

#[test]
fn a_result_that_breaks_the_nodes_own_schema_is_none() {
    let document = |slug: &str, schema: Value| {
        json!({"slug": slug, "steps": [
            {"id": "a", "jobSlug": "work", "outputSchema": schema, "reuse": {"key": 1, "scope": "workspace"}}]})
    };
    let mut world = World::with(&document("w", json!({})));
    world.apply(&document("v", json!({"type": "string"})));
    start(&mut world, json!(1));
    end(&mut world, json!(1));
    let run = world.start("v", json!({}));
    exchange(&mut world);
    assert_eq!(world.timeline(run), "started a:asks a:flies a:try1");
    end(&mut world, json!("fits"));
    assert_eq!(world.timeline(run), FLOWN);
}

#[test]
fn a_large_result_is_not_kept() {
    let mut world = World::with(&job(json!({"key": 1})));
    let runs = [start(&mut world, json!(1)), start(&mut world, json!(1))];
    end(&mut world, json!("x".repeat(64 * 1024)));
    assert_eq!(runs.map(|run| world.timeline(run)), [FLOWN, "started a:asks a:flies a:try1"]);
}

#[test]
fn answers_that_come_twice_or_for_something_else_change_nothing() {
    let mut world = World::with(&job(json!({"key": 1})));
    let run = world.start("w", json!({"n": 1}));
    let digest = world.effects.iter().find_map(|effect| match effect {
        Effect::Submit(submission) => match &submission.command {
            Command::Memo { command: MemoCommand::Ask { digest, .. }, .. } => Some(digest.clone()),
            _ => None,
        },
        _ => None,
    });
    let digest = digest.unwrap();
    let made_by = Asker { run, node: "b".parse().unwrap() };
    let answer = |digest: &str, answer| Command::Run {
        run,
        command: RunCommand::AnswerMemo { node: "a".parse().unwrap(), digest: digest.to_owned(), answer },
    };
    let hit = || MemoAnswer::Hit { output: Json::null(), made_by: made_by.clone(), assets: Vec::new() };
    assert!(world.decide(answer(&"0".repeat(64), hit())).unwrap().commit.is_none());
    assert!(world.decide(answer(&digest, MemoAnswer::Fly {})).unwrap().commit.is_some());
    for late in [hit(), MemoAnswer::Fly {}] {
        assert!(world.decide(answer(&digest, late)).unwrap().commit.is_none());
    }
    assert_eq!(world.timeline(run), "started a:asks a:flies a:try1");
}

#[test]
fn whoever_was_given_a_result_and_was_told_to_make_it_too_holds_up_nobody() {
    let mut world = World::with(&job(json!({"key": 1, "maxAge": "10s"})));
    start(&mut world, json!(1));
    end(&mut world, json!(1));
    // It asks, and the answer is on its way for long; meanwhile it asks again, and there is none any more.
    let asks = world.start("w", json!({"n": 1}));
    hear(&mut world);
    let late = std::mem::take(&mut world.effects);
    world.pass(60);
    world.effects = world.shard.outstanding();
    hear(&mut world);
    world.effects.splice(0..0, late);
    exchange(&mut world);
    assert_eq!(world.timeline(asks), REUSED);
    let other = start(&mut world, json!(1));
    assert_eq!(world.timeline(other), "started a:asks a:flies a:try1");
}

#[test]
fn journal_and_checkpoint_give_the_same_memo() {
    let mut world = World::with(&job(json!({"key": "${{ input.n }}"})));
    for n in [1, 2] {
        start(&mut world, json!(n));
        end(&mut world, json!(n));
    }
    let waiting = [start(&mut world, json!(3)), start(&mut world, json!(3))];
    let mut folded = empty();
    for bundle in world.bundles(3) {
        assert_eq!(folded.fold(&bundle, None), []);
    }
    for memo in (0..=255).filter_map(MemoKey::numbered) {
        assert_eq!(world.shard.memo(memo), folded.memo(memo));
    }
    assert_eq!(folded.run(waiting[1]), world.shard.run(waiting[1]));
    // Whoever takes over asks again for those who wait; asked again, they go on waiting.
    let outstanding = world.shard.outstanding();
    assert_eq!(outstanding.len(), 1);
    world.effects.extend(outstanding);
    exchange(&mut world);
    end(&mut world, json!(3));
    assert_eq!(waiting.map(|run| world.timeline(run)), [FLOWN, REUSED]);
}

fn digest(n: u32) -> String {
    format!("07{n:062x}")
}

fn asker(n: u32) -> Asker {
    Asker { run: RunId::from_uuid(uuid::Uuid::from_u128(u128::from(n))), node: "a".parse().unwrap() }
}

fn memo() -> Memo {
    Memo::unknown(MemoKey::numbered(7).unwrap())
}

fn ask(memo: &mut Memo, key: u32, by: u32) -> Vec<MemoEvent> {
    decide(memo, MemoCommand::Ask { digest: digest(key), asker: asker(by), max_age_ms: None }, Timestamp::default())
}

fn land(memo: &mut Memo, key: u32, by: u32, bytes: usize) -> Vec<MemoEvent> {
    let output = Some(Json::of(&"x".repeat(bytes)));
    decide(
        memo,
        MemoCommand::Land { digest: digest(key), asker: asker(by), output, assets: Vec::new() },
        Timestamp::default(),
    )
}

#[test]
fn so_many_results_are_kept_and_the_oldest_go_first() {
    let mut memo = memo();
    for n in 0..KEPT_MAX as u32 + 5 {
        ask(&mut memo, n, n);
        land(&mut memo, n, n, 1);
    }
    assert_eq!(memo.kept().0, KEPT_MAX);
    assert!(matches!(ask(&mut memo, 4, 9)[..], [MemoEvent::FlightBegan { .. }]));
    assert!(matches!(ask(&mut memo, 5, 9)[..], [MemoEvent::ResultReused { .. }]));
    for n in 0..100 {
        ask(&mut memo, 10_000 + n, n);
        land(&mut memo, 10_000 + n, n, 60_000);
        assert!(memo.kept().1 <= KEPT_BYTES_MAX);
    }
}

#[test]
fn so_many_fly_or_wait_and_one_more_is_sent_off() {
    let mut memo = memo();
    for n in 0..ASKERS_MAX as u32 {
        assert_eq!(ask(&mut memo, n % 7, n).len(), 1);
    }
    assert!(matches!(ask(&mut memo, 1, 1_000_000)[..], [MemoEvent::AskerSentOff { .. }]));
    assert_eq!(land(&mut memo, 1, 1_000_000, 1), []);
    // Who flies is told so again, whatever there is.
    assert!(matches!(ask(&mut memo, 1, 1)[..], [MemoEvent::FlightBegan { .. }]));
    assert_eq!(ask(&mut memo, 1, 8), []);
}

#[test]
fn what_is_no_digest_of_its_own_is_not_heard() {
    for wrong in ["", "07", &"g".repeat(64), &format!("08{}", "0".repeat(62)), &"07ä".repeat(16)] {
        let command = MemoCommand::Ask { digest: wrong.to_owned(), asker: asker(1), max_age_ms: None };
        assert_eq!(decide(&mut memo(), command, Timestamp::default()), [], "{wrong}");
    }
    for text in ["memo/0", "memo/255"] {
        assert_eq!(text.parse::<AggregateId>().unwrap().to_string(), text);
    }
    ["memo/256", "memo/07", "memo/", "memo/a", "memo/-1"]
        .into_iter()
        .for_each(|text| assert!(text.parse::<AggregateId>().is_err()));
}

#[test]
fn whoever_is_told_to_make_a_result_and_is_gone_lets_the_next_one_make_it() {
    for ended in [true, false] {
        let mut world = World::with(&json!({"slug": "w", "nodes": [
            {"id": "a", "jobSlug": "work", "input": "${{ input.n }}", "reuse": {"key": "${{ input.n }}"}, "retry": {"maxAttempts": 1}},
            {"id": "b", "jobSlug": "work"}], "transitions": [{"from": "a", "to": "b"}, {"from": "a", "to": "b", "on": "failure"}]}));
        let gone = start(&mut world, json!(1));
        let digest = world.commits.iter().flat_map(|commit| &commit.events).find_map(|event| match event {
            Event::Run(RunEvent::MemoAsked { digest, .. }) => Some(digest.clone()),
            _ => None,
        });
        let digest = digest.expect("it has asked");
        if ended {
            world
                .decide(Command::Run {
                    run: gone,
                    command: RunCommand::CancelRun { workspace: None, reason: "x".into(), grace_ms: 0 },
                })
                .unwrap();
        } else {
            let task = world.tasks().remove(0);
            world.report(&task, failed("boom")).unwrap();
        }
        exchange(&mut world);
        // What an owner before has asked again arrives only now.
        let asker = Asker { run: gone, node: "a".parse().unwrap() };
        let ask = MemoCommand::Ask { digest: digest.clone(), asker, max_age_ms: None };
        world.decide(Command::Memo { memo: MemoKey::of(&digest).unwrap(), command: ask }).unwrap();
        crate::calls::deliver(&mut world);
        let next = start(&mut world, json!(1));
        assert!(world.timeline(next).contains("a:flies"), "{ended}: {}", world.timeline(next));
    }
}
