//! Reusable actions: what their documents say, and what becomes of nodes that use them.

use std::collections::BTreeMap;

use headwater_core::DefinitionVersion;
use headwater_core::definition::{
    ActionDef, ActionRef, Beyond, Filled, Problem, ProblemCode, Severity, compile, compile_action, difference, expand,
    origins, references, refused_at_the_door,
};
use serde_json::{Value, json};

fn fetch() -> Value {
    json!({"kind": "action", "slug": "fetch", "description": "gets a thing",
        "inputSchema": {"type": "object", "required": ["base"], "additionalProperties": false,
            "properties": {"base": {"type": "string"}, "count": {"type": "integer", "maximum": 9}}},
        "outputSchema": {"type": "object"},
        "action": {"kind": "http_request", "url": "${{ params.base }}/x"},
        "queue": "net", "retry": {"maxAttempts": 5}, "timeout": "30s"})
}

fn compiled(document: &Value) -> ActionDef {
    let (definition, warnings) = compile_action(document).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(warnings, []);
    definition
}

fn known(names: &[&str], document: &Value, version: u32) -> BTreeMap<ActionRef, Filled> {
    let filled = Filled { version: DefinitionVersion::new(version), source: compiled(document).source };
    names.iter().map(|name| (name.parse().unwrap(), filled.clone())).collect()
}

fn using(node: &Value) -> Value {
    let mut all = json!({"id": "get", "action": {"ref": "fetch"}});
    all.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
    json!({"slug": "w", "inputSchema": {"type": "object", "properties": {"base": {"type": "string"}}}, "steps": [all]})
}

/// Fills in, compiles, and returns all errors and warnings where the author finds them.
fn found(document: &Value) -> Vec<(String, ProblemCode, Severity)> {
    let expanded = expand(document, &known(&["fetch", "fetch@3"], &fetch(), 3), Beyond::Refused);
    let mut problems = expanded.problems.clone();
    if problems.is_empty() {
        problems = match compile(&expanded.document) {
            Ok((definition, mut warnings)) => {
                warnings.extend(refused_at_the_door(&definition));
                warnings
            }
            Err(problems) => problems.0,
        };
        expanded.place(&mut problems);
    }
    problems.into_iter().map(|Problem { path, code, severity, .. }| (path, code, severity)).collect()
}

#[test]
fn a_document_means_the_same_however_it_is_written() {
    let canonical = compiled(&fetch());
    assert_eq!(compiled(&canonical.source.to_value()), canonical);
    let mut other = fetch();
    other["action"] = json!({"type": "http_request"});
    other["input"] = json!({"url": "${{ params.base }}/x"});
    other["timeoutMs"] = json!(30_000);
    other.as_object_mut().unwrap().remove("timeout");
    assert_eq!(compiled(&other).content_hash, canonical.content_hash);
}

#[test]
fn the_parameters_are_the_input_of_a_job_that_says_none() {
    let source = compiled(&json!({"kind": "action", "slug": "resize", "jobSlug": "resize-image"})).source.to_value();
    assert_eq!(source["input"], "${{ params }}");
    let source = compiled(&json!({"kind": "action", "slug": "s", "action": {"kind": "sleep", "duration": "1s"}}));
    assert_eq!(source.source.to_value().get("input"), None);
}

#[test]
fn everything_wrong_with_an_action_is_told_at_once() {
    let job = |more: Value| {
        let mut document = json!({"kind": "action", "slug": "a", "jobSlug": "j"});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    };
    let cases = [
        (job(json!({"input": {"x": "${{ input.x }}"}})), "/input/x", ProblemCode::DanglingReference),
        (job(json!({"input": "${{ nodes.a.output }}"})), "/input", ProblemCode::DanglingReference),
        (job(json!({"input": "${{ size(state) + params.n }}"})), "/input", ProblemCode::DanglingReference),
        (job(json!({"input": "${{ error.code }}"})), "/input", ProblemCode::DanglingReference),
        (
            job(json!({"retry": {"rules": [{"when": "params.x", "maxAttempts": 2}]}})),
            "/retry/rules/0/when",
            ProblemCode::BadExpression,
        ),
        (
            job(json!({"retry": {"rules": [{"when": "input.x", "maxAttempts": 2}]}})),
            "/retry/rules/0/when",
            ProblemCode::DanglingReference,
        ),
        (job(json!({"join": "any"})), "/join", ProblemCode::UnknownField),
        (job(json!({"forEach": {}})), "/forEach", ProblemCode::UnknownField),
        (job(json!({"id": "a"})), "/id", ProblemCode::UnknownField),
        (job(json!({"inputSchema": {"type": "nothing"}})), "/inputSchema/type", ProblemCode::BadSchema),
        (job(json!({"queue": "no queue"})), "/queue", ProblemCode::InvalidName),
        (json!({"kind": "action", "slug": "a"}), "/jobSlug", ProblemCode::MissingField),
        (json!({"kind": "action", "slug": "a", "action": {"ref": "b@1"}}), "/action/ref", ProblemCode::InvalidValue),
        (
            json!({"kind": "action", "slug": "a", "action": {"kind": "transform", "output": 1}, "input": 1}),
            "/input",
            ProblemCode::InvalidValue,
        ),
        (
            json!({"kind": "action", "slug": "a", "action": {"kind": "transform", "output": "${{ params.n / 'x' }}"},
            "inputSchema": {"properties": {"n": {"type": "integer"}}, "type": "object"}}),
            "/action/output",
            ProblemCode::BadExpression,
        ),
        (job(json!({"description": "x".repeat(70_000)})), "", ProblemCode::TooLarge),
    ];
    for (document, path, code) in cases {
        let problems = compile_action(&document).expect_err(&document.to_string()).0;
        assert!(problems.iter().any(|p| (p.path.as_str(), p.code) == (path, code)), "{document}: {problems:?}");
    }
}

#[test]
fn a_node_is_filled_in_and_says_where_that_came_from() {
    let document = using(&json!({"with": {"base": "${{ input.base }}"}, "retry": {"maxAttempts": 1}}));
    assert_eq!(references(&document), ["fetch".parse::<ActionRef>().unwrap()]);
    let expanded = expand(&document, &known(&["fetch"], &fetch(), 3), Beyond::Refused);
    assert_eq!(expanded.problems, []);
    let (definition, warnings) = compile(&expanded.document).unwrap();
    assert_eq!(warnings, []);
    let source = definition.source.to_value();
    assert_eq!(
        source["steps"][0],
        json!({"id": "get", "action": {"kind": "http_request"}, "input": {"url": "${{ params.base }}/x"},
            "params": {"base": "${{ input.base }}"}, "ref": "fetch@3", "paramsSchema": fetch()["inputSchema"],
            "outputSchema": {"type": "object"}, "queue": "net", "retry": {"maxAttempts": 1}, "timeoutMs": 30_000})
    );
    assert!(definition.has_later_words);
    assert_eq!(origins(&source), [("get".to_owned(), "fetch@3".parse().unwrap())]);
    // What is applied again as it is shown is the same.
    let again = expand(&source, &known(&["fetch@3"], &fetch(), 3), Beyond::Refused);
    assert_eq!(again.problems, []);
    assert_eq!(compile(&again.document).unwrap().0.content_hash, definition.content_hash);
}

#[test]
fn a_name_that_is_not_what_stands_there_is_refused() {
    let document = using(&json!({"input": {"base": "x"}}));
    let (definition, _) =
        compile(&expand(&document, &known(&["fetch"], &fetch(), 3), Beyond::Refused).document).unwrap();
    for (field, value) in
        [("input", json!({"url": "http://elsewhere"})), ("ref", json!("fetch@4")), ("paramsSchema", json!({}))]
    {
        let mut forged = definition.source.to_value();
        forged["steps"][0][field] = value;
        let problems = expand(&forged, &known(&["fetch@3"], &fetch(), 3), Beyond::Refused).problems;
        assert_eq!(problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["/steps/0/ref"], "{field}");
    }
}

#[test]
fn parameters_are_checked_as_far_as_they_are_written_out() {
    use ProblemCode::{DanglingReference, InvalidName, InvalidValue, MissingField, UnknownField};
    let error = |path: &str, code| (path.to_owned(), code, Severity::Error);
    let cases = [
        (json!({"input": {"base": "x", "count": 3}}), vec![]),
        (json!({"input": "${{ input }}"}), vec![]),
        (json!({}), vec![error("/steps/0/action/ref", MissingField)]),
        (json!({"with": {}}), vec![error("/steps/0/with/base", MissingField)]),
        (json!({"with": {"base": 7}}), vec![error("/steps/0/with/base", InvalidValue)]),
        (
            json!({"input": {"base": "${{ input.base }}", "count": 10}}),
            vec![error("/steps/0/input/count", InvalidValue)],
        ),
        (json!({"input": {"base": "x", "cuont": 1}}), vec![error("/steps/0/input/cuont", UnknownField)]),
        (json!({"input": {"base": "x"}, "jobSlug": "j"}), vec![error("/steps/0/jobSlug", InvalidValue)]),
        (json!({"input": {"base": "x"}, "outputSchema": {}}), vec![error("/steps/0/outputSchema", InvalidValue)]),
        (json!({"action": {"ref": "fetch", "url": 1}}), vec![error("/steps/0/action/url", UnknownField)]),
        (json!({"action": {"ref": "fetch@2"}}), vec![error("/steps/0/action/ref", DanglingReference)]),
        (json!({"action": {"ref": "fetch@03"}}), vec![error("/steps/0/action/ref", InvalidName)]),
        (json!({"action": {"ref": 3}}), vec![error("/steps/0/action/ref", InvalidValue)]),
        (json!({"input": {"base": "${{ nodes.x.output }}"}}), vec![error("/steps/0/input/base", DanglingReference)]),
    ];
    for (node, expected) in cases {
        assert_eq!(found(&using(&node)), expected, "{node}");
    }
}

#[test]
fn what_is_not_filled_in_does_not_compile() {
    let problems = compile(&using(&json!({}))).unwrap_err().0;
    assert_eq!((problems[0].path.as_str(), problems[0].code), ("/steps/0/action/ref", ProblemCode::UnknownAction));
}

#[test]
fn a_definition_is_not_filled_in_beyond_what_it_may_have() {
    let mut action = fetch();
    action["description"] = json!("x".repeat(9_000));
    action["outputSchema"] = json!({"description": "x".repeat(40_000)});
    let steps: Vec<Value> =
        (0..500).map(|n| json!({"id": format!("n{n}"), "action": {"ref": "fetch"}, "input": {"base": "x"}})).collect();
    let expanded = expand(&json!({"slug": "w", "steps": steps}), &known(&["fetch"], &action, 1), Beyond::Refused);
    assert_eq!(expanded.problems.iter().map(|p| p.code).collect::<Vec<_>>(), [ProblemCode::TooLarge]);
    assert!(expanded.document.to_string().len() < 32 << 20);
}

#[test]
fn nodes_in_bodies_are_filled_in_too() {
    let body = json!({"id": "get", "action": {"ref": "fetch@3"}, "input": {"base": "${{ item }}"}});
    let document = json!({"slug": "w", "steps": [
        {"id": "each", "forEach": {"items": [1], "body": body}},
        {"id": "all", "group": {"steps": [{"id": "one", "action": {"ref": "fetch@3"}, "input": {"base": "x"}}]}}],
        "finally": {"steps": [{"id": "last", "action": {"ref": "fetch@3"}, "input": {"base": "x"}}]}});
    assert_eq!(found(&document), []);
    assert_eq!(
        expand(&document, &known(&["fetch@3"], &fetch(), 3), Beyond::Refused).document["steps"][0]["forEach"]["body"]["ref"],
        "fetch@3"
    );
}

#[test]
fn what_a_new_version_changes_is_seen_between_versions_of_the_workflow() {
    let mut newer = fetch();
    newer["action"]["url"] = json!("${{ params.base }}/y");
    let document = using(&json!({"input": {"base": "x"}}));
    let source = |action: &Value, version| {
        compile(&expand(&document, &known(&["fetch"], action, version), Beyond::Refused).document).unwrap().0.source
    };
    let changes = difference(&source(&fetch(), 3), &source(&newer, 4)).changes;
    assert_eq!(changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["/input/url", "/ref"]);
}

#[test]
fn what_only_an_engine_knows_is_left_unchecked_without_one() {
    let document = using(&json!({"action": {"ref": "other@7"}, "input": {"x": 1}}));
    let expanded = expand(&document, &BTreeMap::new(), Beyond::Unchecked);
    let warned = |p: &Problem| (p.path.clone(), p.code, p.severity);
    let expected = ("/steps/0/action/ref".to_owned(), ProblemCode::DanglingReference, Severity::Warning);
    assert_eq!(expanded.problems.iter().map(warned).collect::<Vec<_>>(), [expected]);
    assert!(compile(&expanded.document).is_ok());
}
