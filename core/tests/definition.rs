//! Documents: what they compile to, and everything that is wrong with them.

use std::time::Duration;

use headwater_core::definition::{Backoff, BuiltIn, Definition, Execution, Jitter, Join, OnMiss, OnNoRoute, Outcome};
use headwater_core::definition::{ProblemCode, RegionIx, Require, Severity, compile, compile_action, is_action};
use serde_json::{Value, json};

/// Compiles what is fine, but for fields that nothing reads yet.
fn good(document: &Value) -> Definition {
    match compile(document) {
        Ok((definition, mut warnings)) => {
            warnings.retain(|warning| warning.code != ProblemCode::NotInEffect);
            assert_eq!(warnings, [], "{document}");
            definition
        }
        Err(problems) => panic!("{problems:#?}"),
    }
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
    assert!(matches!(definition.nodes[1].action.execution, Execution::Fleet { .. }));
    assert_eq!(definition.nodes[1].queue.as_str(), "generate-visualizations");
    assert_eq!(definition.region(RegionIx::ROOT).starts, [definition.find_str("scan").unwrap()]);
    assert_eq!(definition.nodes[0].on_success.len(), 1);
    assert_eq!(definition.nodes[1].incoming.len(), 1);
}

#[test]
fn the_canonical_form_is_golden() {
    let definition = good(&report());
    assert_eq!(definition.source.as_str(), REPORT);
    assert_eq!(definition.content_hash, "0e958abedf5ff7de2ca685d8414447fb179a2d501f799c2cc8a9a616b0bc843f");
    let scan = &definition.nodes[0];
    assert_eq!(scan.retry.pace.attempts_max, Some(5));
    assert_eq!((scan.retry.pace.backoff, scan.retry.pace.jitter), (Backoff::Fixed, Jitter::None));
    assert_eq!(scan.retry.pace.delay, Duration::from_millis(250));
    assert_eq!(scan.timeout, Some(Duration::from_secs(60)));
    assert_eq!(scan.heartbeat_timeout, Some(Duration::from_secs(10)));
    assert_eq!(scan.queue.as_str(), "disks");
    assert_eq!(scan.store_as.as_deref(), Some("scan"));
    let produced = &definition.nodes[1].produces[0];
    assert_eq!(
        produced.freshness.as_ref().map(|declared| declared.source().as_str()),
        Some(r#"{"cadenceMs":3600000,"ttlMs":86400000}"#)
    );
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
        .replace(r#""initialDelayMs": 250"#, r#""delay": "250ms""#)
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
    let about_version = warnings.iter().filter(|warning| warning.code != ProblemCode::NotInEffect);
    let paths: Vec<_> = about_version.map(|warning| (warning.severity, warning.path.as_str())).collect();
    assert_eq!(paths, [(Severity::Warning, "/version")]);
}

#[test]
fn a_time_that_changes_nothing_is_warned_of() {
    let sleep = json!({"kind": "sleep", "duration": "1h"});
    let until = json!({"kind": "wait_until", "time": "2030-01-01T00:00:00Z"});
    let transform = json!({"kind": "transform", "output": 1});
    let cases: Vec<(Value, &[&str])> = vec![
        (json!({"id": "a", "jobSlug": "x", "heartbeatTimeout": "10s"}), &[]),
        (json!({"id": "a", "jobSlug": "x", "heartbeatTimeout": "10s", "timeout": "11s"}), &[]),
        (json!({"id": "a", "jobSlug": "x", "heartbeatTimeout": "10s", "timeout": "10s"}), &["heartbeatTimeout"]),
        (json!({"id": "a", "jobSlug": "x", "timeoutMs": 5, "heartbeatTimeoutMs": 6}), &["heartbeatTimeoutMs"]),
        (json!({"id": "a", "action": "process", "input": {"command": ["ls"]}, "heartbeatTimeout": "10s"}), &[]),
        (json!({"id": "a", "action": "http_request", "input": {"url": "x"}, "heartbeatTimeout": "10s"}), &[]),
        (json!({"id": "a", "action": "noop", "heartbeatTimeout": "10s"}), &["heartbeatTimeout"]),
        (
            json!({"id": "a", "action": sleep, "heartbeatTimeoutMs": 10, "timeout": "1m"}),
            &["heartbeatTimeoutMs", "timeout"],
        ),
        (json!({"id": "a", "action": until, "timeout": "1m"}), &["timeout"]),
        (
            json!({"id": "a", "action": transform, "timeoutMs": 10, "heartbeatTimeout": "20ms"}),
            &["heartbeatTimeout", "timeoutMs"],
        ),
    ];
    for (step, expected) in cases {
        let (_, warnings) = compile(&with_step(step.clone())).unwrap();
        let mut fields: Vec<_> = warnings.iter().map(|w| w.path.trim_start_matches("/steps/0/")).collect();
        fields.sort_unstable();
        assert_eq!(fields, expected, "{step}: {warnings:?}");
    }
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
    assert!(matches!(one.nodes[0].action.execution, Execution::Engine(BuiltIn::HttpRequest)));
    let input = one.nodes[0].input.as_ref().unwrap();
    assert_eq!(input.constant().unwrap().as_str(), r#"{"method":"GET","url":"http://x"}"#);
    let slept = good(&with_step(json!({"id": "a", "action": {"kind": "sleep", "duration": "90s"}})));
    assert!(matches!(slept.nodes[0].action.execution, Execution::Waits(_)));
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
fn the_engines_own_actions_take_the_timeout_their_workers_know() {
    for (kind, field, value) in [("http_request", "url", "http://x"), ("process", "command", "ls")] {
        good(&json!({"slug": "w", "steps": [{"id": "a", "action": {"kind": kind, field: value, "timeoutMs": 5}}]}));
    }
}

#[test]
fn a_call_has_one_canonical_form_wherever_its_input_stands() {
    let call = |more: Value, node: Value| {
        let mut action = json!({"kind": "workflow_call", "workflow": "b"});
        action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut step = json!({"id": "a", "action": action});
        step.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
        good(&json!({"slug": "w", "steps": [step]}))
    };
    let input = json!({"input": {"n": "${{ input.n }}"}});
    let (inside, outside) = (call(input.clone(), json!({})), call(json!({}), input));
    assert_eq!(inside.content_hash, outside.content_hash);
    assert!(inside.has_later_words);
    let spelt = call(json!({"onFailure": "propagate", "wait": "end"}), json!({}));
    assert_eq!(spelt.content_hash, call(json!({}), json!({})).content_hash, "what goes without saying");
    let a = spelt.node(spelt.find_str("a").unwrap());
    assert_eq!(a.retry.pace.attempts_max, Some(1));
    let tried = call(json!({}), json!({"retry": {"delay": "2s"}}));
    assert_eq!(tried.node(tried.find_str("a").unwrap()).retry.pace.attempts_max, Some(3));
}

#[test]
fn the_examples_of_the_documents_compile() {
    let text = include_str!("../../docs/definitions.md");
    let blocks = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut count = 0;
    for block in blocks {
        let example: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        if is_action(&example) {
            assert_eq!(compile_action(&example).unwrap_or_else(|problems| panic!("{problems:?}: {block}")).1, []);
            continue;
        }
        let is_node = example.get("reuse").or(example.get("ref")).is_some();
        let document = match (example.get("slug"), example.get("rules")) {
            (None, None) if is_node => json!({"slug": "w", "steps": [example]}),
            (Some(_), _) => example,
            (None, Some(_)) => json!({"slug": "w", "steps": [{"id": "a", "jobSlug": "x", "retry": example}]}),
            (None, None) => continue,
        };
        let (_, warnings) = compile(&document).unwrap_or_else(|problems| panic!("{problems:?}: {block}"));
        assert!(warnings.is_empty(), "{warnings:?}: {block}");
        count += 1;
    }
    assert!(count >= 4, "{count}");
}
