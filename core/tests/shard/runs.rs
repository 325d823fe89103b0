//! Runs: order, joins, conditions, retries, timeouts, cancellation, refusals.

use headwater_core::protocol::Granted;
use headwater_core::run::{RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection};
use headwater_core::{Json, RunId};
use serde_json::json;

use crate::world::{World, chain, failed, ok, shard_zero};

pub fn refused(rejection: RunRejection) -> Rejection {
    Rejection::Run(rejection)
}

#[test]
fn a_chain_runs_in_order_and_ends_with_the_output_of_its_end() {
    let mut world = World::with(&chain(&["a", "b"]));
    let run = world.start("chain", json!({"x": 1}));
    let a = world.tasks().remove(0);
    assert_eq!(a.input.as_str(), r#"{"x":1}"#);
    world.report(&a, ok(json!(1))).unwrap();
    let b = world.tasks().remove(0);
    world.report(&b, ok(json!({"y": 2}))).unwrap();
    assert_eq!(world.timeline(run), "started a:try1 a:ok b:try1 b:ok SUCCEEDED");
    assert_eq!(world.shard.ended_run(run).unwrap().status, RunStatus::Succeeded);
    let last = world.commits.last().unwrap().events.last().unwrap();
    assert_eq!(serde_json::to_value(last).unwrap(), json!({"run": {"runSucceeded": {"output": {"b": {"y": 2}}}}}));
}

#[test]
fn pure_nodes_run_inside_the_decision() {
    let mut world = World::with(&json!({"slug": "pure", "nodes": [
        {"id": "double", "action": {"kind": "transform", "output": "${{ input.n * 2 }}"}},
        {"id": "text", "action": {"kind": "transform", "output": "n is ${{ nodes.double.output }}"}},
        {"id": "rest", "action": "noop"}],
        "transitions": [{"from": "double", "to": "text"}, {"from": "text", "to": "rest"}],
        "output": {"said": "${{ nodes.text.output }}"}}));
    let before = world.commits.len();
    let run = world.start("pure", json!({"n": 21}));
    assert_eq!(world.timeline(run), "started double:ok text:ok rest:ok SUCCEEDED");
    assert_eq!(world.commits.len(), before + 1, "one commit");
    let last = world.commits.last().unwrap().events.last().unwrap();
    assert_eq!(serde_json::to_value(last).unwrap(), json!({"run": {"runSucceeded": {"output": {"said": "n is 42"}}}}));
}

#[test]
fn a_join_waits_for_all_its_ways_in() {
    let mut world = World::with(&json!({"slug": "fan", "steps": [
        {"id": "s", "jobSlug": "work"}, {"id": "l", "jobSlug": "work", "dependsOn": ["s"]},
        {"id": "r", "jobSlug": "work", "dependsOn": ["s"]}, {"id": "j", "jobSlug": "work", "dependsOn": ["l", "r"]}]}));
    let run = world.start("fan", json!({}));
    let s = world.tasks().remove(0);
    world.report(&s, ok(json!(0))).unwrap();
    let both = world.tasks();
    world.report(&both[1], ok(json!(0))).unwrap();
    assert!(world.tasks().is_empty());
    world.report(&both[0], ok(json!(0))).unwrap();
    assert_eq!(world.tasks().len(), 1);
    assert_eq!(world.timeline(run), "started s:try1 s:ok l:try1 r:try1 r:ok l:ok j:try1");
}

#[test]
fn a_way_that_is_not_taken_is_dead_and_holds_no_join_up() {
    let mut world = World::with(&json!({"slug": "xor", "nodes": [
        {"id": "s", "action": "noop"}, {"id": "l", "action": "noop"}, {"id": "r", "action": "noop"},
        {"id": "deep", "action": "noop"}, {"id": "j", "action": "noop"}],
        "transitions": [{"from": "s", "to": "l", "when": "input.left"}, {"from": "s", "to": "r", "when": "!input.left"},
            {"from": "r", "to": "deep"}, {"from": "l", "to": "j"}, {"from": "deep", "to": "j"}]}));
    let run = world.start("xor", json!({"left": true}));
    assert_eq!(world.timeline(run), "started s:ok l:ok r:skipped deep:skipped j:ok SUCCEEDED");
}

#[test]
fn the_first_tier_with_a_true_condition_wins_and_no_route_fails_the_run() {
    let graph = json!({"slug": "tiers", "nodes": [
        {"id": "s", "action": "noop"}, {"id": "a", "action": "noop"}, {"id": "b", "action": "noop"},
        {"id": "c", "action": "noop"}],
        "transitions": [{"from": "s", "to": "a", "priority": 1, "when": "input.n > 10"},
            {"from": "s", "to": "b", "priority": 2, "when": "input.n > 5"},
            {"from": "s", "to": "c", "priority": 2, "when": "input.n > 6"}]});
    let mut world = World::with(&graph);
    let high = world.start("tiers", json!({"n": 11}));
    assert_eq!(world.timeline(high), "started s:ok a:ok b:skipped c:skipped SUCCEEDED");
    let middle = world.start("tiers", json!({"n": 7}));
    assert_eq!(world.timeline(middle), "started s:ok a:skipped b:ok c:ok SUCCEEDED");
    let low = world.start("tiers", json!({"n": 1}));
    assert_eq!(world.timeline(low), "started s:ok FAILED(no_route)");
}

#[test]
fn a_failed_attempt_is_tried_again_after_its_delay_and_ends_the_run_when_tries_are_used_up() {
    let mut world = World::with(&json!({"slug": "retry", "steps": [
        {"id": "a", "jobSlug": "work", "retry": {"maxAttempts": 2, "backoff": "fixed", "delay": "10s", "jitter": "none"}}]}));
    let run = world.start("retry", json!({"k": 1}));
    let first = world.tasks().remove(0);
    world.report(&first, failed("boom")).unwrap();
    world.pass(9);
    world.fire_timers();
    assert!(world.tasks().is_empty());
    world.pass(1);
    world.fire_timers();
    let second = world.tasks().remove(0);
    assert_eq!((second.attempt.get(), second.input.as_str()), (2, r#"{"k":1}"#));
    assert_ne!(second.lease, first.lease);
    world.report(&second, failed("boom")).unwrap();
    let expected = "started a:try1 a:failed(boom) a:retry2 a:try2 a:failed(boom) a:dead(boom) FAILED(boom)";
    assert_eq!(world.timeline(run), expected);
}

#[test]
fn a_silent_handler_is_tried_again_as_every_failure_is_unless_its_code_is_excepted() {
    for (non_retryable, timeline) in [
        (json!([]), "started a:try1 a:failed(heartbeat_timeout) a:retry2 a:try2"),
        (
            json!(["heartbeat_timeout"]),
            "started a:try1 a:failed(heartbeat_timeout) a:dead(heartbeat_timeout) FAILED(heartbeat_timeout)",
        ),
    ] {
        let retry = json!({"delay": "1s", "jitter": false, "nonRetryable": non_retryable});
        let step = json!({"id": "a", "jobSlug": "work", "heartbeatTimeout": "20s", "retry": retry});
        let mut world = World::with(&json!({"slug": "silent", "steps": [step]}));
        let run = world.start("silent", json!({}));
        let task = world.tasks().remove(0);
        assert_eq!(task.heartbeat_timeout_ms, Some(20_000));
        world.report(&task, failed("heartbeat_timeout")).unwrap();
        world.pass(1);
        world.fire_timers();
        assert_eq!(world.timeline(run), timeline);
    }
}

#[test]
fn a_failure_transition_keeps_the_run_alive_and_sees_the_error() {
    let mut world = World::with(&json!({"slug": "caught", "nodes": [
        {"id": "a", "action": {"kind": "job", "jobSlug": "work"}, "retry": {"maxAttempts": 1}},
        {"id": "mend", "action": {"kind": "transform", "output": "mended"}}, {"id": "on", "action": "noop"}],
        "transitions": [{"from": "a", "to": "on"},
            {"from": "a", "to": "mend", "on": "failure", "when": "error.code == 'boom'"}]}));
    let run = world.start("caught", json!({}));
    let a = world.tasks().remove(0);
    world.report(&a, failed("boom")).unwrap();
    assert_eq!(world.timeline(run), "started a:try1 a:failed(boom) a:dead(boom) on:skipped mend:ok SUCCEEDED");
    let other = world.start("caught", json!({}));
    let a = world.tasks().remove(0);
    world.report(&a, failed("bang")).unwrap();
    assert_eq!(world.timeline(other), "started a:try1 a:failed(bang) a:dead(bang) FAILED(bang)");
}

#[test]
fn an_attempt_that_takes_too_long_is_over_and_its_late_report_is_refused() {
    let mut world = World::with(&json!({"slug": "slow", "steps": [
        {"id": "a", "jobSlug": "work", "timeout": "5s", "retry": {"maxAttempts": 1}}]}));
    let run = world.start("slow", json!({}));
    let task = world.tasks().remove(0);
    assert_eq!(task.deadline, Some(world.now.after(std::time::Duration::from_secs(5))));
    world.pass(5);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started a:try1 a:failed(timeout) a:dead(timeout) FAILED(timeout)");
    let late = world.report(&task, ok(json!(1))).unwrap_err();
    assert_eq!(late, refused(RunRejection::RunClosed { status: RunStatus::Failed, successor: None }));
}

#[test]
fn a_run_that_takes_too_long_fails_and_cancels_what_runs() {
    let mut document = chain(&["a"]);
    document["timeout"] = json!("1h");
    let mut world = World::with(&document);
    let run = world.start("chain", json!({}));
    world.pass(3600);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started a:try1 a:cancelled FAILED(run_timeout)");
    assert_eq!(world.shard.next_due(), None);
}

#[test]
fn a_sleep_ends_at_its_time() {
    let mut world = World::with(&json!({"slug": "nap", "steps": [
        {"id": "z", "action": {"kind": "sleep", "duration": "${{ input.span }}"}}]}));
    let run = world.start("nap", json!({"span": "90s"}));
    world.pass(89);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started z:try1");
    world.pass(1);
    world.fire_timers();
    assert_eq!(world.timeline(run), "started z:try1 z:ok SUCCEEDED");
    let bad = world.start("nap", json!({"span": "soon"}));
    assert_eq!(world.timeline(bad), "started z:dead(sleep_duration) FAILED(sleep_duration)");
}

#[test]
fn cancelling_ends_the_run_at_once_and_only_once() {
    let mut world = World::with(&chain(&["a", "b"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    let cancel = || Command::Run {
        run,
        command: RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 },
    };
    world.decide(cancel()).unwrap();
    assert_eq!(world.timeline(run), "started a:try1 a:cancelled CANCELLED");
    let closed = refused(RunRejection::RunClosed { status: RunStatus::Cancelled, successor: None });
    assert_eq!(world.decide(cancel()).unwrap_err(), closed);
    assert_eq!(world.report(&task, ok(json!(1))).unwrap_err(), closed);
}

#[test]
fn a_run_of_another_workspace_cannot_be_cancelled_and_is_not_there_for_the_asker() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let cancel = |workspace: &str| {
        let workspace = Some(workspace.parse().unwrap());
        Command::Run { run, command: RunCommand::CancelRun { workspace, reason: "enough".into(), grace_ms: 0 } }
    };
    assert_eq!(world.decide(cancel("elsewhere")).unwrap_err(), refused(RunRejection::RunNotFound));
    assert_eq!(world.timeline(run), "started a:try1");
    let own = world.shard.run(run).unwrap().workspace().to_string();
    world.decide(cancel(&own)).unwrap();
    assert_eq!(world.timeline(run), "started a:try1 a:cancelled CANCELLED");
}

#[test]
fn an_input_that_breaks_the_schema_starts_nothing() {
    let mut document = chain(&["a"]);
    document["inputSchema"] = json!({"type": "object", "required": ["dir"], "properties": {"n": {"maximum": 5}}});
    document["defaults"] = json!({"n": 3});
    let mut world = World::with(&document);
    let id = world.start("chain", json!({"dir": "/"}));
    assert_eq!(world.shard.run(id).unwrap().input().to_value(), json!({"dir": "/", "n": 3}));
    for bad in [json!({}), json!({"dir": "/", "n": 6}), json!([]), json!("x")] {
        let run = RunId::new(shard_zero(), world.now, 77);
        let commits = world.commits.len();
        let refusal = world.try_start(run, "chain", bad.clone()).unwrap_err();
        assert!(matches!(refusal, Rejection::Run(RunRejection::InputInvalid { .. })), "{bad}: {refusal}");
        assert_eq!(world.commits.len(), commits);
    }
}

#[test]
fn the_same_start_again_is_granted_and_another_under_its_id_is_refused() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({"n": 1}));
    let commits = world.commits.len();
    assert!(world.try_start(run, "chain", json!({"n": 1})).unwrap().commit.is_none());
    let other = world.try_start(run, "chain", json!({"n": 2})).unwrap_err();
    assert_eq!(other, refused(RunRejection::KeyReused { run }));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    assert!(world.try_start(run, "chain", json!({"n": 1})).unwrap().commit.is_none(), "also after its end");
    assert_eq!(world.commits.len(), commits + 1);
}

#[test]
fn a_repeated_start_is_judged_by_the_version_the_run_started_with() {
    let mut document = chain(&["a"]);
    document["defaults"] = json!({"n": 1});
    let mut world = World::with(&document);
    let run = world.start("chain", json!({}));
    document["defaults"] = json!({"n": 2});
    world.apply(&document);
    assert!(world.try_start(run, "chain", json!({})).unwrap().commit.is_none());
    assert_eq!(world.try_start(run, "chain", json!({"n": 2})).unwrap_err(), refused(RunRejection::KeyReused { run }));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    assert!(world.try_start(run, "chain", json!({})).unwrap().commit.is_none(), "also after its end");
    assert_eq!(world.try_start(run, "chain", json!({"n": 2})).unwrap_err(), refused(RunRejection::KeyReused { run }));
}

#[test]
fn a_key_means_one_run_until_a_day_after_its_end_and_then_another() {
    let mut world = World::with(&chain(&["a"]));
    let key = |world: &World| RunId::derived(shard_zero(), world.now, &[b"key", b"order-4711"]);
    let first = key(&world);
    world.try_start_keyed(first, "chain", json!({"n": 1})).unwrap();
    let task = world.tasks().remove(0);
    let known = Some(Granted::Run { run: first });
    world.pass(48 * 3600);
    let again = key(&world);
    assert_ne!(again, first);
    assert_eq!(world.try_start_keyed(again, "chain", json!({"n": 1})).unwrap().granted, known, "while it runs");
    world.report(&task, ok(json!(1))).unwrap();
    world.pass(23 * 3600);
    let again = key(&world);
    assert_eq!(world.try_start_keyed(again, "chain", json!({"n": 1})).unwrap().granted, known, "for a day");
    let other = world.try_start_keyed(again, "chain", json!({"n": 2})).unwrap_err();
    assert_eq!(other, refused(RunRejection::KeyReused { run: first }));
    world.pass(2 * 3600);
    // Ends let ends be forgotten: the same on every fold.
    let (a, b) = (world.start("chain", json!({})), world.tasks().remove(0));
    world.report(&b, ok(json!(1))).unwrap();
    assert!(world.shard.ended_run(a).is_some() && world.shard.ended_run(first).is_none());
    let later = key(&world);
    let started = world.try_start_keyed(later, "chain", json!({"n": 2})).unwrap();
    assert_eq!((started.granted, started.commit.is_some()), (None, true));
    assert_eq!(world.timeline(later), "started a:try1");
    assert_eq!(world.timeline(first), "started a:try1 a:ok SUCCEEDED");
}

#[test]
fn stored_results_are_seen_by_later_nodes() {
    let mut world = World::with(&json!({"slug": "state", "steps": [
        {"id": "scan", "jobSlug": "work", "storeResultAs": "found"},
        {"id": "tell", "jobSlug": "work", "dependsOn": ["scan"],
         "parameters": {"files": "${{ state.found.files }}", "dir": "${{ input.dir }}"}}]}));
    world.start("state", json!({"dir": "/x"}));
    let scan = world.tasks().remove(0);
    world.report(&scan, ok(json!({"files": [1, 2]}))).unwrap();
    let tell = world.tasks().remove(0);
    assert_eq!(tell.input.to_value(), json!({"files": [1, 2], "dir": "/x"}));
}

#[test]
fn a_missing_value_fails_the_node_and_says_which() {
    let mut world = World::with(&json!({"slug": "missing", "steps": [
        {"id": "a", "jobSlug": "work", "parameters": {"x": "${{ input.nothing.here }}"}}]}));
    let run = world.start("missing", json!({}));
    assert_eq!(world.timeline(run), "started a:dead(expression_error) FAILED(expression_error)");
    let text = Json::of(world.commits.last().unwrap()).as_str().to_owned();
    assert!(text.contains("nothing"), "{text}");
}
