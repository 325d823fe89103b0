//! What people write who come from other tools, or mean something else: in which words they are told.

use headwater_core::definition::{Severity, compile, refused_at_the_door};
use serde_json::{Value, json};

/// Everything found, as `severity path code message`, one on a line.
fn found(document: &Value) -> String {
    let problems = match compile(document) {
        Ok((definition, warnings)) => warnings.into_iter().chain(refused_at_the_door(&definition)).collect(),
        Err(problems) => problems.0,
    };
    let severity = |severity| if severity == Severity::Error { "error" } else { "warning" };
    let lines = problems.iter().map(|p| format!("{} {} {} {}", severity(p.severity), p.path, p.code, p.message));
    lines.collect::<Vec<_>>().join("\n")
}

fn with_step(step: &Value) -> Value {
    let mut step = step.clone();
    step["id"] = json!("a");
    if step.get("jobSlug").is_none() && step.get("action").is_none() {
        step["jobSlug"] = json!("x");
    }
    json!({"slug": "w", "steps": [step]})
}

#[track_caller]
fn says(document: &Value, wanted: &[&str]) {
    let said = found(document);
    for wanted in wanted {
        assert!(said.contains(wanted), "{wanted:?} is missing for {document}:\n{said}");
    }
}

#[test]
fn fields_of_other_tools_are_called_by_their_name_here() {
    for (step, wanted) in [
        (json!({"needs": ["b"]}), "there is no field `needs` here: write `dependsOn"),
        (json!({"retries": 3}), "there is no field `retries` here: write `retry: {maxAttempts"),
        (json!({"if": "true"}), "write `when`"),
        (json!({"retry": {"attempts": 3}}), "write `maxAttempts`"),
        (json!({"retry": 3}), "must be an object, not a number: write `{maxAttempts: 3}`"),
        (json!({"produces": ["a.b"]}), "must be an object, not a text: write `{assetId: a.b}`"),
        (json!({"consumes": ["a.b"]}), "must be an object, not a text: write `{assetId: a.b}`"),
        (json!({"produces": [{"assetId": "a.b", "partition": "x"}]}), "the key of a partition comes with the result"),
        (
            json!({"produces": [{"assetId": "a.b", "partitionKey": "x"}]}),
            "the key of a partition comes with the result",
        ),
        (json!({"depends_on": ["b"]}), "did you mean `dependsOn`?"),
    ] {
        says(&with_step(&step), &["error ", wanted]);
    }
    let nodes = json!([{"id": "a", "action": "noop"}]);
    says(&json!({"slug": "w", "steps": nodes, "schedule": "@daily"}), &["there are no schedules in this release"]);
    says(&json!({"slug": "w", "tasks": nodes}), &["there is no field `tasks` here: write `steps`"]);
    says(&json!({"slug": "w", "steps": nodes, "triggers": ["manual"]}), &["write `{type: manual}`"]);
}

#[test]
fn what_is_not_in_effect_is_warned_of() {
    let document = with_step(&json!({
        "produces": [{
            "assetId": "a.b",
            "partitioning": {"kind": "daily"},
            "freshness": {"maxAge": "1d", "cadence": "1h"},
            "autoMaterialize": {"onUpstreamUpdate": true, "parameterDefaults": {"n": 1}},
        }],
        "consumes": [{"assetId": "c.d", "autoMaterialize": {"parameterDefaults": {}}, "partitioning": {}}],
    }));
    let said = found(&document);
    let warned = [
        "/steps/0/produces/0/partitioning",
        "/steps/0/produces/0/freshness/cadence",
        "/steps/0/produces/0/autoMaterialize/onUpstreamUpdate",
        "/steps/0/consumes/0/autoMaterialize/parameterDefaults",
        "/steps/0/consumes/0/partitioning",
    ];
    for at in warned {
        assert!(said.contains(&format!("warning {at} not_in_effect has no effect in this release")), "{at}:\n{said}");
    }
    assert_eq!(said.lines().count(), warned.len(), "{said}");
}

#[test]
fn text_that_looks_like_an_expression_and_numbers_that_look_like_seconds_are_warned_of() {
    let warned =
        ["{{ x }}", "{{input.name}}", "a ${ x } b", "${input.name}", "${ nodes.a.output }", "{{ assets[\"a.b\"] }}"];
    for text in warned {
        says(&with_step(&json!({"input": {"t": text}})), &["warning /steps/0/input/t bad_expression", "is text here"]);
    }
    for text in
        ["${HOME}", "${{ input.x }}", "$${{ input.x }}", "{{.Names}}", "{{ 1 + }}", "${", "{{", "{{#if x}}", "${#a[@]}"]
    {
        assert_eq!(found(&with_step(&json!({"input": {"t": text}}))), "", "{text}");
    }
    // What people write elsewhere, and what it is here.
    let spellings = [
        ("{{inputs.x}}", "${{ input.x }}"),
        ("{{ item }}", "${{ item }}"),
        ("{{ item.name | upper }}", "${{ item.name }}"),
        ("${x}", "${{ input.x }}"),
        ("${inputs.x.y}", "${{ input.x.y }}"),
        ("{% $x %}", "${{ state.x }}"),
        ("{% $states.input.x %}", "${{ input.x }}"),
        ("{% $sum($x) %}", "${{ … }}"),
        ("{{ params.x }}", "${{ input.x }}"),
        ("at {{workflow.parameters.x}}!", "${{ input.x }}"),
        ("{{inputs.parameters.x}}", "${{ input.x }}"),
        ("{{tasks.fetch.outputs.result}}", "${{ nodes.fetch.output.result }}"),
        ("{{tasks.zip-it.outputs}}", "${{ nodes[\"zip-it\"].output }}"),
        ("$.x", "${{ input.x }}"),
        ("$.x.list[0]", "${{ input.x.list[0] }}"),
        ("$$.id", "${{ run.id }}"),
        ("{{ nodes.a.status }}", "${{ nodes.a.status }}"),
    ];
    for (text, ours) in spellings {
        let wanted = format!("is text here, no expression: an expression is written `{ours}`");
        says(&with_step(&json!({"input": {"t": text}})), &["warning /steps/0/input/t bad_expression", &wanted]);
    }
    let body = json!({"id": "b", "jobSlug": "x", "input": "{{ doc.name }}"});
    let each = json!({"slug": "w", "steps": [{"id": "a", "forEach": {"items": [1], "as": "doc", "body": body}}]});
    says(&each, &["an expression is written `${{ doc.name }}`"]);
    let left = ["costs $.50", "$5", "$.", "$", "for ${file} in", "${name[0]}", "a {% if x %} b", "$HOME", "x $.y"];
    for text in left {
        assert_eq!(found(&with_step(&json!({"input": {"t": text}}))), "", "{text}");
    }
    let seconds = "is 30 milliseconds: write `30s` for seconds, or `30ms`";
    says(&with_step(&json!({"timeout": 30})), &["warning /steps/0/timeout invalid_value", seconds]);
    says(&with_step(&json!({"heartbeatTimeout": 30})), &[seconds]);
    says(&with_step(&json!({"retry": {"delay": 30}})), &[seconds]);
    says(&with_step(&json!({"action": {"kind": "sleep", "duration": 30}})), &["/steps/0/action/duration", seconds]);
    says(
        &json!({"slug": "w", "timeout": 30, "steps": [{"id": "a", "action": "noop"}]}),
        &["warning /timeout", seconds],
    );
    for fine in
        [json!({"timeout": "30ms"}), json!({"timeoutMs": 30}), json!({"timeout": 1000}), json!({"retry": {"delay": 0}})]
    {
        assert_eq!(found(&with_step(&fine)), "", "{fine}");
    }
    // What is kept of it warns no more.
    let (definition, _) = compile(&with_step(&json!({"timeout": 30}))).unwrap();
    assert_eq!(found(&definition.source.to_value()), "");
}

#[test]
fn a_partition_is_one_key() {
    for key in [json!(["a", "b"]), json!({"a": 1}), json!(["${{ input.a }}"])] {
        let document = with_step(&json!({"consumes": [{"assetId": "a.b"}, {"assetId": "c.d", "partition": key}]}));
        // Journals may hold it.
        assert!(compile(&document).is_ok());
        says(&document, &["error /steps/0/consumes/1/partition invalid_value a partition is one key"]);
    }
    for key in [json!("a"), json!(2026), json!("${{ input.a }}")] {
        assert_eq!(found(&with_step(&json!({"consumes": [{"assetId": "a.b", "partition": key}]}))), "", "{key}");
    }
}

#[test]
fn types_that_json_schema_does_not_have_are_named_at_their_place() {
    let schema = |schema: Value| json!({"slug": "w", "inputSchema": schema, "steps": [{"id": "a", "action": "noop"}]});
    says(
        &schema(json!({"type": "obj"})),
        &["error /inputSchema/type bad_schema \"obj\" is not a type", "write `object`"],
    );
    let nested = json!({"type": "object", "properties": {"type": {"type": "date"}, "a/b": {"items": {"type": ["null", "strng"]}}}});
    says(&schema(nested), &["error /inputSchema/properties/a~1b/items/type/1 bad_schema \"strng\" is not a type"]);
    let named = json!({"properties": {"type": {"type": "date"}}});
    says(&schema(named), &["error /inputSchema/properties/type/type bad_schema \"date\"", "format: date"]);
    says(
        &schema(json!({"items": {"type": ["null", "strng"]}})),
        &["/inputSchema/items/type/1", "did you mean `string`?"],
    );
    says(&schema(json!({"type": 7})), &["/inputSchema/type bad_schema 7 is not a type"]);
    assert_eq!(
        found(&schema(json!({"properties": {"type": {"enum": [{"type": "date"}]}}, "default": {"type": "x"}}))),
        ""
    );
}

#[test]
fn every_breach_of_defaults_stands_at_its_own_key() {
    let document = json!({
        "slug": "w",
        "inputSchema": {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "string"}}},
        "defaults": {"a": null, "b": "x", "c": 5},
        "steps": [{"id": "a", "action": "noop"}],
    });
    let said = found(&document);
    assert_eq!(said.lines().count(), 3, "{said}");
    for at in ["/defaults/a", "/defaults/b", "/defaults/c"] {
        assert!(said.contains(&format!("error {at} invalid_value does not fit the input schema: ")), "{said}");
    }
}

#[test]
fn what_is_too_many_says_how_many_and_what_to_do() {
    let steps: Vec<_> = (0..20_001).map(|n| json!({"id": format!("n{n}"), "action": "noop"})).collect();
    says(
        &json!({"slug": "w", "steps": steps}),
        &["/steps too_large has 20001 steps, and at most 20000 are taken: ", "split"],
    );
    let assets: Vec<_> = (0..101).map(|n| json!({"assetId": format!("a{n}")})).collect();
    says(&with_step(&json!({"produces": assets})), &["has 101 assets, and at most 100 are taken: "]);
    let labels: serde_json::Map<_, _> = (0..65).map(|n| (format!("l{n}"), json!("x"))).collect();
    says(
        &json!({"slug": "w", "labels": labels, "steps": [{"id": "a", "action": "noop"}]}),
        &["has 65 labels, and at most 64"],
    );
    says(&with_step(&json!({"description": "x".repeat(10_001)})), &["has 10001 characters, and at most 10000"]);
}
