//! Documents: what they compile to, and everything that is wrong with them.

use std::time::Duration;

use headwater_core::Json;
use headwater_core::definition::{Action, Backoff, BuiltIn, Definition, Jitter, Join, OnMiss, OnNoRoute, Outcome};
use headwater_core::definition::{Require, Severity, compile};
use serde_json::{Value, json};

fn good(document: &Value) -> Definition {
    match compile(document) {
        Ok((definition, warnings)) => {
            assert_eq!(warnings, [], "{document}");
            definition
        }
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// The problems as `path code`, one on a line.
fn bad(document: &Value) -> Vec<String> {
    let problems = compile(document).map(|(definition, _)| definition.source).expect_err("should be refused").0;
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

fn report() -> Value {
    json!({
        "slug": "directory-insights-report",
        "name": "Directory insights",
        "description": "Scans and reports",
        "metadata": {"owner": "ops"},
        "labels": {"team": "storage"},
        "triggers": [{"type": "manual"}],
        "parametersSchema": {"type": "object", "required": ["scanDir"], "properties": {
            "scanDir": {"type": "string"}, "maxEntries": {"type": "integer", "minimum": 1000}}},
        "defaultParameters": {"maxEntries": 20000},
        "contextSchema": {"type": "object"},
        "outputSchema": {"type": "object"},
        "output": {"report": "${{ nodes.report.output.files }}"},
        "timeout": "1h",
        "steps": [
            {"id": "scan", "name": "Scan", "description": "walks", "type": "job", "jobSlug": "scan-directory",
             "parameters": {"scanDir": "${{ input.scanDir }}"}, "storeResultAs": "scan",
             "retryPolicy": {"maxAttempts": 5, "strategy": "fixed", "initialDelayMs": 250, "maxDelay": "10s",
                             "jitter": false, "nonRetryable": ["not_found"]},
             "timeoutMs": 60000, "heartbeatTimeout": "10s", "queue": "disks"},
            {"id": "report", "jobSlug": "generate-visualizations", "dependsOn": ["scan"],
             "with": {"scan": "${{ state.scan }}", "title": "on ${{ input.scanDir }}"},
             "produces": [{"assetId": "directory.insights.report", "schema": {"type": "object"},
                           "freshness": {"ttl": "1d", "cadenceMs": 3600000}, "partitioning": {"type": "static", "keys": ["a"]},
                           "autoMaterialize": {"onExpiry": true}, "primary": true}]},
        ],
    })
}

/// What the read side parses: canonical names, keys sorted, steps still steps.
const REPORT: &str = r#"{"defaults":{"maxEntries":20000},"description":"Scans and reports","inputSchema":{"properties":{"maxEntries":{"minimum":1000,"type":"integer"},"scanDir":{"type":"string"}},"required":["scanDir"],"type":"object"},"labels":{"team":"storage"},"metadata":{"owner":"ops"},"name":"Directory insights","output":{"report":"${{ nodes.report.output.files }}"},"outputSchema":{"type":"object"},"slug":"directory-insights-report","stateSchema":{"type":"object"},"steps":[{"description":"walks","heartbeatTimeoutMs":10000,"id":"scan","input":{"scanDir":"${{ input.scanDir }}"},"jobSlug":"scan-directory","name":"Scan","queue":"disks","retry":{"backoff":"fixed","delayMs":250,"jitter":"none","maxAttempts":5,"maxDelayMs":10000,"nonRetryable":["not_found"]},"storeResultAs":"scan","timeoutMs":60000},{"dependsOn":["scan"],"id":"report","input":{"scan":"${{ state.scan }}","title":"on ${{ input.scanDir }}"},"jobSlug":"generate-visualizations","produces":[{"assetId":"directory.insights.report","autoMaterialize":{"onExpiry":true},"freshness":{"cadenceMs":3600000,"ttlMs":86400000},"partitioning":{"keys":["a"],"type":"static"},"primary":true,"schema":{"type":"object"}}]}],"timeoutMs":3600000}"#;

#[test]
fn the_everyday_step_is_accepted_as_it_stands() {
    let step = json!({"id":"report","jobSlug":"generate-visualizations","dependsOn":["scan"],
        "produces":[{"assetId":"directory.insights.report","schema":{"type":"object"}}]});
    let definition = good(&with_steps(json!([{"id": "scan", "jobSlug": "scan-directory"}, step])));
    assert!(matches!(definition.nodes[1].action, Action::Job { .. }));
    assert_eq!(definition.nodes[1].queue.as_str(), "generate-visualizations");
    assert_eq!(definition.starts, [definition.find_str("scan").unwrap()]);
    assert_eq!(definition.nodes[0].on_success.len(), 1);
    assert_eq!(definition.nodes[1].incoming.len(), 1);
}

#[test]
fn the_canonical_form_is_golden() {
    let definition = good(&report());
    assert_eq!(definition.source.as_str(), REPORT);
    assert_eq!(definition.content_hash, "0e958abedf5ff7de2ca685d8414447fb179a2d501f799c2cc8a9a616b0bc843f");
    let scan = &definition.nodes[0];
    assert_eq!(scan.retry.attempts_max, Some(5));
    assert_eq!((scan.retry.backoff, scan.retry.jitter), (Backoff::Fixed, Jitter::None));
    assert_eq!(scan.retry.delay, Duration::from_millis(250));
    assert_eq!(scan.timeout, Some(Duration::from_secs(60)));
    assert_eq!(scan.heartbeat_timeout, Some(Duration::from_secs(10)));
    assert_eq!(scan.queue.as_str(), "disks");
    assert_eq!(scan.store_as.as_deref(), Some("scan"));
    let produced = &definition.nodes[1].produces[0];
    assert_eq!(produced.freshness.as_ref().map(Json::as_str), Some(r#"{"cadenceMs":3600000,"ttlMs":86400000}"#));
    assert!(produced.primary && !produced.optional);
    assert_eq!(definition.timeout, Some(Duration::from_secs(3600)));
}

#[test]
fn spelling_and_formatting_do_not_change_the_content() {
    let text = serde_json::to_string_pretty(&report()).unwrap();
    let newer = text
        .replace("parametersSchema", "inputSchema")
        .replace("contextSchema", "stateSchema")
        .replace("defaultParameters", "defaults")
        .replace("retryPolicy", "retry")
        .replace("\"strategy\"", "\"backoff\"")
        .replace("initialDelayMs", "delay")
        .replace("\"with\"", "\"parameters\"")
        .replace("\"1h\"", "\"60m\"")
        .replace("\"type\": \"job\",", "");
    let newer = good(&serde_json::from_str(&newer).unwrap());
    assert_eq!(newer.source.as_str(), REPORT);
    let mut changed = report();
    changed["steps"][0]["parameters"]["scanDir"] = json!("/tmp");
    assert_ne!(good(&changed).content_hash, newer.content_hash);
}

#[test]
fn a_version_in_the_document_is_ignored_with_a_warning() {
    let mut document = report();
    document["version"] = json!(7);
    let (definition, warnings) = compile(&document).unwrap();
    assert_eq!(definition.source.as_str(), REPORT);
    assert_eq!((warnings.len(), warnings[0].severity, warnings[0].path.as_str()), (1, Severity::Warning, "/version"));
}

#[test]
fn nodes_come_in_the_order_they_can_run() {
    let definition = good(&with_steps(json!([
        {"id": "c", "action": "noop", "dependsOn": ["b", "a"]},
        {"id": "b", "action": "noop", "dependsOn": ["a"]},
        {"id": "a", "action": "noop"},
    ])));
    let ids: Vec<&str> = definition.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    for transition in &definition.transitions {
        assert!(transition.from < transition.to);
    }
}

#[test]
fn nodes_with_transitions_have_tiers_and_failure_ways() {
    let definition = good(&json!({
        "slug": "w",
        "nodes": [
            {"id": "a", "action": {"kind": "job", "jobSlug": "x.y"}, "onNoRoute": "end"},
            {"id": "b", "action": "noop"}, {"id": "c", "action": "noop"}, {"id": "d", "action": "noop", "join": "any"},
            {"id": "e", "action": {"kind": "transform", "output": {"sum": "${{ input.x + 1 }}"}}, "join": {"quorum": 2}},
        ],
        "transitions": [
            {"from": "a", "to": "c", "priority": 2},
            {"from": "a", "to": "b", "when": "nodes.a.output.ok", "priority": 1},
            {"from": "a", "to": "e", "when": "${{ input.x > 1 }}", "priority": 1},
            {"from": "a", "to": "d", "on": "failure", "when": "error.code == 'timeout'"},
            {"from": "b", "to": "e"},
        ],
    }));
    let a = &definition.nodes[0];
    assert_eq!(a.queue.as_str(), "x-y");
    assert_eq!(a.on_no_route, OnNoRoute::End);
    let tiers: Vec<usize> = a.on_success.iter().map(Vec::len).collect();
    assert_eq!(tiers, [2, 1]);
    let failure = definition.transition(a.on_failure[0][0]);
    assert_eq!((failure.on, definition.node(failure.to).id.as_str()), (Outcome::Failure, "d"));
    let e = definition.node(definition.find_str("e").unwrap());
    assert_eq!((e.join, e.queue.as_str()), (Join::Quorum(2), "builtin"));
}

#[test]
fn a_step_with_a_condition_is_skipped_rather_than_failing_the_run() {
    let definition = good(&with_steps(json!([
        {"id": "a", "action": "noop"},
        {"id": "b", "action": "noop", "dependsOn": ["a"], "when": "${{ input.wanted }}"},
        {"id": "c", "action": "noop", "dependsOn": ["b"]},
    ])));
    assert_eq!(definition.nodes[0].on_no_route, OnNoRoute::End);
    assert_eq!(definition.nodes[1].on_no_route, OnNoRoute::Fail);
    assert_eq!(definition.transitions[0].when.as_ref().unwrap().source(), "input.wanted");
}

#[test]
fn built_in_actions_take_their_configuration_from_either_place() {
    let one =
        good(&with_step(json!({"id": "a", "action": {"kind": "http_request", "url": "http://x", "method": "GET"}})));
    let other =
        good(&with_step(json!({"id": "a", "type": "http_request", "with": {"url": "http://x", "method": "GET"}})));
    assert_eq!(one.source, other.source);
    assert!(matches!(one.nodes[0].action, Action::BuiltIn(BuiltIn::HttpRequest)));
    let input = one.nodes[0].input.as_ref().unwrap();
    assert_eq!(input.constant().unwrap().as_str(), r#"{"method":"GET","url":"http://x"}"#);
    let slept = good(&with_step(json!({"id": "a", "action": {"kind": "sleep", "duration": "90s"}})));
    assert!(matches!(slept.nodes[0].action, Action::Sleep { .. }));
}

#[test]
fn what_a_node_consumes_is_read_with_its_conditions() {
    let definition = good(&with_steps(json!([{
        "id": "zip", "jobSlug": "archive",
        "consumes": [
            {"assetId": "a.b", "require": "fresh", "freshness": {"ttl": "2h", "maxAge": "30m"}},
            {"assetId": "c", "version": 3, "onMiss": "wait"},
            {"assetId": "d", "require": {"version": 4}, "partition": "${{ input.day }}"},
            {"assetId": "e", "onMiss": "materialize", "producerInput": {"scanDir": "${{ input.dir }}"}},
        ],
        "parameters": {"report": "${{ assets[\"a.b\"].payload }}", "old": "${{ assets.c.version }}"},
    }])));
    let consumes = &definition.nodes[0].consumes;
    assert_eq!(consumes[0].require, Require::Fresh { max_age_ms: 1_800_000 });
    assert_eq!(consumes[1].require, Require::Version(headwater_core::Version::new(3)));
    assert_eq!(consumes[1].on_miss, Some(OnMiss::Wait));
    assert_eq!(consumes[2].require, Require::Version(headwater_core::Version::new(4)));
    assert_eq!((consumes[3].require, consumes[3].on_miss), (Require::Exists, Some(OnMiss::Materialize)));
    assert!(consumes[2].partition.is_some() && consumes[3].producer_input.is_some());
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
        (with_step(json!({"id": "a", "action": "llm_call"})), &["/steps/0/action unknown_action"]),
        (with_step(json!({"id": "a", "type": "transfrm"})), &["/steps/0/type unknown_action"]),
        (with_step(json!({"id": "a", "action": {"kind": "human_input"}})), &["/steps/0/action/kind unknown_action"]),
        (with_step(json!({"id": "a", "action": {"kind": "transform"}})), &["/steps/0/action/output missing_field"]),
        (with_step(json!({"id": "a", "action": "process"})), &["/steps/0/input missing_field"]),
        (
            with_step(json!({"id": "a", "action": {"kind": "http_request", "uri": "x"}})),
            &["/steps/0/action/url missing_field", "/steps/0/action/uri unknown_field"],
        ),
        (
            with_step(json!({"id": "a", "action": {"kind": "sleep", "duration": "soon"}})),
            &["/steps/0/action/duration invalid_value"],
        ),
        (
            with_step(
                json!({"id": "a", "action": "noop", "forEach": {}, "retries": 3, "timeout": "1 year", "timeoutMs": 0}),
            ),
            &[
                "/steps/0/forEach unknown_field",
                "/steps/0/retries unknown_field",
                "/steps/0/timeout duplicate",
                "/steps/0/timeoutMs invalid_value",
            ],
        ),
        (
            with_step(
                json!({"id": "a", "action": "noop", "retry": {"maxAttempts": 0, "backoff": "slow", "delay": "9m", "x": 1}}),
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
            &["/steps/0/dependsOn/0 cycle", "/steps/3/dependsOn/0 unreachable", "/steps/4/dependsOn/0 cycle"],
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
                "/steps/0/produces/1/schema bad_schema",
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
                "/transitions/2/maxIterations unknown_field",
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
                "/stateSchema bad_schema",
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
        (with_step(json!({"id": "a", "action": "wait_signal"})), "job, http_request, process, transform, noop, sleep"),
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
    let many: Vec<Value> = (0..2001).map(|n| json!({"id": format!("n{n}"), "action": "noop"})).collect();
    assert_eq!(bad(&with_steps(json!(many))), ["/steps too_large"]);
    assert_eq!(bad(&json!({"slug": "w", "description": "x".repeat(2 << 20)})), [" too_large"]);
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
    assert_eq!(good(&with_steps(json!(chain))).nodes.len(), 2000);
    println!("{:?}", started.elapsed());
    let circle: Vec<Value> = (0..2000)
        .map(|n: usize| json!({"id": format!("n{n}"), "action": "noop", "dependsOn": [format!("n{}", (n + 1) % 2000), "x"]}))
        .collect();
    assert!(compile(&with_steps(json!(circle))).is_err());
    println!("{:?}", started.elapsed());
    let selves: Vec<Value> = (0..2000)
        .map(|n: usize| json!({"id": format!("n{n}"), "action": "noop", "dependsOn": [format!("n{n}")]}))
        .collect();
    assert!(compile(&with_steps(json!(selves))).is_err());
    println!("three graphs of 2,000 nodes: {:?}", started.elapsed());
}
