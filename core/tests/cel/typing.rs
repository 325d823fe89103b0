//! What is refused because it would fail whatever the input: all of that is certain, and what is meant is found.

use headwater_core::definition::{Problem, Severity, compile, refused_at_the_door};
use serde_json::{Value, json};

use super::evaluate;

pub fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": {
        "n": {"type": "integer"}, "x": {"type": "number"}, "t": {"type": "string"}, "b": {"type": "boolean"},
        "l": {"type": "array", "items": {"type": "string"}}, "u": {"type": ["string", "null"]},
        "o": {"type": "object", "additionalProperties": false, "properties": {"k": {"type": "string"}, "n": {"type": "integer"}}},
        "m": {"type": "object", "additionalProperties": {"type": "boolean"}}, "e": {"enum": ["a", "b"]}, "a": {},
        "r": {"$ref": "#/properties/t", "type": "integer"}, "p": {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
        "g": {"allOf": [{"type": "string"}]},
    }})
}

/// What is said of an expression in the run's output.
fn said(expression: &str) -> Vec<Problem> {
    let document = json!({"slug": "w", "inputSchema": schema(), "output": {"x": format!("${{{{ {expression} }}}}")},
        "steps": [{"id": "a", "action": "noop"}]});
    match compile(&document) {
        Ok((definition, _)) => refused_at_the_door(&definition),
        Err(problems) => problems.0,
    }
}

pub fn is_refused(expression: &str) -> bool {
    said(expression).iter().any(|problem| problem.message.contains("would fail whatever"))
}

#[test]
fn what_certainly_fails_is_refused_with_its_reason() {
    let cases = [
        ("input.t + 1", "`+` cannot take string and int"),
        ("input.n + input.t", "`+` cannot take int or uint or double and string"),
        ("input.t < 5", "`<` cannot take string and int"),
        ("size(input.n)", "`size` cannot take (int or uint or double)"),
        ("input.n.size()", "`size` cannot take"),
        ("input.t.k", "`input.t` is string: it has no key `k`"),
        ("input.o.q", "the schema of `input.o` allows no key `q`"),
        ("input.o.k.q", "`input.o.k` is string: it has no key `q`"),
        ("input.l[0] + 1", "`+` cannot take string and int"),
        ("input.m.x + 1", "`+` cannot take bool and int"),
        ("input.e * 2", "`*` cannot take string and int"),
        ("input.o[0]", "`input.o` is map: it has no item 0"),
        ("!input.t", "`!` cannot take string"),
        ("-input.t", "`-` cannot take string"),
        ("input.t && input.l || input.l", "true or false is needed"),
        ("input.t ? 1 : 2", "true or false is needed"),
        ("input.b ? input.t + 1 : input.l / 2", "`+` cannot take string and int"),
        ("input.t.map(x, x)", "a list or a map is needed, and there is string"),
        ("input.n in input.t", "`in` cannot take"),
        ("{input.l: 1}", "list cannot be a key"),
        ("[1, 'a' + 1]", "`+` cannot take string and int"),
        ("now + 1", "`+` cannot take timestamp and int"),
        ("now < input.t", "`<` cannot take timestamp and string"),
        ("nodes.a.status + 1", "`+` cannot take string and int"),
        ("b'abc'", "it is bytes, which JSON cannot hold"),
        ("type(1)", "which JSON cannot hold"),
        ("1 / 2.0", "`/` cannot take int and double: write double(…) or int(…)"),
        ("'a'.contains()", "there is no `contains` that is called like this with 1 value"),
        ("input.t.fold(acc, 0, x, acc)", "a list or a map is needed"),
        ("[].fold(acc, input.t - 1, x, acc)", "`-` cannot take string and int"),
    ];
    for (source, part) in cases {
        let said = said(source);
        let [problem] = said.as_slice() else { panic!("{source}: {said:?}") };
        assert_eq!(
            (problem.path.as_str(), problem.code.to_string().as_str()),
            ("/output/x", "bad_expression"),
            "{source}"
        );
        assert_eq!(problem.severity, Severity::Error, "{source}");
        assert!(problem.message.contains(part), "{source}: {}", problem.message);
    }
}

#[test]
fn where_anything_could_succeed_nothing_is_refused() {
    let fine = [
        "input.n + 1",
        "input.x * 2.0",
        "input.u + 'a'",
        "input.a + 1",
        "input.a.b.c[0]",
        "input.t == 5",
        "input.r + 1",
        "input.g - 1",
        "input.p[0] + 1",
        "input.b || input.t",
        "input.t || input.b",
        "input.b ? input.t + 1 : 5",
        "input.l.map(x, x + 1)",
        "input.l.all(x, x > 1)",
        "input.?t.orValue(1) + 1",
        "input.o.?q.orValue(1)",
        "has(input.t.k)",
        "optional.of(input.t).k",
        "input.m.anything",
        "input.l == 1",
        "[input.t, 1]",
        "nodes.a.output + 1",
        "run.id + 1",
        "input.l.fold(acc, 0, x, acc + x)",
        "dyn(input.t) + 1",
        "[1].minBy(x, x) + 1",
        "input.l[?0].orValue(5) * 2",
        "{'a': input.t}.a + 1",
        "string(input.n) + input.t",
        "now - duration(input.t) < now",
        "input.n in {1: 2}",
    ];
    for source in fine {
        assert_eq!(said(source), [], "{source}");
    }
}

/// JSON Schema takes `1.0` for an integer, and an expression for a double.
#[test]
fn what_fails_for_whole_numbers_is_warned_of() {
    for source in [
        "input.n / 2.0",
        "math.floor(input.n)",
        "input.n + 0.5 > 1.0",
        "input.b && false || input.n * 1.5 > 2.0 && input.t",
    ] {
        let said = said(source);
        let Some(problem) = said.first() else {
            assert!(source.contains("&&"), "{source}");
            continue;
        };
        assert_eq!(problem.severity, Severity::Warning, "{source}");
        assert!(problem.message.contains("unless whole numbers are written `1.0`"), "{}", problem.message);
    }
    assert_eq!(evaluate("input.n / 2.0", &json!({"n": 1.0})), Ok(json!(0.5)));
}

#[test]
fn conditions_mappings_and_the_state_are_looked_at_in_both_forms() {
    let of = |document: Value| {
        let mut problems = match compile(&document) {
            Ok((definition, _)) => refused_at_the_door(&definition),
            Err(problems) => problems.0,
        };
        problems.retain(|problem| problem.code.to_string() == "bad_expression");
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    let (input, state) = (schema(), json!({"type": "object", "properties": {"s": {"type": "string"}}}));
    let steps = json!([
        {"id": "a", "jobSlug": "x", "storeResultAs": "s", "input": {"v": "${{ input.t * 2 }}", "w": "n: ${{ input.t * 2 }}"}},
        {"id": "b", "dependsOn": ["a"], "when": "input.t", "action": {"kind": "transform", "output": ["${{ state.s + 1 }}"]}},
        {"id": "c", "dependsOn": ["b"], "when": "${{ !state.s }}", "action": {"kind": "sleep", "duration": "${{ -input.t }}"},
            "consumes": [{"assetId": "x.y", "partition": "${{ input.t + 1 }}"}]},
    ]);
    let places = [
        "/steps/0/input/v",
        "/steps/0/input/w",
        "/steps/1/when",
        "/steps/1/action/output/0",
        "/steps/2/when",
        "/steps/2/action/duration",
        "/steps/2/consumes/0/partition",
    ];
    let mut found = of(json!({"slug": "w", "inputSchema": input, "stateSchema": state, "steps": steps}));
    found.sort();
    let mut wanted = places.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(found, wanted);
    // Beside other problems, and in the other form.
    let nodes = json!({"slug": "w", "inputSchema": input, "colour": "red", "nodes": [{"id": "a", "action": "noop"}, {"id": "b", "action": "noop"}],
        "transitions": [{"from": "a", "to": "b", "when": "input.l"}]});
    assert_eq!(of(nodes), ["/transitions/0/when"]);
    let foreign = json!({"slug": "w", "inputSchema": {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"t": {"type": "string"}}},
        "output": "${{ input.t + 1 }}", "steps": [{"id": "a", "action": "noop"}]});
    assert_eq!(of(foreign), ["/output"]);
}

#[test]
fn a_definition_of_a_journal_goes_on() {
    let document = json!({"slug": "w", "inputSchema": schema(), "output": "${{ input.t + 1 }}", "steps": [{"id": "a", "action": "noop"}]});
    assert!(compile(&document).is_ok());
}
