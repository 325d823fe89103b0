//! Everything that is wrong with documents: where, under which code, and in which words.

use headwater_core::definition::compile;
use serde_json::{Value, json};

mod compensation;
mod continuing;
mod people;
mod policies;
mod regions;
mod reuse;

/// The problems as `path code`, one on a line; none of what is accepted.
fn bad(document: &Value) -> Vec<String> {
    let problems = compile(document).err().map(|problems| problems.0).unwrap_or_default();
    problems.iter().map(|problem| format!("{} {}", problem.path, problem.code)).collect()
}

fn messages(document: &Value) -> String {
    let problems = compile(document).map(|(definition, _)| definition.source).expect_err("should be refused").0;
    problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("\n")
}

fn with_steps(steps: Value) -> Value {
    json!({"slug": "w", "steps": steps})
}

fn with_step(step: Value) -> Value {
    with_steps(json!([step]))
}

#[test]
fn everything_that_is_wrong_is_reported_with_its_place() {
    let cases: Vec<(Value, &[&str])> = vec![
        (json!(null), &[" invalid_value"]),
        (json!({}), &["/slug missing_field", "/steps missing_field"]),
        (json!({"slug": "Up", "steps": []}), &["/slug invalid_name", "/steps invalid_value"]),
        (json!({"slug": "w", "steps": {}, "stpes": 1}), &["/steps invalid_value", "/stpes unknown_field"]),
        (json!({"slug": "w", "nodes": [{"id": "a", "action": "noop"}], "steps": []}), &["/steps invalid_value"]),
        (with_step(json!(7)), &["/steps/0 invalid_value"]),
        (with_step(json!({})), &["/steps/0/id missing_field", "/steps/0/jobSlug missing_field"]),
        (
            with_step(json!({"id": "a b", "jobSlug": "x y"})),
            &["/steps/0/id invalid_name", "/steps/0/jobSlug invalid_name"],
        ),
        (with_step(json!({"id": "a", "jobSlug": "x", "input": {}, "with": {}})), &["/steps/0/with duplicate"]),
        (with_step(json!({"id": "a", "action": "workflow_call"})), &["/steps/0/action/workflow missing_field"]),
        (
            with_step(json!({"id": "a", "action": {"kind": "workflow_call", "workflow": "b", "version": 0}})),
            &["/steps/0/action/version invalid_value"],
        ),
        (
            with_step(json!({"id": "a", "action": {"kind": "workflow_call", "workflow": "b", "input": [1]}})),
            &["/steps/0/action/input invalid_value"],
        ),
        (
            with_step(json!({"id": "a", "input": 3, "action": {"kind": "workflow_call", "workflow": "b"}})),
            &["/steps/0/input invalid_value"],
        ),
        (
            with_step(
                json!({"id": "a", "input": {}, "action": {"kind": "workflow_call", "workflow": "b", "input": {}}}),
            ),
            &["/steps/0/input invalid_value"],
        ),
        (
            with_step(
                json!({"id": "a", "action": {"kind": "workflow_call", "workflow": "b", "wait": "none", "onFailure": "catch"}}),
            ),
            &["/steps/0/action/onFailure invalid_value"],
        ),
        (
            with_step(
                json!({"id": "a", "produces": [{"assetId": "x", "schema": {}}], "action": {"kind": "workflow_call", "workflow": "b"}}),
            ),
            &["/steps/0/produces invalid_value"],
        ),
        (
            with_step(
                json!({"id": "a", "produces": [{"assetId": "x"}], "action": {"kind": "workflow_call", "workflow": "b", "wait": "none"}}),
            ),
            &["/steps/0/produces invalid_value"],
        ),
        (
            with_step(json!({"id": "a", "produces": [{"assetId": "x", "optional": true}],
                "action": {"kind": "workflow_call", "workflow": "b", "wait": "assets"}})),
            &["/steps/0/produces missing_field"],
        ),
        (with_step(json!({"id": "a", "action": "llm_call"})), &["/steps/0/action unknown_action"]),
        (with_step(json!({"id": "a", "type": "transfrm"})), &["/steps/0/type unknown_action"]),
        (with_step(json!({"id": "a", "action": {"kind": "llm_call"}})), &["/steps/0/action/kind unknown_action"]),
        (with_step(json!({"id": "a", "action": {"kind": "transform"}})), &["/steps/0/action/output missing_field"]),
        (with_step(json!({"id": "a", "action": "process"})), &["/steps/0/input missing_field"]),
        (
            with_step(json!({"id": "a", "action": {"kind": "http_request", "uri": "x"}})),
            &["/steps/0/action/url missing_field", "/steps/0/action/uri unknown_field"],
        ),
        (
            with_step(
                json!({"id": "a", "action": {"kind": "sleep", "duration": "1s"}, "produces": [{"assetId": "x"}]}),
            ),
            &["/steps/0/produces invalid_value"],
        ),
        (with_step(json!({"id": "a", "action": "fail"})), &["/steps/0/action/code missing_field"]),
        (
            with_step(json!({"id": "a", "action": {"kind": "fail", "cod": "x"}})),
            &[
                "/steps/0/action/code missing_field",
                "/steps/0/action/message missing_field",
                "/steps/0/action/cod unknown_field",
            ],
        ),
        (
            with_steps(json!([
                {"id": "a", "action": {"kind": "fail", "code": "${{ input.code }}", "message": "m"}},
                {"id": "b", "action": {"kind": "fail", "code": "", "message": "m"}},
                {"id": "c", "action": {"kind": "fail", "code": "c", "message": 7}},
                {"id": "d", "action": {"kind": "fail", "code": "d", "message": "${{ inputs.d }}"}},
                {"id": "e", "action": {"kind": "fail", "code": "e", "message": "m"}, "input": {}, "storeResultAs": "e",
                    "produces": [{"assetId": "x", "optional": true}], "retry": {"maxAttempts": 2}}])),
            &[
                "/steps/0/action/code invalid_value",
                "/steps/1/action/code invalid_value",
                "/steps/2/action/message invalid_value",
                "/steps/3/action/message bad_expression",
                "/steps/4/input invalid_value",
                "/steps/4/produces invalid_value",
                "/steps/4/retry invalid_value",
                "/steps/4/storeResultAs invalid_value",
            ],
        ),
        (
            with_steps(json!([{"id": "a", "action": {"kind": "fail", "code": "a", "message": "m"}},
                {"id": "b", "action": "noop"}, {"id": "c", "action": "noop", "dependsOn": ["b", "a"]}])),
            &["/steps/2/dependsOn/1 unreachable"],
        ),
        (
            json!({"slug": "w", "nodes": [{"id": "a", "action": {"kind": "fail", "code": "a", "message": "m"}},
                {"id": "b", "action": "noop", "join": "allSucceeded"}, {"id": "c", "action": "noop", "join": "AllDone"}],
                "transitions": [{"from": "a", "to": "b", "on": "failure"}, {"from": "a", "to": "c"}]}),
            &["/nodes/1/join invalid_value", "/nodes/2/join invalid_value", "/transitions/1 unreachable"],
        ),
        (
            with_step(json!({"id": "a", "action": {"kind": "sleep", "duration": "soon"}})),
            &["/steps/0/action/duration invalid_value"],
        ),
        (
            with_steps(json!([
                {"id": "a", "action": {"kind": "wait_until", "time": "tomorrow"}},
                {"id": "b", "action": {"kind": "wait_until", "time": 1_764_158_400}},
                {"id": "c", "action": {"kind": "wait_until", "time": "${{ now + }}"}},
                {"id": "d", "action": {"kind": "wait_until", "duration": "1h"}},
                {"id": "e", "action": "wait_until"}, {"id": "f", "action": {"kind": "wait_until", "time": "2025-11-31T00:00:00Z"}},
            ])),
            &[
                "/steps/0/action/time invalid_value",
                "/steps/1/action/time invalid_value",
                "/steps/2/action/time bad_expression",
                "/steps/3/action/time missing_field",
                "/steps/3/action/duration unknown_field",
                "/steps/4/action/time missing_field",
                "/steps/5/action/time invalid_value",
            ],
        ),
        (
            with_step(
                json!({"id": "a", "jobSlug": "x", "loop": {}, "retries": 3, "timeout": "1 year", "timeoutMs": 0}),
            ),
            &[
                "/steps/0/loop unknown_field",
                "/steps/0/retries unknown_field",
                "/steps/0/timeout duplicate",
                "/steps/0/timeoutMs invalid_value",
            ],
        ),
        (
            with_steps(
                json!([{"id": "a", "jobSlug": "x", "heartbeatTimeout": "0s"}, {"id": "b", "jobSlug": "x", "heartbeatTimeoutMs": -1}]),
            ),
            &["/steps/0/heartbeatTimeout invalid_value", "/steps/1/heartbeatTimeoutMs invalid_value"],
        ),
        (
            with_step(
                json!({"id": "a", "action": "noop", "retry": {"maxAttempts": 0, "backoff": "slow", "delay": "9m", "maxDelay": "1s", "x": 1}}),
            ),
            &[
                "/steps/0/retry invalid_value",
                "/steps/0/retry/backoff invalid_value",
                "/steps/0/retry/maxAttempts invalid_value",
                "/steps/0/retry/x unknown_field",
            ],
        ),
        (with_steps(json!([{"id": "a", "action": "noop"}, {"id": "a", "action": "noop"}])), &["/steps/1/id duplicate"]),
        (
            with_steps(json!([{"id": "a", "action": "noop", "dependsOn": ["b", "b", 3]}])),
            &[
                "/steps/0/dependsOn/0 dangling_reference",
                "/steps/0/dependsOn/1 duplicate",
                "/steps/0/dependsOn/2 invalid_value",
            ],
        ),
        (
            with_steps(json!([
                {"id": "a", "action": "noop", "dependsOn": ["c"]}, {"id": "b", "action": "noop", "dependsOn": ["a"]},
                {"id": "c", "action": "noop", "dependsOn": ["b"]}, {"id": "d", "action": "noop", "dependsOn": ["c"]},
                {"id": "e", "action": "noop", "dependsOn": ["e"]},
            ])),
            &["/steps/0/dependsOn/0 cycle", "/steps/4/dependsOn/0 cycle"],
        ),
        (
            with_steps(json!([
                {"id": "zip-report", "action": "noop", "input": "${{ nodes.later.output }}"},
                {"id": "later", "action": "noop", "dependsOn": ["zip-report"], "input": ["${{ nodes.zip-report.output }}",
                    "${{ nodes.nope.output }}", "${{ state.k }}", "${{ assets.x.payload }}", "{{ parameters.y }}", "${{ nodes.later.output }}"]},
            ])),
            &[
                "/steps/0/input dangling_reference",
                "/steps/1/input/0 bad_expression",
                "/steps/1/input/1 dangling_reference",
                "/steps/1/input/2 dangling_reference",
                "/steps/1/input/3 dangling_reference",
                "/steps/1/input/4 bad_expression",
                "/steps/1/input/5 dangling_reference",
            ],
        ),
        (
            with_steps(json!([
                {"id": "a", "action": "noop"},
                {"id": "b", "action": "noop", "dependsOn": ["a"], "input": ["${{ nodes.nope.output }}", "${{ state.k }}",
                    "${{ assets.x.payload }}", "${{ nodes.b.output }}"]},
            ])),
            &[
                "/steps/1/input/0 dangling_reference",
                "/steps/1/input/1 dangling_reference",
                "/steps/1/input/2 dangling_reference",
                "/steps/1/input/3 dangling_reference",
            ],
        ),
        (
            with_steps(json!([
                {"id": "a", "action": "noop", "when": "true"},
                {"id": "b", "action": "noop"},
                {"id": "c", "action": "noop", "dependsOn": ["a", "b"], "when": "nodes.b.output.ok"},
                {"id": "d", "action": "noop", "dependsOn": ["c"], "when": "inptu.x"},
            ])),
            &["/steps/0/when invalid_value", "/steps/2/when dangling_reference", "/steps/3/when bad_expression"],
        ),
        (
            with_step(json!({"id": "a", "jobSlug": "x", "produces": [
                {"assetId": "a..b"}, {"assetId": "r", "schema": {"type": 7}, "freshness": {"ttl": -1, "tll": 1}},
                {"assetId": "R", "partitioning": [], "autoMaterialize": true, "optional": "yes"}, {}]})),
            &[
                "/steps/0/produces/0/assetId invalid_name",
                "/steps/0/produces/1/freshness/tll unknown_field",
                "/steps/0/produces/1/freshness/ttl invalid_value",
                "/steps/0/produces/1/schema/type bad_schema",
                "/steps/0/produces/2/assetId duplicate",
                "/steps/0/produces/2/autoMaterialize invalid_value",
                "/steps/0/produces/2/optional invalid_value",
                "/steps/0/produces/2/partitioning invalid_value",
                "/steps/0/produces/3/assetId missing_field",
            ],
        ),
        (
            with_step(json!({"id": "a", "jobSlug": "x", "produces": [{"assetId": "own"}], "consumes": [
                {"assetId": "OWN"}, {"assetId": "f", "require": "fresh"}, {"assetId": "v", "version": 0, "onMiss": "retry"},
                {"assetId": "w", "producerInput": "${{ assets.v.payload }}"}]})),
            &[
                "/steps/0/consumes/0 cycle",
                "/steps/0/consumes/1/require missing_field",
                "/steps/0/consumes/2/onMiss invalid_value",
                "/steps/0/consumes/2/version invalid_value",
                "/steps/0/consumes/3/producerInput dangling_reference",
            ],
        ),
        (
            json!({"slug": "w", "nodes": [{"id": "a", "action": "noop", "dependsOn": []}, {"id": "b", "action": "noop", "join": {"quorum": 3}}],
                "transitions": [{"from": "a", "to": "b"}, {"from": "a", "to": "b"}, {"to": "x", "on": "error", "maxIterations": 3}]}),
            &[
                "/nodes/0/dependsOn unknown_field",
                "/nodes/1/join invalid_value",
                "/transitions/1 duplicate",
                "/transitions/2/from missing_field",
                "/transitions/2/on invalid_value",
                "/transitions/2/to dangling_reference",
            ],
        ),
        (
            json!({"slug": "w", "steps": [{"id": "a", "action": "noop", "input": "${{ input.scnDir }}"}],
                "inputSchema": {"type": "object", "properties": {"scanDir": {"type": "string"}}, "additionalProperties": false},
                "defaults": {"scanDir": 7}, "labels": {"a": 1}, "triggers": [{"type": "cron"}, {}], "output": "${{ nodes.b.output }}",
                "outputSchema": 3, "stateSchema": {"type": "objekt"}, "name": 3, "timeout": []}),
            &[
                "/defaults/scanDir invalid_value",
                "/labels/a invalid_value",
                "/name invalid_value",
                "/output dangling_reference",
                "/outputSchema bad_schema",
                "/stateSchema/type bad_schema",
                "/steps/0/input dangling_reference",
                "/timeout invalid_value",
                "/triggers/0/type invalid_value",
                "/triggers/1/type missing_field",
            ],
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(bad(&document), expected, "{document}");
    }
}

#[test]
fn messages_say_what_to_write() {
    let cases = [
        (with_step(json!({"id": "a", "jobSlug": "x", "dependOn": []})), "did you mean `dependsOn`?"),
        (with_step(json!({"id": "a", "jobSlug": "x", "with": "{{ parameters.dir }}"})), "${{ input.x }}"),
        (
            with_step(json!({"id": "a", "jobSlug": "x", "with": "${{ nodes.zip-report.output }}"})),
            "nodes[\"zip-report\"]",
        ),
        (with_step(json!({"id": "a", "action": "wait_signal"})), "write `action: {kind: wait_signal, name: approved}`"),
        (with_step(json!({"id": "a", "action": {"kind": "wait_signal", "name": "a b"}})), "is not a valid signal name"),
        (with_step(json!({"id": "a", "action": {"kind": "wait_signal", "signals": []}})), "1 to 10 signals"),
        (
            with_step(json!({"id": "a", "action": {"kind": "wait_signal", "name": "a", "key": ["k"]}})),
            "a text or a number",
        ),
        (
            with_step(json!({"id": "a", "action": {"kind": "wait_signal", "name": "a"}, "input": {"n": 1}})),
            "has no input",
        ),
        (
            with_step(json!({"id": "a", "action": {"kind": "wait_signal", "name": "a", "signals": [{"name": "b"}]}})),
            "there is no field `name`",
        ),
        (with_step(json!({"id": "a", "action": "llm_call"})), "job, http_request, process, transform, noop, sleep"),
        (
            with_steps(
                json!([{"id": "a", "jobSlug": "x", "dependsOn": ["b"]}, {"id": "b", "jobSlug": "x", "dependsOn": ["a"]}]),
            ),
            "a → b → a",
        ),
    ];
    for (document, part) in cases {
        let messages = messages(&document);
        assert!(messages.contains(part), "{messages}");
    }
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    let many: Vec<Value> = (0..20_001).map(|n| json!({"id": format!("n{n}"), "action": "noop"})).collect();
    assert_eq!(bad(&with_steps(json!(many))), ["/steps too_large"]);
    assert_eq!(bad(&json!({"slug": "w", "description": "x".repeat(17 << 20)})), [" too_large"]);
    let deep = (0..80).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(bad(&json!({"slug": "w", "metadata": deep})), [" too_large"]);
}

#[test]
fn the_largest_graphs_compile_in_reasonable_time() {
    let chain: Vec<Value> = (0..2000)
        .map(|n: usize| {
            let before: Vec<String> = (n.saturating_sub(5)..n).map(|m| format!("n{m}")).collect();
            json!({"id": format!("n{n}"), "action": "noop", "dependsOn": before})
        })
        .collect();
    let started = std::time::Instant::now();
    assert_eq!(compile(&with_steps(json!(chain))).unwrap().0.nodes.len(), 2000);
    let circle: Vec<Value> = (0..2000)
        .map(|n: usize| json!({"id": format!("n{n}"), "action": "noop", "dependsOn": [format!("n{}", (n + 1) % 2000), "x"]}))
        .collect();
    assert!(compile(&with_steps(json!(circle))).is_err());
    let selves: Vec<Value> = (0..2000)
        .map(|n: usize| json!({"id": format!("n{n}"), "action": "noop", "dependsOn": [format!("n{n}")]}))
        .collect();
    assert!(compile(&with_steps(json!(selves))).is_err());
    println!("three graphs of 2,000 nodes: {:?}", started.elapsed());
}

#[test]
fn what_runs_are_called_is_made_of_what_is_there_when_they_start() {
    let with = |run: Value| json!({"slug": "w", "run": run, "steps": [{"id": "a", "action": "noop"}]});
    assert_eq!(bad(&with(json!({"name": "${{ nodes.a.output }}"}))), ["/run/name dangling_reference"]);
    assert_eq!(bad(&with(json!({"labels": {"a b": "x"}}))), ["/run/labels/a b invalid_name"]);
    assert_eq!(bad(&with(json!({"title": "x"}))), ["/run/title unknown_field"]);
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("k{n}"), json!(n))).collect();
    assert_eq!(bad(&with(json!({"attributes": many}))), ["/run/attributes too_large"]);
    let with =
        |parallelism: Value| json!({"slug": "w", "parallelism": parallelism, "steps": [{"id": "a", "action": "noop"}]});
    for wrong in [json!(0), json!(10_001), json!("2")] {
        assert_eq!(bad(&with(wrong)), ["/parallelism invalid_value"]);
    }
    let with = |set: Value| {
        with_steps(json!([{"id": "a", "action": "noop", "setAttributes": set}, {"id": "b", "action": "noop"}]))
    };
    assert!(compile(&with(json!({"k": "${{ nodes.a.output }}"}))).is_ok());
    assert_eq!(bad(&with(json!({"k": "${{ nodes.b.output }}"}))), ["/steps/0/setAttributes/k dangling_reference"]);
}
