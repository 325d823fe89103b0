//! Turns: what does not fit one decision goes on in the next, whoever decides it, and others decide in between.

use headwater_core::credit::Hands;
use headwater_core::run::{Budget, DECISION_STORED_MAX, NodeStatus, RunCommand, RunLimits, RunRejection, RunStatus};
use headwater_core::shard::{Bounds, Bundle, Command, Owner, Rejection, Shard, ShardMap, Submission};
use headwater_core::{BundleId, CommandId, Json, RunId};
use serde_json::{Value, json};

use crate::checkpoints::{fold, journal, owner, restore};
use crate::world::{World, chain, failed, key, ok, shard_zero};

/// Takes a handful of small facts.
const SMALL: Budget = Budget {
    work: 100_000,
    bytes: 8_000,
    stored: 32 << 20,
    held: usize::MAX,
    work_at_once: 10_000,
    run: RunLimits::DEFAULT,
};

fn fan(count: usize, node: impl Fn(usize) -> Value) -> Value {
    json!({"slug": "fan", "nodes": (0..count).map(node).collect::<Vec<_>>(), "output": {"done": true}})
}

fn transform(at: usize, output: &str) -> Value {
    json!({"id": format!("t{at:03}"), "action": {"kind": "transform", "output": output}})
}

fn noops(count: usize) -> Value {
    fan(count, |at| json!({"id": format!("n{at:03}"), "action": "noop"}))
}

fn jobs(count: usize) -> Value {
    fan(count, |at| json!({"id": format!("n{at:03}"), "action": {"kind": "job", "jobSlug": "work"}}))
}

fn largest_commit(world: &World) -> usize {
    world.commits.iter().map(|commit| Json::of(commit).len_bytes()).max().unwrap()
}

fn cancel(run: RunId) -> Command {
    Command::Run { run, command: RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 } }
}

#[test]
fn a_run_of_200_transforms_that_take_all_an_expression_may_succeeds() {
    let product = "${{ size(input.l.map(a, input.l.map(b, a * b))) }}";
    let mut world = World::with(&fan(200, |at| transform(at, product)));
    let run = world.start("fan", json!({"l": (0..300).collect::<Vec<_>>()}));
    assert_eq!(world.timeline(run), "started", "the answer to the start waits for none of it");
    let turns = world.settle();
    assert!(turns > 20, "{turns}");
    let timeline = world.timeline(run);
    assert!(timeline.starts_with("started t000:ok t001:ok") && timeline.ends_with("t199:ok SUCCEEDED"), "{timeline}");
}

#[test]
fn a_run_whose_outputs_have_50_mib_together_succeeds() {
    let mut world = World::with(&fan(60, |at| transform(at, "${{ input.s }}")));
    let run = world.start("fan", json!({"s": "x".repeat(900_000)}));
    let turns = world.settle();
    assert!(turns > 3, "{turns}");
    assert!(world.timeline(run).ends_with("t059:ok SUCCEEDED"));
    // Nearly all of that stands in the store of values.
    assert!(largest_commit(&world) < DECISION_STORED_MAX, "{}", largest_commit(&world));
}

#[test]
fn runs_take_turns_and_others_decide_in_between() {
    let mut owner: Owner<u32> = Owner::new(Shard::bounded(
        shard_zero(),
        ShardMap::even(1).unwrap(),
        Bounds { decision: SMALL, ..Bounds::default() },
    ));
    let world = World::with(&noops(200));
    let now = world.now;
    let mut id = 0_u128;
    let mut submit = |owner: &mut Owner<u32>, command| {
        id += 1;
        let submission = Submission::new(CommandId::from_uuid(uuid::Uuid::from_u128(id)), command);
        owner.submit(0, submission, now, &mut Hands::default());
    };
    let document = world.shard.definition(&key("fan"), headwater_core::DefinitionVersion::FIRST).unwrap().clone();
    let version = headwater_core::DefinitionVersion::FIRST;
    submit(&mut owner, Command::AdoptDefinition { key: key("fan"), version, document });
    let runs: Vec<_> = (1..=3).map(|number| RunId::new(shard_zero(), now, number << 20)).collect();
    for run in &runs {
        submit(&mut owner, Command::Run { run: *run, command: RunCommand::StartRun(world.start_of("fan", json!({}))) });
    }
    for round in 0..5 {
        let turns: Vec<_> = (0..3)
            .map(|_| {
                let run = owner.next_unfinished().unwrap();
                submit(&mut owner, Command::Run { run, command: RunCommand::Continue {} });
                run
            })
            .collect();
        assert_eq!(turns, runs, "each has its turn, in round {round}");
    }
    submit(&mut owner, cancel(runs[1]));
    assert!(owner.shard().run(runs[1]).is_none(), "whoever asks need not wait for the others' ends");
    let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(1))).unwrap();
    let bundle: Bundle = serde_json::from_slice(&append.bytes).unwrap();
    assert_eq!(bundle.needs, 3, "a release that knows of no turns would let the runs lie");
}

#[test]
fn what_one_decision_does_at_once_needs_no_newer_release() {
    let mut owner = owner();
    let world = World::with(&noops(3));
    fold(&mut owner, &journal(&world.commits, 100));
    let run = RunId::new(shard_zero(), world.now, 1 << 20);
    let command = Command::Run { run, command: RunCommand::StartRun(world.start_of("fan", json!({}))) };
    let id = CommandId::from_uuid(uuid::Uuid::from_u128(77));
    owner.submit(0, Submission::new(id, command), world.now, &mut Hands::default());
    let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(1))).unwrap();
    assert_eq!(serde_json::from_slice::<Bundle>(&append.bytes).unwrap().needs, 1);
}

#[test]
fn a_run_is_cancelled_in_the_middle_of_its_agenda() {
    let mut world = World::bounded(SMALL);
    world.apply(&noops(100));
    let run = world.start("fan", json!({}));
    world.go_on().unwrap();
    world.decide(cancel(run)).unwrap();
    let timeline = world.timeline(run);
    assert!(timeline.ends_with(":ok CANCELLED"), "{timeline}");
    assert_eq!(world.settle(), 0);
}

#[test]
fn a_run_times_out_in_the_middle_of_its_agenda() {
    let mut document = noops(100);
    document["timeout"] = json!("10s");
    let mut world = World::bounded(SMALL);
    world.apply(&document);
    let run = world.start("fan", json!({}));
    world.go_on().unwrap();
    world.pass(11);
    world.fire_timers();
    let timeline = world.timeline(run);
    assert!(timeline.ends_with(":ok FAILED(run_timeout)"), "{timeline}");
}

#[test]
fn many_active_nodes_are_withdrawn_in_pieces_before_the_end() {
    let mut world = World::bounded(SMALL);
    world.apply(&jobs(100));
    let run = world.start("fan", json!({}));
    world.settle();
    let tasks = world.tasks();
    assert_eq!(tasks.len(), 100);
    world.decide(cancel(run)).unwrap();
    assert!(world.timeline(run).contains(" ENDING(cancelled)"));
    assert!(!world.timeline(run).contains(" CANCELLED"));
    // Nothing is begun, granted, reported or asked of it any more, and how it ends is certain.
    assert_eq!(world.shard.run(run).unwrap().status(), RunStatus::Running);
    assert_eq!(world.shard.waiting_for(&"default".parse().unwrap(), &"work".parse().unwrap()), 0);
    assert_eq!(world.shard.next_due(), None);
    let closed = Rejection::Run(RunRejection::RunClosed { status: RunStatus::Cancelled, successor: None });
    assert_eq!(world.report(&tasks[99], ok(json!(1))).unwrap_err(), closed);
    assert_eq!(world.report(&tasks[99], failed("late")).unwrap_err(), closed);
    assert_eq!(world.decide(cancel(run)).unwrap_err(), closed);
    assert_eq!(world.shard.outstanding(), []);
    let turns = world.settle();
    assert!(turns > 5, "{turns}");
    assert_eq!(world.timeline(run).matches(":cancelled").count(), 100);
    assert!(world.timeline(run).ends_with("n099:cancelled CANCELLED"));
    assert_eq!(world.shard.ended_run(run).unwrap().status, RunStatus::Cancelled);
}

#[test]
fn two_thousand_active_nodes_end_with_the_cancel_that_is_answered() {
    let mut world = World::with(&jobs(2_000));
    let run = world.start("fan", json!({}));
    world.settle();
    world.decide(cancel(run)).unwrap();
    assert!(world.timeline(run).ends_with("n1999:cancelled CANCELLED"), "the answer says so");
    assert!(largest_commit(&world) < 1 << 20);
}

#[test]
fn a_failure_ends_a_run_of_many_active_nodes_in_pieces_with_its_own_words() {
    let mut world = World::bounded(SMALL);
    world.apply(&jobs(60));
    let run = world.start("fan", json!({}));
    world.settle();
    let task = world.tasks().swap_remove(30);
    for _ in 0..3 {
        world.name_again();
        let task = world.tasks().into_iter().find(|again| again.node == task.node);
        if let Some(task) = task {
            world.report(&task, failed("boom")).unwrap();
        }
        world.pass(400);
        world.fire_timers();
    }
    world.settle();
    let timeline = world.timeline(run);
    assert!(timeline.contains("dead(boom) ENDING(failed) "), "{timeline}");
    assert!(timeline.ends_with("FAILED(boom)"), "{timeline}");
}

#[test]
fn what_is_too_large_for_a_whole_decision_fails_its_node_and_can_be_caught() {
    let mut world = World::bounded(SMALL);
    world.apply(&json!({"slug": "large", "nodes": [
        {"id": "large", "action": {"kind": "transform", "output": "${{ input.s }}"}},
        {"id": "mend", "action": "noop"}],
        "transitions": [{"from": "large", "to": "mend", "on": "failure", "when": "error.code == 'node_too_large'"}]}));
    let run = world.start("large", json!({"s": "x".repeat(9_000)}));
    world.settle();
    assert_eq!(world.timeline(run), "started large:dead(node_too_large) mend:ok SUCCEEDED");
}

#[test]
fn what_takes_more_than_a_whole_decision_fails_its_node_and_not_what_was_begun_before() {
    let work = Budget {
        work: 30_000,
        bytes: 1 << 20,
        stored: 32 << 20,
        held: usize::MAX,
        work_at_once: 1_000,
        run: RunLimits::DEFAULT,
    };
    let mut world = World::bounded(work);
    let small = "${{ size(input.l.map(a, a)) }}";
    let large = "${{ size(input.l.map(a, input.l.map(b, a * b))) }}";
    let output = |at: usize| if at == 2 { large } else { small };
    world.apply(&fan(4, |at| transform(at, output(at))));
    let run = world.start("fan", json!({"l": (0..100).collect::<Vec<_>>()}));
    world.settle();
    let expected = "started t000:ok t001:ok t002:dead(decision_limit) FAILED(decision_limit)";
    assert_eq!(world.timeline(run), expected);
}

#[test]
fn a_take_over_in_the_middle_of_an_agenda_goes_on_where_it_stood() {
    let mut world = World::bounded(SMALL);
    world.apply(&noops(60));
    let run = world.start("fan", json!({}));
    world.go_on().unwrap();
    let entries = journal(&world.commits, 2);
    let (mut folded, mut prefix) = (owner(), owner());
    fold(&mut folded, &entries);
    assert_eq!(folded.shard().unfinished().collect::<Vec<_>>(), [run]);
    // And from a checkpoint.
    fold(&mut prefix, &entries);
    let mut restored = restore(&prefix.checkpoint()).unwrap();
    assert_eq!(restored.shard().run(run), world.shard.run(run));
    for owner in [&mut folded, &mut restored] {
        let next = owner.next_unfinished().unwrap();
        let id = CommandId::from_uuid(uuid::Uuid::from_u128(88));
        let command = Command::Run { run: next, command: RunCommand::Continue {} };
        owner.submit(1, Submission::new(id, command), world.now, &mut Hands::default());
        // This one has room for all of it.
        assert!(owner.shard().run(run).is_none());
        assert_eq!(owner.ended_run(run).unwrap().0, RunStatus::Succeeded);
    }
}

#[test]
fn a_run_that_is_ending_is_ended_by_the_next_owner() {
    let mut world = World::bounded(SMALL);
    world.apply(&jobs(60));
    let run = world.start("fan", json!({}));
    world.settle();
    world.decide(cancel(run)).unwrap();
    let entries = journal(&world.commits, 2);
    let mut prefix = owner();
    fold(&mut prefix, &entries);
    let restored = restore(&prefix.checkpoint()).unwrap();
    assert_eq!(restored.shard().run(run), world.shard.run(run));
    assert_eq!(restored.shard().next_due(), None);
    assert_eq!(restored.shard().unfinished().collect::<Vec<_>>(), [run]);
    assert_eq!(restored.shard().run(run).unwrap().held().count(), 0);
}

#[test]
fn what_comes_late_is_done_when_its_turn_comes_and_in_the_order_in_which_it_was_ready() {
    let mut world = World::bounded(SMALL);
    let mut nodes: Vec<_> = (0..40).map(|at| json!({"id": format!("n{at:02}"), "action": "noop"})).collect();
    nodes.push(json!({"id": "job", "action": {"kind": "job", "jobSlug": "work"}}));
    nodes.push(json!({"id": "after", "action": "noop"}));
    nodes.rotate_right(2);
    let document = json!({"slug": "late", "nodes": nodes, "transitions": [{"from": "job", "to": "after"}]});
    world.apply(&document);
    let run = world.start("late", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    assert_eq!(world.shard.run(run).unwrap().node_status(&"after".parse().unwrap()), Some(NodeStatus::Pending));
    world.settle();
    assert!(world.timeline(run).ends_with("n39:ok after:ok SUCCEEDED"), "{}", world.timeline(run));
}

#[test]
fn a_command_that_changes_nothing_does_not_fail_what_it_has_little_room_for() {
    let mut world = World::bounded(Budget {
        work: 100_000,
        bytes: 1 << 20,
        stored: 32 << 20,
        held: usize::MAX,
        work_at_once: 10,
        run: RunLimits::DEFAULT,
    });
    world.apply(&fan(2, |at| transform(at, "${{ size(input.l.map(a, a)) }}")));
    let run = world.start("fan", json!({"l": (0..500).collect::<Vec<_>>()}));
    let late = RunCommand::ResolveAsset {
        node: "t000".parse().unwrap(),
        asset: "nobody.asked".parse().unwrap(),
        chosen: None,
    };
    let decided = world.decide(Command::Run { run, command: late }).unwrap();
    assert!(decided.commit.is_none());
    world.settle();
    assert_eq!(world.timeline(run), "started t000:ok t001:ok SUCCEEDED");
}

#[test]
fn a_run_that_has_ended_or_has_nothing_to_do_goes_on_with_nothing() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let go_on = Command::Run { run, command: RunCommand::Continue {} };
    assert!(world.decide(go_on.clone()).unwrap().commit.is_none());
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    assert!(world.decide(go_on).unwrap().commit.is_none());
}
