//! A live run that goes over to another version of its workflow: what of it goes on, and what is in the way.

use headwater_core::credit::Hands;
use headwater_core::run::{Migration, Renamed, RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{DefinitionVersion, NodeId, RunId};
use serde_json::{Value, json};

use crate::for_each::output;
use crate::operations::{at, job, operate, pause, resume, run_of, sleep, status};
use crate::parts::is_the_same_from_checkpoints;
use crate::world::{World, failed, ok};

const SECOND: DefinitionVersion = DefinitionVersion::new(2);

fn workflow(steps: &[Value]) -> Value {
    json!({"slug": "w", "steps": steps})
}

fn map(pairs: &[(&str, Option<&str>)]) -> Renamed {
    let name = |name: &str| -> NodeId { name.parse().unwrap() };
    pairs.iter().map(|(from, to)| (name(from), to.map(name))).collect()
}

fn wish(world: &mut World, version: DefinitionVersion, map: Renamed) -> Migration {
    let (workspace, id) = ("default".parse().unwrap(), world.fresh_id());
    Migration { workspace, id, version, map, reason: Some("a better version".to_owned()), dry_run: false }
}

fn decide(world: &mut World, run: RunId, wish: Migration) -> Result<bool, RunRejection> {
    match world.decide(Command::Run { run, command: RunCommand::MigrateRun(wish) }) {
        Ok(decided) => Ok(decided.commit.is_some()),
        Err(Rejection::Run(rejection)) => Err(rejection),
        Err(other) => panic!("{other:?}"),
    }
}

/// Applies another version, and has the run go over to it.
fn migrate(world: &mut World, run: RunId, to: &Value, pairs: &[(&str, Option<&str>)]) -> Result<bool, RunRejection> {
    let version = world.apply(to);
    let wish = wish(world, version, map(pairs));
    decide(world, run, wish)
}

/// The codes of what is in the way, and the nodes.
fn problems(refused: Result<bool, RunRejection>) -> Vec<String> {
    let Err(RunRejection::MigrationInvalid { problems }) = refused else { panic!("{refused:?}") };
    problems
        .into_iter()
        .map(|of| format!("{} {}", of.code, of.node.map_or("-".into(), |node| node.to_string())))
        .collect()
}

#[test]
fn an_attempt_that_a_worker_holds_goes_on_under_its_lease_though_its_node_is_called_otherwise() {
    let (mut world, run) = run_of(&workflow(&[job("a", &[]), job("b", &["a"])]));
    let task = world.tasks().remove(0);
    let two = workflow(&[job("first", &[]), job("check", &["first"]), job("b", &["check"])]);
    assert_eq!(migrate(&mut world, run, &two, &[("a", Some("first"))]), Ok(true));
    is_the_same_from_checkpoints(&world, run);
    assert_eq!(world.shard.run(run).unwrap().version(), SECOND);
    assert_eq!(world.shard.run(run).unwrap().current_lease(&at("a")), Some((task.attempt, task.lease)));
    world.report(&task, ok(json!(1))).unwrap();
    world.settle();
    assert!(world.timeline(run).contains("MIGRATED:2 first:ok check:"), "{}", world.timeline(run));
    for node in ["check", "b"] {
        let task = world.tasks().remove(0);
        assert_eq!(task.node, at(node));
        world.report(&task, ok(json!(node))).unwrap();
        world.settle();
    }
    assert_eq!(status(&world, run), RunStatus::Succeeded);
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn what_a_worker_holds_that_is_called_otherwise_can_fail_be_lost_and_be_cancelled() {
    for how in ["failed", "lost", "cancelled"] {
        let (mut world, run) = run_of(&workflow(&[job("a", &[]), job("b", &["a"])]));
        let task = world.tasks().remove(0);
        let two = workflow(&[job("first", &[]), job("b", &["first"])]);
        assert_eq!(migrate(&mut world, run, &two, &[("a", Some("first"))]), Ok(true));
        let (node, attempt, lease) = (task.node.clone(), task.attempt, task.lease);
        let command = match how {
            "failed" => world.report_of(&task, failed("boom")),
            "lost" => Command::Run { run, command: RunCommand::LoseAttempt { node, attempt, lease } },
            _ => Command::Run {
                run,
                command: RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 },
            },
        };
        world.effects.clear();
        world.decide(command).unwrap();
        world.settle();
        if how == "cancelled" {
            let told = format!("{:?}", world.effects);
            assert!(
                told.contains(r#""a""#) || told.contains("node: a") || told.matches("CancelTasks").count() == 2,
                "{told}"
            );
            assert_eq!(status(&world, run), RunStatus::Cancelled);
            continue;
        }
        world.pass(20);
        world.fire_timers();
        world.settle();
        let again = world.tasks().remove(0);
        assert_eq!((again.node.clone(), again.attempt.get()), (at("first"), 2), "{how}");
        world.report(&again, ok(json!(1))).unwrap();
        world.settle();
        is_the_same_from_checkpoints(&world, run);
    }
}

#[test]
fn what_has_ended_stays_as_it_was_and_only_what_is_new_or_behind_it_happens() {
    let (mut world, run) =
        run_of(&workflow(&[job("a", &[]), job("b", &["a"]), job("old", &["a"]), job("c", &["b", "old"])]));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!({"n": 1}))).unwrap();
    world.settle();
    let tasks = world.tasks();
    world.report(&tasks[1], ok(json!("old"))).unwrap();
    world.settle();
    // `old` is gone, `c` waits for `b` and for what is new behind `a`.
    let two = workflow(&[job("a", &[]), job("b", &["a"]), job("new", &["a"]), job("c", &["b", "new"])]);
    let refused = migrate(&mut world, run, &two, &[]);
    assert_eq!(problems(refused), ["node_missing old"]);
    assert_eq!(migrate(&mut world, run, &two, &[("old", None)]), Ok(true));
    world.settle();
    is_the_same_from_checkpoints(&world, run);
    let new = world.tasks().remove(0);
    assert_eq!(new.node, at("new"));
    world.report(&new, ok(json!("new"))).unwrap();
    world.settle();
    assert!(world.tasks().is_empty(), "`b` is not over");
    world.report(&tasks[0], ok(json!("b"))).unwrap();
    world.settle();
    let last = world.tasks().remove(0);
    assert_eq!(last.node, at("c"));
    world.report(&last, ok(json!("c"))).unwrap();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Succeeded);
}

#[test]
fn a_version_that_is_the_same_changes_nothing_but_the_version() {
    let wait = json!({"id": "ask", "action": {"kind": "wait_signal", "name": "go"}});
    let steps = [
        job("a", &[]),
        job("b", &["a"]),
        sleep("nap", "1h"),
        wait.clone(),
        job("c", &["b", "nap", "ask"]),
        job("z", &[]),
    ];
    let (mut world, run) = run_of(&workflow(&steps));
    let tasks = world.tasks();
    world.report(&tasks[1], failed("boom")).unwrap();
    world.report(&tasks[0], ok(json!(1))).unwrap();
    world.settle();
    operate(&mut world, run, pause(Some("c"))).unwrap();
    let before = serde_json::to_value(context(&world, run)).unwrap();
    let (due, held) = (world.shard.run(run).unwrap().next_due(), world.shard.run(run).unwrap().held().count());
    let queue = (&"default".parse().unwrap(), &"work".parse().unwrap());
    let waiting = world.shard.waiting_for(queue.0, queue.1);
    let mut same = workflow(&steps);
    same["description"] = json!("said better");
    assert_eq!(migrate(&mut world, run, &same, &[]), Ok(true));
    let mut after = serde_json::to_value(context(&world, run)).unwrap();
    after["revision"] = before["revision"].clone();
    assert_eq!(after, before);
    assert!(world.timeline(run).ends_with("c:paused MIGRATED:2"), "{}", world.timeline(run));
    let now = world.shard.run(run).unwrap();
    assert_eq!((now.next_due(), now.held().count(), world.shard.waiting_for(queue.0, queue.1)), (due, held, waiting));
    assert_eq!(now.paused_nodes().map(ToString::to_string).collect::<Vec<_>>(), ["c"]);
    is_the_same_from_checkpoints(&world, run);
}

fn context(world: &World, run: RunId) -> headwater_core::run::Context {
    use headwater_core::run::History;
    use headwater_core::shard::{AggregateId, Event};
    let known = world.shard.run(run).unwrap();
    let version =
        |version: u32| world.shard.definition(&crate::world::key("w"), DefinitionVersion::new(version)).cloned();
    let compiled = |number: u32| {
        let document = version(number)?;
        Some(std::sync::Arc::new(headwater_core::definition::compile(&document.to_value()).ok()?.0))
    };
    let mut history = History::of(run, compiled(1).unwrap());
    for commit in world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run)) {
        for event in &commit.events {
            let Event::Run(event) = event else { panic!("{event:?}") };
            if let headwater_core::run::RunEvent::RunMigrated { version, .. } = event {
                history.bring(*version, compiled(version.get()).unwrap());
            }
            history.learn(event, commit.time).unwrap();
        }
    }
    let seen = history.seen_in(headwater_core::BranchId::ROOT).unwrap();
    assert_eq!(seen.revision, known.revision());
    seen
}

#[test]
fn everything_that_is_in_the_way_is_said_at_once_and_nothing_happens() {
    let steps = [job("a", &[]), job("b", &[]), sleep("nap", "1h"), job("gone", &[]), job("kept", &[])];
    let (mut world, run) = run_of(&workflow(&steps));
    drop(world.tasks());
    let before = world.shard.run(run).unwrap().clone();
    let mut other = job("b", &[]);
    other["jobSlug"] = json!("elsewhere");
    let mut two = workflow(&[sleep("a", "1h"), other, job("siesta", &[]), job("kept", &[]), job("more", &[])]);
    two["inputSchema"] = json!({"type": "object", "required": ["who"]});
    let pairs =
        [("nap", Some("siesta")), ("gone", None), ("kept", None), ("nobody", Some("more")), ("b", Some("nowhere"))];
    let found = problems(migrate(&mut world, run, &two, &pairs));
    let expected = [
        "name_taken b",
        "target_exists kept",
        "source_unknown nobody",
        "target_unknown b",
        "input_invalid -",
        "kind_differs a",
        "kind_differs nap",
        "node_needed gone",
        "node_needed kept",
    ];
    for problem in expected {
        assert!(found.contains(&problem.to_owned()), "{problem}: {found:?}");
    }
    assert_eq!(world.shard.run(run), Some(&before));
    let found = problems(migrate(&mut world, run, &two, &[("gone", Some("more"))]));
    assert!(found.contains(&"handler_differs b".to_owned()), "{found:?}");
}

#[test]
fn a_run_that_ends_or_has_branches_open_or_is_somebody_elses_does_not_go_over() {
    let each = json!({"id": "each", "forEach": {"items": "${{ [1, 2] }}", "body": {"id": "item", "jobSlug": "work"}}});
    let (mut world, run) = run_of(&workflow(std::slice::from_ref(&each)));
    assert_eq!(problems(migrate(&mut world, run, &workflow(&[each, job("b", &[])]), &[])), ["branches_open -"]);
    let mut foreign = wish(&mut world, SECOND, Renamed::new());
    foreign.workspace = "other".parse().unwrap();
    assert_eq!(decide(&mut world, run, foreign), Err(RunRejection::RunNotFound));
    let unknown = wish(&mut world, DefinitionVersion::new(9), Renamed::new());
    assert!(matches!(decide(&mut world, run, unknown), Err(RunRejection::DefinitionNotFound { .. })));
    let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
    world.decide(Command::Run { run, command: cancel }).unwrap();
    world.settle();
    let late = wish(&mut world, SECOND, Renamed::new());
    assert!(matches!(decide(&mut world, run, late), Err(RunRejection::RunClosed { .. })));
}

#[test]
fn the_same_wish_twice_and_one_that_only_asks_change_nothing() {
    let (mut world, run) = run_of(&workflow(&[job("a", &[])]));
    let version = world.apply(&workflow(&[job("a", &[]), job("b", &["a"])]));
    let asks = Migration { dry_run: true, ..wish(&mut world, version, Renamed::new()) };
    assert_eq!(decide(&mut world, run, asks), Ok(false));
    assert_eq!(world.shard.run(run).unwrap().version(), DefinitionVersion::FIRST);
    let wished = wish(&mut world, version, Renamed::new());
    assert_eq!(decide(&mut world, run, wished.clone()), Ok(true));
    assert_eq!(decide(&mut world, run, wished), Ok(false));
    let back = wish(&mut world, DefinitionVersion::FIRST, Renamed::new());
    assert_eq!(decide(&mut world, run, back), Ok(true), "a version may be gone back to");
    is_the_same_from_checkpoints(&world, run);
}

#[test]
fn signals_people_timers_and_what_is_paused_go_along() {
    let wait = |id: &str| json!({"id": id, "action": {"kind": "wait_signal", "name": "go"}});
    let (mut world, run) = run_of(&workflow(&[wait("w1"), sleep("nap", "1h"), job("x", &[])]));
    drop(world.tasks());
    operate(&mut world, run, pause(Some("x"))).unwrap();
    let mut late = sleep("rest", "2h");
    late["dependsOn"] = json!([]);
    let two = workflow(&[wait("w2"), late, job("y", &[]), job("end", &["w2", "rest"])]);
    let pairs = [("w1", Some("w2")), ("nap", Some("rest")), ("x", Some("y"))];
    assert_eq!(migrate(&mut world, run, &two, &pairs), Ok(true));
    is_the_same_from_checkpoints(&world, run);
    assert_eq!(world.shard.run(run).unwrap().paused_nodes().map(ToString::to_string).collect::<Vec<_>>(), ["y"]);
    operate(&mut world, run, resume(Some("y"))).unwrap();
    let signal = RunCommand::Signal {
        workspace: "default".parse().unwrap(),
        signal: world.fresh_id(),
        name: "go".parse().unwrap(),
        key: None,
        payload: headwater_core::Json::of(&json!(7)),
        broadcast: false,
        update: false,
    };
    world.decide(Command::Run { run, command: signal }).unwrap();
    world.settle();
    assert!(world.timeline(run).contains("w2:"), "{}", world.timeline(run));
    world.pass(3_601);
    world.fire_timers();
    world.settle();
    assert!(world.tasks().iter().any(|task| task.node == at("end")), "{}", world.timeline(run));
}

#[test]
fn what_a_loop_has_come_to_is_kept_and_what_was_decided_stays_decided() {
    let steps = |more: &[Value]| {
        let mut nodes = vec![
            json!({"id": "go", "action": {"kind": "transform", "output": 1}}),
            json!({"id": "turn", "action": {"kind": "transform", "output": 2}}),
            json!({"id": "left", "jobSlug": "work"}),
            json!({"id": "right", "jobSlug": "work"}),
        ];
        nodes.extend(more.iter().cloned());
        let mut transitions = vec![
            json!({"from": "go", "to": "turn"}),
            json!({"from": "turn", "to": "go", "maxIterations": 2}),
            json!({"from": "turn", "to": "left", "priority": 1, "when": "nodes.turn.output == 2"}),
            json!({"from": "turn", "to": "right", "priority": 2}),
        ];
        transitions.extend(more.iter().map(|node| json!({"from": "left", "to": node["id"]})));
        json!({"slug": "w", "nodes": nodes, "transitions": transitions})
    };
    let (mut world, run) = run_of(&steps(&[]));
    let task = world.tasks().remove(0);
    assert_eq!(task.node, at("left"));
    assert_eq!(migrate(&mut world, run, &steps(&[json!({"id": "more", "jobSlug": "work"})]), &[]), Ok(true));
    is_the_same_from_checkpoints(&world, run);
    world.report(&task, ok(json!("l"))).unwrap();
    world.settle();
    let task = world.tasks().remove(0);
    assert_eq!(task.node, at("more"), "{}", world.timeline(run));
    world.report(&task, ok(json!("m"))).unwrap();
    world.settle();
    assert_eq!(status(&world, run), RunStatus::Succeeded);
    assert_eq!(output(&world, "more"), Some(json!("m")));
}

#[test]
fn a_start_that_comes_again_means_the_version_that_it_named() {
    let (mut world, run) = run_of(&workflow(&[job("a", &[])]));
    let start = world.start_of("w", json!({}));
    assert_eq!(migrate(&mut world, run, &workflow(&[job("a", &[]), job("b", &["a"])]), &[]), Ok(true));
    let again = Submission::new(world.fresh_id(), Command::Run { run, command: RunCommand::StartRun(start) });
    let again = world.decide_as(again, &mut Hands::default()).unwrap();
    assert!(again.commit.is_none());
}
