//! Runs that go on from others: retried, restarted from a node, forked.

use std::sync::Arc;

use headwater_core::definition::compile;
use headwater_core::run::{
    Continuation, ContinuedFrom, RECALL_WAIT, Recollected, Recollection, ReportOutcome, RunCommand, RunEvent,
    RunRejection, StartRun, StartWishes,
};
use headwater_core::shard::{AggregateId, Command, Event, Rejection};
use headwater_core::{Json, Revision, RunId};
use serde_json::{Value, json};

use crate::checkpoints::{a_checkpoint_and_the_tail_are_the_whole, journal};
use crate::compensation::saga;
use crate::world::{World, failed, ok, shard_zero};

/// Folds what happened in a run up to a revision.
pub fn recollect(world: &World, run: RunId, document: &Value, wanted: Recollected, until: u64) -> Recollection {
    let definition = Arc::new(compile(document).unwrap().0);
    let mut found = Recollection::of(run, definition, wanted);
    let commits = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let events = commits.flat_map(|commit| commit.events.iter().map(|event| (event, commit.time)));
    for (event, time) in events.take(usize::try_from(until).unwrap()) {
        let Event::Run(event) = event else { panic!("{event:?}") };
        found.learn(event, time).unwrap();
    }
    found.settle().unwrap();
    found
}

pub fn positions(how: Continuation) -> Recollected {
    Recollected { how, is_same: true, except: Default::default() }
}

/// Starts a run that goes on from another, and tells it what that came to.
pub fn go_on_from(world: &mut World, from: RunId, document: &Value, wanted: Recollected, input: Value) -> RunId {
    let how = wanted.how.clone();
    let found = recollect(world, from, document, wanted, u64::MAX >> 8);
    let (_, revision) = found.counts();
    let pieces = found.pieces().unwrap();
    let run = begin(
        world,
        document,
        input,
        ContinuedFrom { run: from, revision, how, reason: None, pieces: pieces.len() as u32 },
    );
    for (number, results) in pieces.into_iter().enumerate() {
        world.decide(piece(run, number as u32 + 1, results)).unwrap();
    }
    run
}

fn begin(world: &mut World, document: &Value, input: Value, continued: ContinuedFrom) -> RunId {
    let slug = document["slug"].as_str().unwrap();
    let number = world.fresh_id().as_uuid().as_u128();
    let run = RunId::new(shard_zero(), world.now, number << 12);
    let wishes = Some(Box::new(StartWishes { continued: Some(continued), ..StartWishes::default() }));
    let start = StartRun { wishes, ..world.start_of(slug, input) };
    world.decide(Command::Run { run, command: RunCommand::StartRun(start) }).unwrap();
    run
}

fn piece(run: RunId, piece: u32, results: Json) -> Command {
    Command::Run { run, command: RunCommand::Recall { workspace: "default".parse().unwrap(), piece, results } }
}

/// Reports tasks until there are none; returns what was worked on, each with its key.
pub fn work(world: &mut World, outcome: impl Fn(&str) -> ReportOutcome) -> Vec<(String, String)> {
    let mut done = Vec::new();
    loop {
        world.settle();
        let tasks = world.tasks();
        let Some(task) = tasks.first() else { return done };
        tasks[1..].iter().for_each(|task| world.put_back(task));
        let node = task.node.text().to_string();
        world.report(task, outcome(&node)).unwrap();
        done.push((node, task.idempotency_key()));
    }
}

fn nodes(done: &[(String, String)]) -> Vec<&str> {
    done.iter().map(|(node, _)| node.as_str()).collect()
}

fn pipeline() -> Value {
    json!({"slug": "w", "steps": [
        {"id": "a", "jobSlug": "work", "input": {"n": "${{ input.n }}"}, "storeResultAs": "kept"},
        {"id": "each", "dependsOn": ["a"], "forEach": {"items": [1, 2], "body": {"steps": [
            {"id": "x", "jobSlug": "work"},
            {"id": "y", "jobSlug": "work", "dependsOn": ["x"], "retry": {"maxAttempts": 1}}]}}},
        {"id": "b", "jobSlug": "work", "dependsOn": ["each"], "input": {"all": "${{ nodes.each.output }}"}}],
        "output": {"a": "${{ state.kept }}", "b": "${{ nodes.b.output }}"}})
}

fn out(node: &str) -> ReportOutcome {
    ok(json!(format!("made by {}", node.split('@').next().unwrap())))
}

fn output(world: &World, run: RunId) -> Value {
    let commits = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let last = commits.flat_map(|commit| &commit.events).last().unwrap();
    let Event::Run(RunEvent::RunSucceeded { output, .. }) = last else { panic!("{last:?}") };
    output.to_value()
}

#[test]
fn a_retry_does_again_what_had_not_succeeded_under_the_keys_that_it_had() {
    let mut world = World::with(&pipeline());
    let first = world.start("w", json!({"n": 1}));
    let before = work(&mut world, |node| if node == "y@2" { failed("boom") } else { out(node) });
    assert_eq!(world.shard.active_runs(), 0);
    let retry = go_on_from(&mut world, first, &pipeline(), positions(Continuation::Retry {}), json!({"n": 1}));
    let again = work(&mut world, out);
    // The other item was withdrawn where it stood.
    let failed_there: Vec<_> = before.iter().filter(|(node, _)| node == "y@2").collect();
    let here: Vec<_> = again.iter().filter(|(node, _)| node == "y@2").collect();
    assert_eq!((here.len(), &here[0].1), (1, &failed_there[0].1), "{again:?}");
    assert!(!nodes(&again).contains(&"a") && !nodes(&again).contains(&"x@1"), "{again:?}");
    let key = |node: &str| again.iter().find(|(of, _)| of == node).unwrap().1.clone();
    assert_eq!(key("b"), format!("{retry}/b"), "what was never tried is its own");
    assert_eq!(output(&world, retry), json!({"a": "made by a", "b": "made by b"}));
    let timeline = world.timeline(retry);
    assert!(timeline.starts_with("started recalls1 a:reuses(a) each:items"), "{timeline}");
}

#[test]
fn the_key_stays_over_several_retries() {
    let mut world = World::with(&pipeline());
    let first = world.start("w", json!({"n": 1}));
    work(&mut world, |node| if node == "a" { failed("boom") } else { out(node) });
    let second = go_on_from(&mut world, first, &pipeline(), positions(Continuation::Retry {}), json!({"n": 1}));
    let again = work(&mut world, |node| if node == "a" { failed("boom") } else { out(node) });
    assert!(again.iter().all(|(_, key)| *key == format!("{first}/a")), "{again:?}");
    let third = go_on_from(&mut world, second, &pipeline(), positions(Continuation::Retry {}), json!({"n": 1}));
    let again = work(&mut world, |node| if node == "b" { failed("boom") } else { out(node) });
    assert_eq!(again[0], ("a".to_owned(), format!("{first}/a")));
    // What it made goes by who made it, however often it is told.
    let fourth = go_on_from(&mut world, third, &pipeline(), positions(Continuation::Retry {}), json!({"n": 1}));
    assert_eq!(nodes(&work(&mut world, out)), ["b"]);
    let fifth = go_on_from(
        &mut world,
        fourth,
        &pipeline(),
        positions(Continuation::Restart { node: "b".parse().unwrap() }),
        json!({"n": 1}),
    );
    let again = work(&mut world, out);
    assert_eq!(again, [("b".to_owned(), format!("{fifth}/b"))], "a restart has keys of its own");
    let told =
        recollect(&world, fifth, &pipeline(), positions(Continuation::Retry {}), u64::MAX >> 8).pieces().unwrap();
    let told = told[0].to_value();
    let a = told.as_array().unwrap().iter().find(|told| told["from"]["node"] == "a").unwrap();
    assert_eq!(a["from"]["run"], json!(third));
}

#[test]
fn a_restart_does_a_node_again_and_what_stands_behind_it() {
    for (from, done) in [("a", 6), ("x", 5), ("y", 3), ("b", 1), ("each", 5)] {
        let mut world = World::with(&pipeline());
        let first = world.start("w", json!({"n": 1}));
        assert_eq!(work(&mut world, out).len(), 6);
        let how = Continuation::Restart { node: from.parse().unwrap() };
        let again = go_on_from(&mut world, first, &pipeline(), positions(how), json!({"n": 1}));
        let worked = work(&mut world, out);
        assert_eq!(worked.len(), done, "from {from}: {worked:?}");
        assert!(worked.iter().all(|(_, key)| key.starts_with(&again.to_string())), "{worked:?}");
        assert_eq!(output(&world, again), json!({"a": "made by a", "b": "made by b"}));
    }
    let mut world = World::with(&pipeline());
    let run = world.start("w", json!({"n": 1}));
    let definition = Arc::new(compile(&pipeline()).unwrap().0);
    let mut found =
        Recollection::of(run, definition, positions(Continuation::Restart { node: "none".parse().unwrap() }));
    let Event::Run(event) = &world.commits.last().unwrap().events[0] else { panic!("a run has started") };
    found.learn(event, world.now).unwrap();
    assert_eq!(found.settle().unwrap_err().as_str(), "none");
}

#[test]
fn a_fork_does_again_what_is_made_of_something_else() {
    for (n, worked_on) in [(1, vec![]), (2, vec!["a"])] {
        let mut world = World::with(&pipeline());
        let first = world.start("w", json!({"n": 1}));
        work(&mut world, out);
        let wanted =
            Recollected { how: Continuation::Fork { sandbox: false }, is_same: false, except: Default::default() };
        let fork = go_on_from(&mut world, first, &pipeline(), wanted, json!({"n": n}));
        let again = work(&mut world, out);
        // `x` and `y` are given the whole input.
        let expected = if n == 2 { ["a", "x@1", "x@2", "y@1", "y@2"].to_vec() } else { worked_on };
        let mut again = nodes(&again);
        again.sort_unstable();
        assert_eq!(again, expected);
        assert_eq!(output(&world, fork), json!({"a": "made by a", "b": "made by b"}));
    }
}

#[test]
fn what_was_undone_is_done_again() {
    let mut world = World::with(&saga());
    let first = world.start("saga", json!({}));
    work(&mut world, |node| if node == "last" { failed("boom") } else { ok(json!(1)) });
    assert!(world.timeline(first).contains("compensation:ok"), "{}", world.timeline(first));
    let retry = go_on_from(&mut world, first, &saga(), positions(Continuation::Retry {}), json!({}));
    let again = work(&mut world, |_| ok(json!(1)));
    assert_eq!(again.len(), 6, "{again:?}");
    assert!(world.timeline(retry).ends_with("SUCCEEDED"));
}

#[test]
fn what_is_recalled_is_undone_where_the_run_fails_that_has_it_from_there() {
    let mut world = World::with(&saga());
    let first = world.start("saga", json!({}));
    work(&mut world, |node| if node.contains("~undo") || node == "last" { failed("boom") } else { ok(json!(1)) });
    let retry = go_on_from(&mut world, first, &saga(), positions(Continuation::Retry {}), json!({}));
    let again = work(&mut world, |node| if node == "last" { failed("boom") } else { ok(json!(1)) });
    let undone = nodes(&again).iter().filter(|node| node.contains("~undo")).count();
    assert_eq!((undone, again.len()), (5, 6), "{again:?}: {}", world.timeline(retry));
}

#[test]
fn a_run_begins_once_it_is_told_everything_and_gives_up_where_it_is_not() {
    let continued = |pieces| ContinuedFrom {
        run: RunId::new(shard_zero(), headwater_core::Timestamp::from_micros(1), 1),
        revision: Revision::new(7),
        how: Continuation::Retry {},
        reason: None,
        pieces,
    };
    let mut world = World::with(&pipeline());
    let run = begin(&mut world, &pipeline(), json!({"n": 1}), continued(2));
    assert!(world.tasks().is_empty());
    let invalid = |world: &mut World, number, results: Json| {
        let refused = world.decide(piece(run, number, results)).unwrap_err();
        assert!(matches!(refused, Rejection::Run(RunRejection::RecallInvalid { .. })), "{refused}");
    };
    invalid(&mut world, 2, Json::of(&json!([])));
    invalid(&mut world, 1, Json::of(&json!({"a": 1})));
    invalid(&mut world, 1, Json::of(&json!([{"within": []}])));
    invalid(&mut world, 1, Json::of(&"x".repeat(5 << 20)));
    world.decide(piece(run, 1, Json::of(&json!([])))).unwrap();
    let again = world.decide(piece(run, 1, Json::of(&json!([])))).unwrap();
    assert!(again.commit.is_none() && world.tasks().is_empty());
    world.decide(piece(run, 2, Json::of(&json!([])))).unwrap();
    assert_eq!(world.tasks().len(), 1);
    world.pass(RECALL_WAIT.as_secs() + 1);
    world.fire_timers();
    assert_eq!(world.shard.active_runs(), 1, "nothing is due any more");
    let untold = begin(&mut world, &pipeline(), json!({"n": 1}), continued(1));
    world.pass(RECALL_WAIT.as_secs() + 1);
    world.fire_timers();
    assert!(world.timeline(untold).ends_with("FAILED(recall_incomplete)"), "{}", world.timeline(untold));
    let other = Command::Run {
        run,
        command: RunCommand::Recall { workspace: "other".parse().unwrap(), piece: 1, results: Json::of(&json!([])) },
    };
    assert!(matches!(world.decide(other).unwrap_err(), Rejection::Run(RunRejection::RunNotFound)));
}

#[test]
fn what_a_run_was_told_survives_a_checkpoint_and_a_replay() {
    let mut world = World::with(&pipeline());
    let first = world.start("w", json!({"n": 1}));
    work(&mut world, |node| if node == "y@2" { failed("boom") } else { out(node) });
    let retry = go_on_from(&mut world, first, &pipeline(), positions(Continuation::Retry {}), json!({"n": 1}));
    world.settle();
    let tasks = world.tasks();
    assert!(!tasks.is_empty() && world.shard.run(retry).is_some());
    let journal = journal(&world.commits, 3);
    a_checkpoint_and_the_tail_are_the_whole(&mut world, &journal);
}

#[test]
fn what_is_told_is_told_in_pieces_and_a_run_that_has_made_too_much_is_not() {
    let each = |count: u32| {
        json!({"slug": "w", "steps": [{"id": "each", "forEach": {"items": count, "maxItems": 10_000,
            "body": {"id": "x", "jobSlug": "work"}}}, {"id": "last", "jobSlug": "work", "dependsOn": ["each"]}]})
    };
    let (document, large) = (each(1_200), "x".repeat(8_000));
    let mut world = World::with(&document);
    let first = world.start("w", json!({}));
    let done = work(&mut world, |node| if node == "last" { failed("boom") } else { ok(json!(large)) });
    assert!(done.len() > 1_200);
    let pieces =
        recollect(&world, first, &document, positions(Continuation::Retry {}), u64::MAX >> 8).pieces().unwrap();
    assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len_bytes() <= 4 << 20), "{}", pieces.len());
    let retry = go_on_from(&mut world, first, &document, positions(Continuation::Retry {}), json!({}));
    assert_eq!(nodes(&work(&mut world, |_| ok(json!(1)))), ["last"]);
    assert!(world.timeline(retry).ends_with("SUCCEEDED"));
    // One that is larger than a piece.
    let mut world = World::with(&each(1));
    let first = world.start("w", json!({}));
    work(&mut world, |_| ok(json!(1)));
    let mut found = recollect(&world, first, &each(1), positions(Continuation::Retry {}), 1);
    let output = Json::of(&"x".repeat(5 << 20));
    for event in world.commits.iter().filter(|c| c.aggregate == AggregateId::Run(first)).flat_map(|c| &c.events).skip(1)
    {
        let Event::Run(event) = event else { panic!("{event:?}") };
        let mut event = event.clone();
        if let RunEvent::NodeSucceeded { output: made, node, .. } = &mut event
            && node.node().as_str() == "x"
        {
            *made = output.clone();
        }
        found.learn(&event, world.now).unwrap();
    }
    assert!(found.pieces().unwrap_err() > 5 << 20);
}

#[test]
fn a_sandbox_calls_nobody_publishes_nothing_and_has_nobody_make_what_is_missing() {
    let document = json!({"slug": "w", "steps": [
        {"id": "made", "action": {"kind": "transform", "output": 1}, "produces": [{"assetId": "raw"}]},
        {"id": "needs", "action": "noop", "consumes": [{"assetId": "other"}]},
        {"id": "calls", "action": {"kind": "workflow_call", "workflow": "w"}, "dependsOn": ["made"]}]});
    let sandbox = |sandbox| ContinuedFrom {
        run: RunId::new(shard_zero(), headwater_core::Timestamp::from_micros(1), 1),
        revision: Revision::new(1),
        how: Continuation::Fork { sandbox },
        reason: None,
        pieces: 0,
    };
    for is_sandbox in [true, false] {
        let mut world = World::with(&document);
        let run = begin(&mut world, &document, json!({}), sandbox(is_sandbox));
        let timeline = world.timeline(run);
        assert_eq!(timeline.contains("calls:dead(sandbox)"), is_sandbox, "{timeline}");
        let said = format!("{:?}", world.effects);
        assert_eq!(said.contains("RecordAsset"), !is_sandbox, "{said}");
        let told = serde_json::to_string(&world.commits).unwrap();
        assert_eq!(told.contains(r#""onMiss":"fail""#), is_sandbox, "{told}");
    }
}
