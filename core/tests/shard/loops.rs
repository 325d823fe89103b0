//! Ways back: how often, what each turn sees, and what leaves a loop.

use headwater_core::RunId;
use serde_json::{Value, json};

use crate::checkpoints;
use crate::world::{World, failed, ok};

fn outputs(world: &World, node: &str) -> Vec<Value> {
    let events = world.commits.iter().flat_map(|commit| &commit.events);
    let all = events.filter_map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let done = &event["run"]["nodeSucceeded"];
        let of = done["node"].as_str()?.split('@').next()? == node;
        of.then(|| done["output"].clone())
    });
    all.collect()
}

/// Reports the attempts that wait with what comes next, until nothing waits.
fn answer(world: &mut World, run: RunId, answers: &[Result<Value, &'static str>]) {
    for answer in answers {
        let tasks = world.tasks();
        assert_eq!(tasks.len(), 1, "{}", world.timeline(run));
        world.report(&tasks[0], answer.clone().map_or_else(failed, ok)).unwrap();
        world.settle();
    }
    assert!(world.tasks().is_empty(), "{}", world.timeline(run));
}

/// Drafts until a score is good enough, three times at most, then publishes or gives up.
fn drafts() -> Value {
    json!({"slug": "drafts", "nodes": [
        {"id": "draft", "jobSlug": "work", "input": {"turn": "${{ has(state.score) ? state.score : 0 }}"}, "retry": {"maxAttempts": 1}},
        {"id": "rate", "action": {"kind": "transform", "output": "${{ nodes.draft.output * 2 }}"}, "storeResultAs": "score"},
        {"id": "publish", "action": {"kind": "transform", "output": "${{ nodes.rate.output }}"}},
        {"id": "give_up", "action": {"kind": "transform", "output": "${{ [nodes.rate.output, nodes.draft.attempts] }}"}}],
        "transitions": [
            {"from": "draft", "to": "rate"},
            {"from": "rate", "to": "publish", "when": "nodes.rate.output >= 10"},
            {"from": "rate", "to": "draft", "priority": 1, "maxIterations": 3},
            {"from": "rate", "to": "give_up", "priority": 2}]})
}

#[test]
fn a_loop_goes_round_until_a_way_out_is_taken() {
    let mut world = World::with(&drafts());
    let run = world.start("drafts", json!({}));
    answer(&mut world, run, &[Ok(json!(1)), Ok(json!(2)), Ok(json!(7))]);
    assert_eq!(
        world.timeline(run),
        "started draft:opens(1+1) draft@1:try1 draft@1:ok rate@1:ok @1:again draft:opens(2+1) draft@2:try1 draft@2:ok \
         rate@2:ok @2:again draft:opens(3+1) draft@3:try1 draft@3:ok rate@3:ok @3:over publish:ok give_up:skipped SUCCEEDED"
    );
    assert_eq!(outputs(&world, "publish"), [json!(14)], "outside of a loop a node is its last turn");
}

#[test]
fn a_way_back_leads_back_only_so_often() {
    let mut world = World::with(&drafts());
    let run = world.start("drafts", json!({}));
    let one = Ok(json!(1));
    answer(&mut world, run, &[one.clone(), one.clone(), one.clone(), one]);
    assert!(world.timeline(run).ends_with("@4:over publish:skipped give_up:ok SUCCEEDED"), "{}", world.timeline(run));
    assert_eq!(outputs(&world, "give_up"), [json!([2, 1])]);
}

#[test]
fn a_turn_sees_what_the_turn_before_has_stored() {
    let mut world = World::with(&drafts());
    world.start("drafts", json!({}));
    let first = world.tasks().remove(0);
    assert_eq!(first.input.to_value(), json!({"turn": 0}));
    world.report(&first, ok(json!(3))).unwrap();
    assert_eq!(world.tasks().remove(0).input.to_value(), json!({"turn": 6}));
}

#[test]
fn what_fails_in_a_turn_fails_what_is_around_the_loop() {
    let mut world = World::with(&drafts());
    let run = world.start("drafts", json!({}));
    answer(&mut world, run, &[Ok(json!(1)), Err("boom")]);
    let end = "draft@2:dead(boom) @2:cancelled draft:cancelled FAILED(boom)";
    assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
}

#[test]
fn a_loop_may_be_one_node_and_go_back_after_a_failure() {
    let document = |until: &str| {
        json!({"slug": "again", "nodes": [
            {"id": "poll", "jobSlug": "work", "retry": {"maxAttempts": 1}, "onNoRoute": "end"}, {"id": "done", "action": "noop"}],
            "transitions": [
                {"from": "poll", "to": "poll", "maxIterations": 5, "until": until},
                {"from": "poll", "to": "done", "priority": 1},
                {"from": "poll", "to": "poll", "maxIterations": 1, "on": "failure", "when": "error.code == 'busy'"}]})
    };
    let mut world = World::with(&document("nodes.poll.output.ready"));
    let run = world.start("again", json!({}));
    answer(&mut world, run, &[Ok(json!({"ready": false})), Err("busy"), Ok(json!({"ready": true}))]);
    assert!(world.timeline(run).ends_with("poll@3:ok @3:over done:ok SUCCEEDED"), "{}", world.timeline(run));
    let run = world.start("again", json!({}));
    answer(&mut world, run, &[Err("busy"), Err("busy")]);
    assert!(world.timeline(run).ends_with("FAILED(busy)"), "{}", world.timeline(run));
}

#[test]
fn ways_out_that_were_taken_in_a_turn_that_leads_back_are_dropped() {
    let mut world = World::with(&json!({"slug": "both", "nodes": [
        {"id": "a", "action": "noop"}, {"id": "b", "jobSlug": "work"}, {"id": "c", "action": "noop"},
        {"id": "out", "action": "noop"}],
        "transitions": [{"from": "a", "to": "b"}, {"from": "a", "to": "c"}, {"from": "c", "to": "out"},
            {"from": "b", "to": "a", "maxIterations": 1, "when": "nodes.b.output"},
            {"from": "c", "to": "b"}]}));
    let run = world.start("both", json!({}));
    answer(&mut world, run, &[Ok(json!(true)), Ok(json!(true))]);
    // The second time no way leads on from `b`.
    let timeline = world.timeline(run);
    assert_eq!(timeline.matches("out:ok").count(), 0, "{timeline}");
    assert!(timeline.ends_with("FAILED(no_route)"), "{timeline}");
}

#[test]
fn loops_lie_in_one_another_and_are_counted_each_time_they_are_entered() {
    let step = |id: &str| json!({"id": id, "action": "noop"});
    let mut world =
        World::with(&json!({"slug": "nested", "nodes": [step("outer"), step("inner"), step("tail"), step("end")],
        "transitions": [{"from": "outer", "to": "inner"},
            {"from": "inner", "to": "inner", "maxIterations": 2}, {"from": "inner", "to": "tail", "priority": 1},
            {"from": "tail", "to": "outer", "maxIterations": 1}, {"from": "tail", "to": "end", "priority": 1}]}));
    let run = world.start("nested", json!({}));
    world.settle();
    let timeline = world.timeline(run);
    assert_eq!(outputs(&world, "outer").len(), 2, "{timeline}");
    assert_eq!(outputs(&world, "inner").len(), 6, "{timeline}");
    assert_eq!(outputs(&world, "tail").len(), 2, "{timeline}");
    assert!(timeline.ends_with("end:ok SUCCEEDED"), "{timeline}");
}

#[test]
fn a_way_back_may_lead_out_of_a_loop_within() {
    let step = |id: &str| json!({"id": id, "action": "noop"});
    let mut world = World::with(&json!({"slug": "leap", "nodes": [step("outer"), step("inner"), step("end")],
        "transitions": [{"from": "outer", "to": "inner"},
            {"from": "inner", "to": "inner", "maxIterations": 1},
            {"from": "inner", "to": "outer", "maxIterations": 2, "priority": 1},
            {"from": "inner", "to": "end", "priority": 2}]}));
    let run = world.start("leap", json!({}));
    world.settle();
    assert_eq!(outputs(&world, "outer").len(), 3, "{}", world.timeline(run));
    assert_eq!(outputs(&world, "inner").len(), 6, "{}", world.timeline(run));
    assert!(world.timeline(run).ends_with("end:ok SUCCEEDED"), "{}", world.timeline(run));
}

#[test]
fn a_loop_that_is_never_entered_is_skipped_as_a_whole() {
    let step = |id: &str| json!({"id": id, "action": "noop"});
    let mut world = World::with(&json!({"slug": "never", "nodes": [
        {"id": "s", "action": "noop", "onNoRoute": "end"}, step("a"), step("b"), step("after")],
        "transitions": [{"from": "s", "to": "a", "when": "input.go"}, {"from": "a", "to": "b"},
            {"from": "b", "to": "a", "maxIterations": 1}, {"from": "b", "to": "after", "priority": 1}]}));
    let run = world.start("never", json!({"go": false}));
    assert_eq!(world.timeline(run), "started s:ok a:skipped after:skipped SUCCEEDED");
    let run = world.start("never", json!({"go": true}));
    world.settle();
    assert!(world.timeline(run).ends_with("b@2:ok @2:over after:ok SUCCEEDED"), "{}", world.timeline(run));
}

#[test]
fn a_fan_out_in_a_loop_begins_anew_with_each_turn() {
    let mut world = World::with(&json!({"slug": "ideas", "nodes": [
        {"id": "ideate", "action": {"kind": "transform", "output": "${{ has(state.best) ? state.best + 1 : 1 }}"}},
        {"id": "judges", "forEach": {"items": 3, "join": {"quorum": 2},
            "body": {"id": "judge", "action": {"kind": "transform", "output": "${{ nodes.ideate.output * 10 + index }}"}}}},
        {"id": "rank", "action": {"kind": "transform", "output": "${{ nodes.ideate.output }}"}, "storeResultAs": "best"},
        {"id": "done", "action": {"kind": "transform", "output": "${{ nodes.judges.output }}"}}],
        "transitions": [{"from": "ideate", "to": "judges"}, {"from": "judges", "to": "rank"},
            {"from": "rank", "to": "ideate", "maxIterations": 3, "until": "state.best >= 3"},
            {"from": "rank", "to": "done", "priority": 1}]}));
    let run = world.start("ideas", json!({}));
    world.settle();
    assert_eq!(outputs(&world, "rank"), [json!(1), json!(2), json!(3)], "{}", world.timeline(run));
    assert_eq!(outputs(&world, "done"), [json!([30, 31, 32])]);
}

#[test]
fn the_loops_of_a_run_go_round_so_often_in_all() {
    let step = |id: &str| json!({"id": id, "action": "noop"});
    let mut world = World::with(&json!({"slug": "endless", "nodes": [step("outer"), step("inner")],
        "transitions": [{"from": "outer", "to": "inner"}, {"from": "inner", "to": "inner", "maxIterations": 5_000},
            {"from": "inner", "to": "outer", "maxIterations": 5_000, "priority": 1}]}));
    let run = world.start("endless", json!({}));
    world.settle();
    let timeline = world.timeline(run);
    assert!(timeline.ends_with("FAILED(loop_limit)"), "{}", &timeline[timeline.len() - 200..]);
    assert_eq!(timeline.matches(":opens(").count(), 10_000);
}

/// A run whose node `all` makes its output of what it made in the turn before, so many times.
fn deepening(all: &Value, times: u32) -> Value {
    json!({"slug": "deeper", "nodes": [
        {"id": "seed", "action": {"kind": "transform", "output": [1]}, "storeResultAs": "x"},
        all, {"id": "after", "jobSlug": "work", "input": "${{ state.x }}"}],
        "transitions": [
            {"from": "seed", "to": "all"},
            {"from": "all", "to": "all", "maxIterations": times},
            {"from": "all", "to": "after", "priority": 1}]})
}

/// What a run makes of what it has made gets deeper with every turn: lists of outputs, maps of them, batches. Nothing gets deeper
/// than a journal can tell, and a worker can be told.
#[test]
fn what_is_put_together_again_and_again_gets_no_deeper_than_values_may_be() {
    let part = |id: &str| json!({"id": id, "action": {"kind": "transform", "output": "${{ state.x }}"}});
    let items = json!({"id": "part", "action": {"kind": "transform", "output": "${{ item }}"}});
    let pair = json!({"steps": [part("a"), {"id": "b", "action": {"kind": "transform", "output": 1}}]});
    let each = |body: &Value, fields: Value| {
        let mut all = json!({"id": "all", "forEach": {"items": [1], "body": body}, "storeResultAs": "x"});
        all["forEach"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let nodes = [
        each(&part("part"), json!({})),
        each(&part("part"), json!({"merge": "keyed"})),
        each(&items, json!({"items": "${{ state.x }}", "batch": 2})),
        each(&pair, json!({"merge": "last"})),
        json!({"id": "all", "group": pair, "storeResultAs": "x"}),
    ];
    for all in &nodes {
        for times in [30, 70, 110] {
            let mut world = World::with(&deepening(all, times));
            let run = world.start("deeper", json!({}));
            while world.settle() > 0 {}
            let mut folded = checkpoints::owner();
            checkpoints::fold(&mut folded, &checkpoints::journal(&world.commits, 1));
            assert_eq!(folded.shard().run(run), world.shard.run(run), "{all} {times}");
            let story = world.timeline(run);
            match times {
                30 => assert!(story.ends_with("after:try1"), "{all} {story}"),
                _ => assert!(story.ends_with("FAILED(output_invalid)"), "{all} {times} {story}"),
            }
        }
    }
}

/// What a run returns by itself is a map of what its last nodes made.
#[test]
fn what_a_run_returns_is_no_deeper_than_values_may_be() {
    let nested = |levels: usize| -> Value {
        serde_json::from_str(&format!("{}1{}", "[".repeat(levels), "]".repeat(levels))).unwrap()
    };
    for (levels, output, end) in [
        (62, json!(null), "SUCCEEDED"),
        (63, json!(null), "FAILED(output_invalid)"),
        (63, json!("${{ nodes.a.output }}"), "SUCCEEDED"),
    ] {
        let node = json!({"id": "a", "action": {"kind": "transform", "output": "${{ [input.x] }}"}});
        let mut world = World::with(&json!({"slug": "deep", "steps": [node], "output": output}));
        let run = world.start("deep", json!({"x": nested(levels)}));
        assert_eq!(world.timeline(run), format!("started a:ok {end}"), "{levels} {output}");
    }
}
