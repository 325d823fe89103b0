//! What runs whatever the end of a run, and what is seen of failures by whatever stands behind them.

use headwater_core::RunId;
use headwater_core::run::RunCommand;
use headwater_core::shard::Command;
use serde_json::{Value, json};

use crate::world::{World, failed, ok};

fn outputs(world: &World, node: &str) -> Vec<Value> {
    let events = world.commits.iter().flat_map(|commit| &commit.events);
    let all = events.filter_map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let done = &event["run"]["nodeSucceeded"];
        (done["node"].as_str()?.split('@').next()? == node).then(|| done["output"].clone())
    });
    all.collect()
}

fn cleaned(more: &Value) -> World {
    let told = json!({"id": "told", "action": {"kind": "transform",
        "output": {"status": "${{ run.status }}", "error": "${{ has(error.code) ? error.code : 'none' }}",
            "main": "${{ nodes.main.status }}"}}});
    let mut document = json!({"slug": "clean", "timeout": "1h",
        "steps": [{"id": "main", "jobSlug": "work", "retry": {"maxAttempts": 1}}],
        "finally": {"steps": [told, {"id": "sweep", "dependsOn": ["told"], "jobSlug": "work", "retry": {"maxAttempts": 1}}]}});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    World::with(&document)
}

fn sweep(world: &mut World, outcome: headwater_core::run::ReportOutcome) {
    world.settle();
    let task = world.tasks().remove(0);
    assert_eq!(task.node.to_string(), "sweep@1");
    world.report(&task, outcome).unwrap();
    world.settle();
}

fn cancel(world: &mut World, run: RunId) {
    let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 };
    world.decide(Command::Run { run, command: cancel }).unwrap();
    world.settle();
}

#[test]
fn it_runs_after_success_failure_cancel_and_timeout_and_hides_nothing() {
    type Happens = fn(&mut World, RunId);
    let cases: [(&str, Happens, Value, &str); 4] = [
        (
            "success",
            |world, _| {
                let task = world.tasks().remove(0);
                world.report(&task, ok(json!(1))).unwrap();
            },
            json!({"status": "succeeded", "error": "none", "main": "succeeded"}),
            "SUCCEEDED",
        ),
        (
            "failure",
            |world, _| {
                let task = world.tasks().remove(0);
                world.report(&task, failed("boom")).unwrap();
            },
            json!({"status": "failed", "error": "boom", "main": "failed"}),
            "FAILED(boom)",
        ),
        (
            "cancel",
            |world, run| {
                world.tasks();
                cancel(world, run);
            },
            json!({"status": "cancelled", "error": "cancelled", "main": "cancelled"}),
            "CANCELLED",
        ),
        (
            "timeout",
            |world, _| {
                world.tasks();
                world.pass(3601);
                world.fire_timers();
            },
            json!({"status": "failed", "error": "run_timeout", "main": "cancelled"}),
            "FAILED(run_timeout)",
        ),
    ];
    for (case, happens, told, end) in cases {
        for (sweeps_well, of_success) in [(true, end), (false, if end == "SUCCEEDED" { "FAILED(dust)" } else { end })] {
            let mut world = cleaned(&json!({}));
            let run = world.start("clean", json!({}));
            happens(&mut world, run);
            sweep(&mut world, if sweeps_well { ok(json!(2)) } else { failed("dust") });
            let timeline = world.timeline(run);
            assert!(timeline.ends_with(of_success), "{case}, {sweeps_well}: {timeline}");
            assert_eq!(outputs(&world, "told"), std::slice::from_ref(&told), "{case}: {timeline}");
            assert_eq!(world.shard.active_runs(), 0);
        }
    }
}

#[test]
fn the_output_of_a_run_is_made_before_and_has_nothing_of_it() {
    let mut world = cleaned(&json!({}));
    let run = world.start("clean", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    sweep(&mut world, ok(json!(2)));
    let last = serde_json::to_value(world.commits.last().unwrap().events.last().unwrap()).unwrap();
    assert_eq!(last["run"]["runSucceeded"]["output"], json!({"main": 1}), "{}", world.timeline(run));
    // What breaks its schema is known before, too.
    let mut world = cleaned(&json!({"outputSchema": {"required": ["other"]}}));
    let run = world.start("clean", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    sweep(&mut world, ok(json!(2)));
    assert_eq!(outputs(&world, "told")[0]["error"], "output_schema");
    assert!(world.timeline(run).ends_with("FAILED(output_schema)"));
}

#[test]
fn nothing_else_happens_meanwhile_and_it_has_a_time_of_its_own() {
    for (timeout, seconds) in [(json!({}), 3601), (json!({"timeout": "5s"}), 6)] {
        let mut finally = json!({"steps": [{"id": "sweep", "jobSlug": "work"}]});
        finally.as_object_mut().unwrap().extend(timeout.as_object().unwrap().clone());
        let mut world = cleaned(&json!({ "finally": finally }));
        let run = world.start("clean", json!({}));
        let main = world.tasks().remove(0);
        cancel(&mut world, run);
        assert!(world.report(&main, ok(json!(1))).is_err());
        let sweep = world.tasks().remove(0);
        let again = RunCommand::CancelRun { workspace: None, reason: "again".into(), grace_ms: 0 };
        assert!(world.decide(Command::Run { run, command: again }).is_err(), "{}", world.timeline(run));
        world.pass(seconds);
        world.fire_timers();
        let end =
            "@1:closing(timeout) sweep@1:cancelled @1:failed finally:failed(timeout) finally:dead(timeout) CANCELLED";
        assert!(world.timeline(run).ends_with(end), "{}", world.timeline(run));
        assert!(world.report(&sweep, ok(json!(1))).is_err());
    }
}

#[test]
fn a_failure_is_seen_by_everything_behind_its_transition() {
    let seen = |id: &str| json!({"id": id, "action": {"kind": "transform", "output": "${{ error.code + ' of ' + error.nodeId }}"}});
    let each = json!({"id": "each", "forEach": {"items": 1, "body": {"steps": [seen("inner")]}}});
    let again = json!({"id": "again", "action": "noop"});
    let mut world = World::with(&json!({"slug": "seen", "nodes": [
        {"id": "bad", "jobSlug": "work", "retry": {"maxAttempts": 1}}, seen("first"), seen("second"), each, again, seen("turn"),
        {"id": "aside", "action": {"kind": "transform", "output": "${{ nodes.bad.error.code }}"}, "join": "allDone"}],
        "transitions": [{"from": "bad", "to": "first", "on": "failure"}, {"from": "first", "to": "second"},
            {"from": "second", "to": "each"}, {"from": "each", "to": "again"}, {"from": "again", "to": "turn"},
            {"from": "turn", "to": "again", "maxIterations": 1}, {"from": "turn", "to": "aside", "priority": 1}]}));
    let run = world.start("seen", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    world.settle();
    for node in ["first", "second", "inner", "turn"] {
        let seen = outputs(&world, node);
        assert!(
            !seen.is_empty() && seen.iter().all(|seen| seen == "boom of bad"),
            "{node}: {seen:?} {}",
            world.timeline(run)
        );
    }
    assert_eq!(outputs(&world, "aside"), [json!("boom")]);
}
