//! Laws of compiling: it never panics, errors are errors, and the canonical form is a fixed point.

use headwater_core::Json;
use headwater_core::definition::{Definition, Severity, compile};
use headwater_core::expr::{Expression, Template};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Words that mean something to the compiler, so that arbitrary documents get far.
const WORDS: [&str; 66] = [
    "slug",
    "steps",
    "nodes",
    "transitions",
    "id",
    "a",
    "b",
    "c",
    "w",
    "jobSlug",
    "action",
    "type",
    "kind",
    "noop",
    "transform",
    "sleep",
    "wait_until",
    "time",
    "output",
    "duration",
    "90s",
    "dependsOn",
    "when",
    "from",
    "to",
    "on",
    "failure",
    "priority",
    "join",
    "quorum",
    "any",
    "retry",
    "maxAttempts",
    "delay",
    "timeout",
    "produces",
    "consumes",
    "assetId",
    "schema",
    "freshness",
    "ttl",
    "require",
    "fresh",
    "version",
    "onMiss",
    "ignore",
    "input",
    "parameters",
    "with",
    "defaults",
    "inputSchema",
    "properties",
    "${{ input.a }}",
    "${{ nodes.a.output }}",
    "${{ state.a }}",
    "x ${{ 1 + }} y",
    "{{",
    "storeResultAs",
    "labels",
    "triggers",
    "manual",
    "http_request",
    "url",
    "process",
    "command",
    "${{ {'a': {}} }}",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![9 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => ".{0,12}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..5_u64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((word(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn documents() -> [Value; 2] {
    [
        json!({
            "slug": "w", "name": "W", "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}},
            "defaults": {"a": 1}, "timeout": "1h30m", "labels": {"x": "y"}, "output": {"r": "${{ nodes.b.output }}"},
            "steps": [
                {"id": "a", "jobSlug": "scan", "parameters": {"d": "${{ input.a }}"}, "storeResultAs": "a",
                 "retry": {"maxAttempts": "unlimited", "backoff": "linear", "delay": 5, "maxDelay": "1m"},
                 "produces": [{"assetId": "x.y", "schema": {"type": "object"}, "freshness": {"ttl": "1d"}}]},
                {"id": "b", "action": {"kind": "transform", "output": ["${{ state.a }}", "n ${{ size(nodes.a.output) }}"]},
                 "dependsOn": ["a"], "when": "${{ input.a > 1 }}"},
                {"id": "c", "type": "noop", "action": null, "dependsOn": ["a", "b"], "jobSlug": null},
                {"id": "d", "jobSlug": "zip", "dependsOn": ["b"], "timeout": 1000, "join": {"quorum": 1},
                 "consumes": [{"assetId": "X.Y", "require": "fresh", "onMiss": "wait", "partition": "${{ input.a }}"}],
                 "input": {"p": "${{ assets[\"x.y\"].payload.q }}"}},
            ],
        }),
        json!({
            "slug": "n", "description": "the full form",
            "nodes": [
                {"id": "a", "action": {"kind": "http_request", "url": "${{ input.u }}"}, "onNoRoute": "end"},
                {"id": "b", "action": "noop", "join": "any"}, {"id": "c", "action": {"kind": "sleep", "duration": "1s"}},
                {"id": "d", "action": {"kind": "process", "command": ["true"]}, "queue": "q"},
            ],
            "transitions": [
                {"from": "a", "to": "b", "when": "nodes.a.output.status == 200", "priority": 1},
                {"from": "a", "to": "c", "on": "failure"}, {"from": "b", "to": "d"}, {"from": "c", "to": "d"},
            ],
        }),
    ]
}

/// Changes a document at places chosen by numbers: replaces, removes, renames or repeats what stands there.
fn mutate(document: &mut Value, picks: &[usize], how: usize, new: &Value, name: &str) {
    let Some((pick, rest)) = picks.split_first() else {
        match how {
            0 | 1 => *document = new.clone(),
            2 => *document = Value::Null,
            3 => *document = Value::from(name),
            _ => *document = json!([document.clone(), document.clone()]),
        }
        return;
    };
    match document {
        Value::Object(entries) if !entries.is_empty() => {
            let key = entries.keys().nth(pick % entries.len()).cloned().unwrap_or_default();
            if rest.is_empty() && how == 5 {
                let moved = entries.remove(&key).unwrap_or_default();
                entries.insert(name.to_owned(), moved);
            } else if let Some(entry) = entries.get_mut(&key) {
                mutate(entry, rest, how, new, name);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = pick % items.len();
            if rest.is_empty() && how == 6 {
                items.remove(at);
            } else {
                mutate(&mut items[at], rest, how, new, name);
            }
        }
        other => *other = new.clone(),
    }
}

fn shown(definition: &Definition) -> String {
    let Definition { nodes, transitions, regions, defaults, labels, timeout, output, .. } = definition;
    format!("{nodes:?} {transitions:?} {regions:?} {defaults:?} {labels:?} {timeout:?} {output:?}")
}

/// What holds for every document.
fn check(document: &Value) -> Result<bool, TestCaseError> {
    match compile(document) {
        Ok((definition, warnings)) => {
            prop_assert!(warnings.iter().all(|problem| problem.severity == Severity::Warning));
            let said: Vec<_> = warnings.iter().map(|problem| problem.code).collect();
            let (again, warnings) = compile(&definition.source.to_value()).map_err(|problems| {
                TestCaseError::fail(format!("the canonical form is refused: {problems:?}\n{:?}", definition.source))
            })?;
            // What is spelt otherwise is spelt right now; what is odd in itself still is.
            let new: Vec<_> = warnings.iter().filter(|problem| !said.contains(&problem.code)).collect();
            prop_assert!(new.is_empty(), "{new:?}");
            prop_assert_eq!(&again.source, &definition.source);
            prop_assert_eq!(&again.content_hash, &definition.content_hash);
            prop_assert_eq!(shown(&again), shown(&definition));
            for (position, node) in definition.nodes.iter().enumerate() {
                prop_assert_eq!(definition.find(&node.id).map(|ix| ix.0 as usize), Some(position));
            }
            for transition in &definition.transitions {
                prop_assert!(transition.from < transition.to);
            }
            Ok(true)
        }
        Err(problems) => {
            prop_assert!(problems.0.iter().any(|problem| problem.severity == Severity::Error));
            prop_assert!(problems.0.iter().all(|problem| problem.path.is_empty() || problem.path.starts_with('/')));
            Ok(false)
        }
    }
}

#[test]
fn the_documents_to_mutate_are_valid() {
    for document in documents() {
        assert!(check(&document).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_json_never_panics(document in value()) {
        check(&document)?;
    }

    #[test]
    fn mutated_documents_obey_the_laws(
        which in 0..2_usize,
        changes in proptest::collection::vec(
            (proptest::collection::vec(0..40_usize, 1..6), 0..7_usize, value(), word()), 0..4),
    ) {
        let mut document = documents()[which].clone();
        for (picks, how, new, name) in &changes {
            mutate(&mut document, picks, *how, new, name);
        }
        check(&document)?;
    }

    #[test]
    fn arbitrary_expressions_never_panic(source in "[ -~\\n]{0,60}", words in proptest::collection::vec(
        proptest::sample::select(&["input", ".", "a", "(", ")", "[", "]", "{", "}", "'", "\"", "+", "-", "&&", "?", ":",
            "1", "nodes", "output", "in", ".map(", "x", ",", "!", "has(", "r'", "\\", "//", "1u", "b'", "@0", "`"][..]), 0..30)) {
        let _ = Expression::parse(&source);
        let _ = Expression::parse(&words.concat());
        let _ = Template::parse(&json!(format!("a ${{{{ {} }}}} b {source}", words.concat())));
    }

    #[test]
    fn a_template_without_expressions_is_the_value_itself(document in value()) {
        let text = document.to_string();
        prop_assume!(!text.contains("${{"));
        let template = Template::parse(&document).expect("no expressions");
        prop_assert_eq!(template.constant().map(Json::to_value), Some(document));
    }
}
