//! How nodes have ended, and who asks: joins by outcome, nodes that fail on purpose, expressions that look back.

use serde_json::json;

use crate::world::{World, failed, ok};

#[test]
fn a_node_that_is_to_fail_fails_with_its_code_and_can_be_caught() {
    let fail = json!({"kind": "fail", "code": "over/budget", "message": "${{ input.n }} is over, ${{ input.by }}"});
    let mut world = World::with(&json!({"slug": "fails", "nodes": [
        {"id": "s", "action": fail}, {"id": "caught", "action": "noop"}],
        "transitions": [{"from": "s", "to": "caught", "on": "failure",
            "when": "error.code == 'over/budget' && error.message == '7 is over, me' && input.by == 'me'"}]}));
    let caught = world.start("fails", json!({"n": 7, "by": "me"}));
    assert_eq!(world.timeline(caught), "started s:dead(over/budget) caught:ok SUCCEEDED");
    let fatal = world.start("fails", json!({"n": 7, "by": "you"}));
    assert_eq!(world.timeline(fatal), "started s:dead(over/budget) FAILED(over/budget)");
    // A message that has no value is a failure of another kind.
    let nameless = world.start("fails", json!({"n": 7}));
    assert_eq!(world.timeline(nameless), "started s:dead(expression_error) FAILED(expression_error)");
}

#[test]
fn what_a_node_fails_with_is_cut_where_it_is_long() {
    let long = json!({"kind": "fail", "code": "c", "message": "${{ 'a' + input.m }}"});
    let mut world = World::with(&json!({"slug": "long", "steps": [{"id": "a", "action": long}]}));
    world.start("long", json!({"m": "ü".repeat(100_000)}));
    let last = serde_json::to_value(world.commits.last().unwrap().events.last().unwrap()).unwrap();
    let message = last["run"]["runFailed"]["failure"]["message"].as_str().unwrap();
    assert!(message.starts_with("aü"), "{message:.200}");
    assert_eq!(message.len(), 16 * 1024 - 1, "at a character");
}

#[test]
fn a_join_that_does_not_wait_sees_where_the_others_stand() {
    let told = json!({"kind": "transform", "output": "${{ nodes.job.status + ' ' + nodes.nap.status }}"});
    let mut world = World::with(&json!({"slug": "early", "nodes": [
        {"id": "quick", "action": "noop"}, {"id": "job", "jobSlug": "work"},
        {"id": "nap", "action": {"kind": "sleep", "duration": "1h"}}, {"id": "told", "action": told, "join": "any"}],
        "transitions": [{"from": "quick", "to": "told"}, {"from": "job", "to": "told"}, {"from": "nap", "to": "told"}]}));
    let run = world.start("early", json!({}));
    let output = world.commits.iter().flat_map(|commit| &commit.events).find_map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let done = &event["run"]["nodeSucceeded"];
        (done["node"] == "told").then(|| done["output"].clone())
    });
    assert_eq!(output, Some(json!("queued waiting")), "{}", world.timeline(run));
}

#[test]
fn joins_by_outcome_ask_how_the_nodes_before_have_ended() {
    // A goes well, `b` fails or goes well, `c` is skipped or goes well; a failure of `b` is caught elsewhere.
    let graph = |join: &str| {
        json!({"slug": join.to_lowercase(), "nodes": [
            {"id": "a", "action": "noop"},
            {"id": "b", "jobSlug": "work", "retry": {"maxAttempts": 1}},
            {"id": "s", "action": "noop", "onNoRoute": "end"}, {"id": "c", "action": "noop"},
            {"id": "caught", "action": "noop"}, {"id": "j", "action": "noop", "join": join}],
            "transitions": [{"from": "b", "to": "caught", "on": "failure"}, {"from": "s", "to": "c", "when": "input.c"},
                {"from": "a", "to": "j"}, {"from": "b", "to": "j"}, {"from": "c", "to": "j"}]})
    };
    let cases = [
        // (join, all go well, `c` is skipped, `b` fails)
        ("all", [true, true, true]),
        ("allSucceeded", [true, false, false]),
        ("allDone", [true, true, true]),
        ("noneFailed", [true, true, false]),
    ];
    for (join, expected) in cases {
        for ((c, fails), runs) in [(true, false), (false, false), (true, true)].into_iter().zip(expected) {
            let mut world = World::with(&graph(join));
            let run = world.start(&join.to_lowercase(), json!({"c": c}));
            let task = world.tasks().remove(0);
            world.report(&task, if fails { failed("boom") } else { ok(json!(1)) }).unwrap();
            let timeline = world.timeline(run);
            assert_eq!(timeline.contains("j:ok"), runs, "{join}, {c}, {fails}: {timeline}");
            assert_eq!(timeline.contains("j:skipped"), !runs, "{join}, {c}, {fails}: {timeline}");
            assert!(timeline.ends_with("SUCCEEDED"), "{join}, {c}, {fails}: {timeline}");
        }
    }
}

#[test]
fn expressions_see_how_the_nodes_before_have_ended_and_after_how_many_attempts() {
    let mut world = World::with(&json!({"slug": "ends", "nodes": [
        {"id": "job", "jobSlug": "work", "retry": {"maxAttempts": 2, "delay": "1s", "jitter": false}},
        {"id": "next", "action": "noop"}, {"id": "caught", "action": "noop"},
        {"id": "told", "join": "allDone", "action": {"kind": "transform", "output":
            {"job": "${{ nodes.job.status }} ${{ nodes.job.attempts }}", "next": "${{ nodes.next.status }}",
                "caught": "${{ nodes.caught.status }}", "attempts": "${{ nodes.caught.attempts }}"}}}],
        "transitions": [
            {"from": "job", "to": "next", "when": "nodes.job.status == 'succeeded' && nodes.job.attempts == 2"},
            {"from": "job", "to": "caught", "on": "failure", "when": "nodes.job.status == 'failed' && nodes.job.attempts == 2"},
            {"from": "next", "to": "told"}, {"from": "caught", "to": "told"}],
        "output": {"told": "${{ nodes.told.output }}", "all": "${{ nodes.told.status }}"}}));
    let cases = [
        (ok(json!(1)), json!({"job": "succeeded 2", "next": "succeeded", "caught": "skipped", "attempts": 0})),
        (failed("boom"), json!({"job": "failed 2", "next": "skipped", "caught": "succeeded", "attempts": 0})),
    ];
    for (second, told) in cases {
        let run = world.start("ends", json!({}));
        let first = world.tasks().remove(0);
        world.report(&first, failed("boom")).unwrap();
        world.pass(1);
        world.fire_timers();
        let task = world.tasks().remove(0);
        world.report(&task, second).unwrap();
        assert!(world.timeline(run).ends_with("SUCCEEDED"), "{}", world.timeline(run));
        let last = serde_json::to_value(world.commits.last().unwrap().events.last().unwrap()).unwrap();
        assert_eq!(last["run"]["runSucceeded"]["output"], json!({"told": told, "all": "succeeded"}));
    }
}

#[test]
fn what_waits_for_all_to_be_done_runs_also_where_no_way_leads_to_it() {
    let graph = |join: &str| {
        json!({"slug": "none", "nodes": [
            {"id": "s", "action": "noop", "onNoRoute": "end"}, {"id": "a", "action": "noop"}, {"id": "b", "action": "noop"},
            {"id": "j", "action": "noop", "join": join}],
            "transitions": [{"from": "s", "to": "a", "when": "false"}, {"from": "s", "to": "b", "when": "false"},
                {"from": "a", "to": "j"}, {"from": "b", "to": "j"}]})
    };
    for (join, j) in [("all", "skipped"), ("allSucceeded", "skipped"), ("allDone", "ok"), ("noneFailed", "ok")] {
        let mut world = World::with(&graph(join));
        let run = world.start("none", json!({}));
        // Two ways that end before the join do not begin it twice.
        let expected = format!("started s:ok a:skipped b:skipped j:{j} SUCCEEDED");
        assert_eq!(world.timeline(run), expected, "{join}");
    }
}
